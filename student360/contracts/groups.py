"""Feed `groups`: one row per student and group that a district chooses to compare. Never an input of risk."""

from student360.contracts.model import STUDENT_ID, Column, Contract, Kind, Privacy

CONTRACT = Contract(
    feed="groups",
    description="Groups that flag rates are compared by, where a district chooses to; they are never inputs of risk.",
    name_words=("groups", "group", "subgroups", "programs"),
    loads="fact_student_groups",
    natural_key=("student_id", "group_name"),
    optional=True,
    columns=(
        STUDENT_ID,
        Column(
            "group_name",
            Kind.LABEL,
            "What is told apart: language, program, economic status.",
            aliases=("group", "group_type", "category"),
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "group_value",
            Kind.LABEL,
            "What the student is in it.",
            aliases=("value", "member_of", "subgroup"),
        ),
        Column(
            "since",
            Kind.DAY,
            "The first day; the file's effective date where it is missing.",
            aliases=("start_date", "from"),
            required=False,
            nullable=True,
            privacy=Privacy.PUBLIC,
        ),
    ),
)
