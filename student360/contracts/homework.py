"""Feed `homework`: one row per student and assignment."""

from student360.contracts.model import STUDENT_ID, Column, Contract, Kind, Privacy

CONTRACT = Contract(
    feed="homework",
    description="Homework assignments per student: due date, whether it was done, and the feedback.",
    name_words=("homework", "assignments"),
    loads="fact_homework",
    natural_key=("student_id", "subject", "assignment_name", "due_date_key"),
    fresh_within_days=31,
    columns=(
        STUDENT_ID,
        Column(
            "subject",
            Kind.LABEL,
            "The subject of the assignment.",
            aliases=("course", "course_name"),
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "assignment_name",
            Kind.TEXT,
            "Name of the assignment.",
            aliases=("assignment", "title"),
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "due_date",
            Kind.DAY,
            "The day the assignment is due; may be in the future.",
            aliases=("due", "due_on"),
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "status",
            Kind.CODE,
            "Status as sent (Done, a tick, a cross); dim_homework_statuses defines its meaning.",
            aliases=("homework_status", "completed"),
        ),
        Column(
            "grade_feedback",
            Kind.TEXT,
            "Grade or feedback given.",
            aliases=("feedback", "grade"),
            nullable=True,
        ),
        Column(
            "guardian_signature",
            Kind.YES_NO,
            "Whether a guardian signed: 1, 0 or missing.",
            aliases=("signature", "parent_signature", "signed"),
            nullable=True,
        ),
    ),
)
