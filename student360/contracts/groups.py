"""Feed `groups`: one row per student and group that a district compares flag rates by. Never an input of the risk."""

from student360.contracts.model import STUDENT_ID, Column, Contract, Kind, Privacy

CONTRACT = Contract(
    feed="groups",
    description="Student groups, if a district compares flag rates by group. They are never an input of the risk.",
    name_words=("groups", "group", "subgroups", "programs"),
    loads="fact_student_groups",
    natural_key=("student_id", "group_name"),
    optional=True,
    columns=(
        STUDENT_ID,
        Column(
            "group_name",
            Kind.LABEL,
            "The kind of group: language, program, economic status.",
            aliases=("group", "group_type", "category"),
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "group_value",
            Kind.LABEL,
            "The student's group of that kind.",
            aliases=("value", "member_of", "subgroup"),
        ),
        Column(
            "since",
            Kind.DAY,
            "The first day in the group; the file's effective date if missing.",
            aliases=("start_date", "from"),
            required=False,
            nullable=True,
            privacy=Privacy.PUBLIC,
        ),
    ),
)
