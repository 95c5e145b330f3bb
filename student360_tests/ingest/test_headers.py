"""A feed is recognized by the name or the header of a file."""

import pytest

from student360.contracts import contracts
from student360.ingest.headers import normalised, recognise

ATTENDANCE = "Student_ID,Date,Attendance_Status"
STUDENTS = "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact"


@pytest.mark.parametrize(
    ("name", "header", "feed"),
    [
        ("students.csv", STUDENTS, "students"),
        ("teacher_parent_communication.csv", "whatever", "communication"),
        ("Attendance 2026-01-05 (final).csv", ATTENDANCE, "attendance"),
        ("student_attendance.csv", ATTENDANCE, "attendance"),
        ("export.csv", ATTENDANCE, "attendance"),
        ("export.csv", ATTENDANCE.replace(",", ";"), "attendance"),
        ("export.csv", "a,b,c", None),
        ("export.csv", "", None),
    ],
)
def test_the_feed_is_recognized_by_file_name_or_header(name: str, header: str, feed: str | None) -> None:
    assert recognise(name, header, contracts()) == feed


def test_header_names_are_compared_without_case_spaces_and_punctuation() -> None:
    assert normalised("\ufeffHomework Completion %") == normalised("Homework_Completion_%") == "homework_completion"
