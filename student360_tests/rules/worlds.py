"""The notation of the worked examples of the risk monitor, and the files of the small district that holds them.

The examples are in `examples.py`; `test_examples.py` compares them with the monitor. Each has some rows as input, the
complete expected row, and the source of the rule.

Attendance has one letter per school day; the last one is the day that the monitor looks from: P present, A absent,
E excused, S suspended, L late, B left early, H half a day, N no school, ? an unexplained code, . no row. "81P 9A" is
81 times P and then 9 times A. Scores are "Math 80 85; English 90": the last of each subject on the last day, each
earlier one ten days before. Homework has one letter per assignment, D done, M missing, O open, due every third day up
to the last day. Contacts are "5T 3R": days ago, T teacher, F family, R reminder.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

LAST_DAY = date(2026, 1, 30)
CODES = {
    "P": "Present",
    "A": "Absent",
    "E": "Excused",
    "S": "Suspended",
    "L": "Late",
    "B": "Left early",
    "H": "Half day",
    "N": "No school",
    "?": "Zzz",
}
STATUSES = {"D": "Done", "M": "Not done", "O": "Pending"}
KINDS = {"T": "Teacher to Parent", "F": "Parent to Teacher", "R": "Automated Reminder"}
FILLER_STUDENT = "S999"


@dataclass(frozen=True)
class Example:
    """The data of one student and the expected row: `expect` has the differences from the calm row of the world."""

    name: str
    source: str
    expect: Mapping[str, Any]
    attendance: str = "70P"
    scores: str = "Math 80 85; English 88 90"
    homework: str = "8D"
    contacts: str = "5T"
    grade: str = "Grade 8"
    school: str = "SCH-1"
    enrolled_on: str = ""
    periods: Mapping[str, str] = field(default_factory=dict)
    later_school: tuple[str, date] | None = None


@dataclass(frozen=True)
class World:
    """A district of examples that share settings and rules. `calm` is the row of a student without problems."""

    name: str
    examples: tuple[Example, ...]
    calm: Mapping[str, Any]
    settings: Mapping[str, str] = field(default_factory=dict)
    reference: Mapping[str, str] = field(default_factory=dict)
    days_off: frozenset[date] = frozenset()
    last_day: date = LAST_DAY

    def school_days(self, count: int) -> list[date]:
        """Return this number of school days up to the last day, in order."""
        days: list[date] = []
        day = self.last_day
        while len(days) < count:
            if day.weekday() < 5 and day not in self.days_off:
                days.append(day)
            day -= timedelta(days=1)
        return days[::-1]

    def expected(self, example: Example) -> dict[str, Any]:
        """Return the complete row that the monitor must show."""
        of_student = {"grade_level": example.grade, "school_id": example.school}
        return {**self.calm, **of_student, **example.expect}

    def files(self) -> dict[str, str]:
        """Return the files of the district by name."""
        first = self.school_days(200)[0]
        students = [f"{FILLER_STUDENT},No One,2012-01-01,Grade 8,,SCH-0,,"]
        moves, attendance, scores, homework = [], [], [], []
        messages = [f"{FILLER_STUDENT},{self.last_day - timedelta(days=100)},Email,"]
        for number, example in enumerate(self.examples, start=1):
            student = f"S{number:03}"
            students.append(f"{student},Some One,2012-01-01,{example.grade},,{example.school},,{example.enrolled_on}")
            if example.later_school:
                school, since = example.later_school
                moves.append(f"{student},Some One,2012-01-01,{example.grade},,{school},,{since}")
            for subject, marks in {"": example.attendance, **example.periods}.items():
                attendance += [f"{student},{day},{subject},{CODES[mark]}" for day, mark in self._days(marks)]
            scores += [f"{student},{row}" for row in self._scores(example.scores)]
            homework += [f"{student},{row}" for row in self._homework(example.homework)]
            messages += [
                f"{student},{self.last_day - timedelta(days=int(ago))},{KINDS[kind]},x"
                for ago, kind in re.findall(r"(\d+)([TFR])", example.contacts)
            ]
        roster = "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact,School_ID,Homeroom"
        files = {
            f"students_{first}.csv": _csv(f"{roster},Enrolled_On", students),
            f"students_{self.last_day}.csv": _csv(f"{roster},Effective_Date", moves),
            f"attendance_{self.last_day}.csv": _csv("Student_ID,Date,Subject,Attendance_Status", attendance),
            f"performance_{self.last_day}.csv": _csv(
                "Student_ID,Subject,Exam_Score,Homework_Completion_%,Teacher_Comments,Assessment,Date", scores
            ),
            f"homework_{self.last_day}.csv": _csv(
                "Student_ID,Subject,Assignment_Name,Due_Date,Status,Grade_Feedback,Guardian_Signature", homework
            ),
            f"communication_{self.last_day}.csv": _csv("Student_ID,Date,Message_Type,Message_Content", messages),
        }
        return {name: text for name, text in files.items() if text.count("\n") > 1}

    def _days(self, marks: str) -> list[tuple[date, str]]:
        expanded = "".join(mark * int(count) for count, mark in re.findall(r"(\d+)(\S)", marks))
        days = self.school_days(len(expanded)) if expanded else []
        return [(day, mark) for day, mark in zip(days, expanded, strict=True) if mark != "."]

    def _scores(self, notation: str) -> list[str]:
        rows = []
        for part in filter(None, (part.strip() for part in notation.split(";"))):
            subject, *points = part.split()
            for place, point in enumerate(points):
                day = self.last_day - timedelta(days=10 * (len(points) - 1 - place))
                score, _, completion = point.partition("/")
                rows.append(f"{subject},{score},{completion or 90},,Test {place},{day}")
        return rows

    def _homework(self, notation: str) -> list[str]:
        expanded = "".join(mark * int(count) for count, mark in re.findall(r"(\d+)(\S)", notation))
        return [
            f"Math,Task {place},{self.last_day - timedelta(days=3 * (len(expanded) - 1 - place))},{STATUSES[mark]},,"
            for place, mark in enumerate(expanded)
        ]


def _csv(header: str, rows: list[str]) -> str:
    return "\n".join([header, *rows]) + "\n"
