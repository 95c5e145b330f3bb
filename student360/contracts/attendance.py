"""Feed `attendance`: one row per student and day, or per student, day and subject or period."""

from student360.contracts.model import STUDENT_ID, Column, Contract, Kind, Privacy

CONTRACT = Contract(
    feed="attendance",
    description="Attendance: one code per student and day, or per student, day and subject or period.",
    name_words=("attendance", "absences", "absence"),
    loads="fact_attendance",
    natural_key=("student_id", "date_key", "subject", "period"),
    columns=(
        STUDENT_ID,
        Column(
            "date",
            Kind.DAY,
            "The school day.",
            aliases=("attendance_date", "day", "school_date"),
            not_in_future=True,
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "subject",
            Kind.LABEL,
            "The subject; missing for the whole day.",
            aliases=("course", "course_name", "class"),
            required=False,
            nullable=True,
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "attendance_status",
            Kind.CODE,
            "The attendance code as sent; dim_attendance_codes defines its meaning.",
            aliases=("status", "attendance_code", "code", "attendance"),
        ),
        Column(
            "period",
            Kind.CODE,
            "The period of the day; missing for none.",
            aliases=("class_period", "lesson"),
            required=False,
            nullable=True,
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "school_id",
            Kind.IDENTIFIER,
            "The school that took attendance.",
            aliases=("school", "school_code"),
            required=False,
            nullable=True,
            privacy=Privacy.PUBLIC,
        ),
    ),
)
