"""Feed `id_changes`: one row per student whose id in the source system changed, as declared by the district."""

from student360.contracts.model import Column, Contract, Kind, Privacy

CONTRACT = Contract(
    feed="id_changes",
    description="Declared changes of student ids: the history of the old id belongs to the new one.",
    name_words=("id_changes", "id_change"),
    loads="student_id_change",
    natural_key=("old_student_id",),
    fresh_within_days=36_500,
    columns=(
        Column(
            "old_student_id",
            Kind.IDENTIFIER,
            "The student's previous id.",
            aliases=("old_id", "previous_student_id", "previous_id"),
        ),
        Column(
            "new_student_id",
            Kind.IDENTIFIER,
            "The student's new id; equal to the old one to declare that it is still the same person.",
            aliases=("new_id", "current_student_id", "current_id"),
        ),
        Column(
            "changed_on",
            Kind.DAY,
            "The day of the change.",
            aliases=("effective_date", "date"),
            required=False,
            nullable=True,
            privacy=Privacy.PUBLIC,
        ),
    ),
)
