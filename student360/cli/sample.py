"""Generates a synthetic district: CSV exports with realistic data quality problems, reproducible by seed.

    python -m student360.cli.sample data/landing --students 2000 --days 60

The files are for demos, tests and benchmarks.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
from pyarrow import csv

from student360.ingest.files import make_private

FIRST_NAMES = ("Ana", "Ben", "Chidi", "Dana", "Elif", "Farid", "Grace", "Hugo", "Ines", "Jamal", "Kim", "Léa", "Noor")
LAST_NAMES = ("Abbas", "Brown", "Costa", "Diaz", "Evans", "Fischer", "Garcia", "Haddad", "Ito", "Jones", "O'Neil")
SUBJECTS = ("Math", "English", "Science", "History", "Arabic", "Geography")
WORDS = ("kind", "steady", "late", "reads", "homework", "term", "project", "talked", "improved", "missing", "plan")
SCHOOLS = ("SCH-01", "SCH-02", "SCH-03")
PRESENT = {"clean": ("Present",), "messy": ("Present", "P", "present ", "✔", "Late", "tardy")}
ABSENT = {"clean": ("Absent",), "messy": ("Absent", "absnt", "A", "❌", "Excused", "ABSENT")}
DONE = {"clean": ("Done",), "messy": (" Done ", "✔", "✅", "done")}
NOT_DONE = {"clean": ("Not done",), "messy": ("not done", "❌", "pending")}
MESSAGES = ("Teacher to Parent", "Parent to Teacher", "Automated Reminder")


@dataclass(frozen=True)
class District:
    """The district to generate.

    students: number of students. days: number of school days. seed: seed of the random generators. mess: whether the
    files have realistic data quality problems. periods: attendance rows per student and day (1 = daily). planted:
    whether students follow known courses through the year (`planted_ways`). first_day: the first school day.
    """

    students: int = 1_000
    days: int = 60
    seed: int = 360
    mess: bool = True
    periods: int = 1
    planted: bool = False
    first_day: date = date(2025, 9, 1)

    @property
    def style(self) -> str:
        return "messy" if self.mess else "clean"

    def school_days(self) -> list[date]:
        """Return the school days: Monday to Friday, from the first day."""
        days: list[date] = []
        day = self.first_day
        while len(days) < self.days:
            if day.weekday() < 5:
                days.append(day)
            day += timedelta(days=1)
        return days


def write_district(folder: Path, district: District) -> list[Path]:
    """Write the files of five feeds to a folder and return their paths. Each file is renamed when it is complete."""
    make_private(folder)
    days = district.school_days()
    last = days[-1].isoformat()
    feeds = {
        f"students_{days[0].isoformat()}.csv": _students(district, newer=False),
        f"students_{last}.csv": _students(district, newer=True),
        f"attendance_{last}.csv": _attendance(district, days),
        f"performance_{last}.csv": _performance(district, days),
        f"homework_{last}.csv": _homework(district, days),
        f"communication_{last}.csv": _communication(district, days),
    }
    return [_write(folder / name, tables) for name, tables in feeds.items()]


def write_attendance(folder: Path, district: District) -> Path:
    """Write only the attendance of a district. Returns the file's path."""
    make_private(folder)
    days = district.school_days()
    return _write(folder / f"attendance_{days[-1].isoformat()}.csv", _attendance(district, days))


def _write(path: Path, tables: Iterator[pa.Table]) -> Path:
    part = path.with_suffix(".csv.part")
    first = next(tables)
    with csv.CSVWriter(part, first.schema, write_options=csv.WriteOptions(quoting_style="needed")) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)
    part.chmod(0o600)
    return part.rename(path)


def _generator(district: District, purpose: str) -> np.random.Generator:
    return np.random.default_rng([district.seed, *purpose.encode()])


def _picked(choices: tuple[str, ...], numbers: np.ndarray) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(numbers, pa.int32()), pa.array(choices)).cast(pa.string())


def _ids(numbers: np.ndarray) -> pa.Array:
    return pa.array(np.char.add("S", np.char.zfill(numbers.astype("U7"), 6)))


def planted_ways(district: District) -> np.ndarray:
    """Return each student's course through the year in a planted district, in the order of the student ids.

    steady: high attendance and scores. declining: high attendance for two fifths of the year, then often absent. early
    trouble: often absent all year. recovering: often absent in the first weeks, then high attendance. failing: high
    attendance, with scores that fall after a third of the year.
    """
    ways = np.array(["declining", "early trouble", "recovering", "failing"] + ["steady"] * 6)
    return ways[np.arange(district.students) % len(ways)]


def _presence_at(district: District, share: float) -> np.ndarray:
    """Return each student's probability of attending (0-1) after that share of the year (0-1)."""
    if not district.planted:
        return _presence(district)
    ways = planted_ways(district)
    chances = np.select(
        [ways == "declining", ways == "early trouble", ways == "recovering"],
        [0.98 if share < 0.4 else 0.65, 0.82, 0.7 if share < 0.15 else 0.99],
        default=0.98,
    )
    return np.asarray(chances)


def _ability_at(district: District, share: float) -> np.ndarray:
    """Return each student's usual score (percent 0-100) after that share of the year (0-1)."""
    if not district.planted:
        return _ability(district)
    return np.where(planted_ways(district) == "failing", 75.0 if share < 0.33 else 42.0, 82.0)


def _presence(district: District) -> np.ndarray:
    """Return each student's probability of attending (0-1): high for most, 0.6-0.9 for about 12 %."""
    rng = _generator(district, "presence")
    usual = rng.beta(30, 1.2, district.students)
    struggling = rng.random(district.students) < 0.12
    return np.where(struggling, rng.uniform(0.6, 0.9, district.students), usual)


def _ability(district: District) -> np.ndarray:
    """Return each student's usual score (percent 0-100), which is correlated with attendance."""
    rng = _generator(district, "ability")
    return np.clip(rng.normal(25, 8, district.students) + 55 * _presence(district), 20, 97)


def _dates(district: District, rng: np.random.Generator, days: list[date], which: np.ndarray) -> pa.Array:
    """Return dates in ISO form. In a messy district 10 % are month first, if the file's days prove the order."""
    iso = _picked(tuple(day.isoformat() for day in days), which)
    if not district.mess or not any(days[position].day > 12 for position in np.unique(which)):
        return iso
    american = _picked(tuple(f"{day:%m/%d/%Y}" for day in days), which)
    return pa.compute.if_else(pa.array(rng.random(len(which)) < 0.1), american, iso)


def _students(district: District, newer: bool) -> Iterator[pa.Table]:
    """Yield the roster. The newer one adds students who enrolled late and changes the homeroom of some."""
    rng = _generator(district, "students")
    count = district.students
    numbers = np.arange(1, count + 1)
    first, last = rng.integers(len(FIRST_NAMES), size=count), rng.integers(len(LAST_NAMES), size=count)
    names = np.char.add(
        np.char.add(np.array(FIRST_NAMES)[first].astype("U20"), " "), np.array(LAST_NAMES)[last].astype("U20")
    )
    grades = rng.integers(1, 13, count)
    births = np.datetime64("2019-09-01") - grades * 365 - rng.integers(0, 364, count)
    dates = births.astype("datetime64[D]").astype(str)
    if district.mess:
        year, month, day = (np.array(part) for part in zip(*np.char.split(dates, "-"), strict=True))
        american = np.char.add(np.char.add(month, "-"), np.char.add(np.char.add(day, "-"), year))
        dates = np.where(rng.random(count) < 0.1, american, dates)
    phones = np.char.add("555-", np.char.zfill(rng.integers(0, 10_000_000, count).astype("U7"), 7))
    phones = np.where(rng.random(count) < (0.1 if district.mess else 0), "", phones)
    homerooms = rng.integers(1, 5, count)
    moved, late = rng.random(count) < 0.02, rng.random(count) < 0.01
    if newer:
        homerooms = np.where(moved, homerooms % 4 + 1, homerooms)
    table = pa.table(
        {
            "Student_ID": _ids(numbers),
            "Full_Name": pa.array(names),
            "Date_of_Birth": pa.array(dates),
            "Grade_Level": pa.array(np.char.add("Grade ", grades.astype("U2"))),
            "Emergency_Contact": pa.array(phones),
            "School_ID": _picked(SCHOOLS, rng.integers(len(SCHOOLS), size=count)),
            "Homeroom": pa.array(np.char.add(np.char.add(grades.astype("U2"), "-"), homerooms.astype("U1"))),
        }
    )
    yield table if newer else table.filter(pa.array(~late))


def _attendance(district: District, days: list[date]) -> Iterator[pa.Table]:
    rng = _generator(district, "attendance")
    numbers = np.repeat(np.arange(1, district.students + 1), district.periods)
    if district.mess:
        not_in_roster = np.arange(900_001, 900_001 + max(1, district.students // 500))
        numbers = np.concatenate((numbers, not_in_roster))
    subjects = np.resize(np.arange(district.periods), len(numbers))
    for position in range(len(days)):
        chances = np.repeat(_presence_at(district, position / len(days)), district.periods)
        presence = np.concatenate((chances, np.full(len(numbers) - len(chances), 0.95)))
        attends = rng.random(len(numbers)) < presence
        present, absent = PRESENT[district.style], ABSENT[district.style]
        if_present = rng.integers(len(present), size=len(numbers))
        if_absent = len(present) + rng.integers(len(absent), size=len(numbers))
        codes = _picked((*present, *absent), np.where(attends, if_present, if_absent))
        table = pa.table(
            {
                "Student_ID": _ids(numbers),
                "Date": _dates(district, rng, days, np.full(len(numbers), position)),
                "Subject": _picked(("", *SUBJECTS), subjects + 1 if district.periods > 1 else 0 * subjects),
                "Attendance_Status": codes,
            }
        )
        yield _with_repeats(district, rng, table)


def _with_repeats(district: District, rng: np.random.Generator, table: pa.Table) -> pa.Table:
    """In a messy district repeat 0.2 % of the rows and blank the last column of 0.05 %."""
    if not district.mess:
        return table
    repeats = table.take(pa.array(rng.integers(table.num_rows, size=table.num_rows // 500)))
    column = table.column_names[-1]
    gaps = pa.array(rng.random(table.num_rows) < 0.0005)
    table = table.set_column(
        table.num_columns - 1, column, pa.compute.if_else(gaps, pa.scalar("", pa.string()), table[column])
    )
    return pa.concat_tables([table, repeats])


def _performance(district: District, days: list[date]) -> Iterator[pa.Table]:
    rng = _generator(district, "performance")
    for number, position in enumerate(range(min(9, len(days) - 1), len(days), 20), start=1):
        ability = _ability_at(district, position / len(days))
        for subject in SUBJECTS:
            scores = np.clip(rng.normal(ability, 7), 0, 100).round().astype(int)
            homework = np.clip(rng.normal(ability, 12), 0, 100).round().astype(int)
            score_text, homework_text = scores.astype("U6"), homework.astype("U6")
            if district.mess:
                odd = rng.random(len(scores))
                score_text = np.where(odd < 0.01, "105", np.where(odd < 0.02, "", score_text))
                homework_text = np.where(odd > 0.99, "-5", homework_text)
                homework_text = np.where(rng.random(len(scores)) < 0.3, np.char.add(homework_text, "%"), homework_text)
            yield pa.table(
                {
                    "Student_ID": _ids(np.arange(1, district.students + 1)),
                    "Subject": pa.array([subject] * district.students),
                    "Exam_Score": pa.array(score_text),
                    "Homework_Completion_%": pa.array(homework_text),
                    "Teacher_Comments": _sentences(rng, district.students),
                    "Assessment": pa.array([f"Test {number}"] * district.students),
                    "Date": pa.array([days[position].isoformat()] * district.students),
                }
            )


def _homework(district: District, days: list[date]) -> Iterator[pa.Table]:
    rng = _generator(district, "homework")
    ability = _ability(district)
    done, not_done = DONE[district.style], NOT_DONE[district.style]
    for position in range(4, len(days), 5):
        subject = SUBJECTS[(position // 5) % len(SUBJECTS)]
        hands_in = rng.random(district.students) * 100 < ability + 10
        yield pa.table(
            {
                "Student_ID": _ids(np.arange(1, district.students + 1)),
                "Subject": pa.array([subject] * district.students),
                "Assignment_Name": pa.array([f"{subject} {position}"] * district.students),
                "Due_Date": _dates(district, rng, days, np.full(district.students, position)),
                "Status": _picked(
                    (*done, *not_done),
                    np.where(
                        hands_in,
                        rng.integers(len(done), size=district.students),
                        len(done) + rng.integers(len(not_done), size=district.students),
                    ),
                ),
                "Grade_Feedback": _picked(("A", "B", "C", "D", ""), rng.integers(5, size=district.students)),
                "Guardian_Signature": _picked(("Yes", "No", " "), rng.integers(3, size=district.students)),
            }
        )


def _communication(district: District, days: list[date]) -> Iterator[pa.Table]:
    rng = _generator(district, "communication")
    count = district.students * 2
    yield pa.table(
        {
            "Student_ID": _ids(rng.integers(1, district.students + 1, count)),
            "Date": _dates(district, rng, days, rng.integers(len(days), size=count)),
            "Message_Type": _picked(MESSAGES, rng.integers(len(MESSAGES), size=count)),
            "Message_Content": _sentences(rng, count),
        }
    )


def _sentences(rng: np.random.Generator, count: int) -> pa.Array:
    words = np.array(WORDS)[rng.integers(len(WORDS), size=(3, count))].astype("U12")
    return pa.array(np.char.add(np.char.add(np.char.add(words[0], " "), np.char.add(words[1], ", ")), words[2]))


def main() -> None:
    """Write a synthetic district to a folder given on the command line."""
    parser = argparse.ArgumentParser(prog="python -m student360.cli.sample", description="Write a synthetic district.")
    parser.add_argument("folder", type=Path, help="the folder to write to, e.g. data/landing")
    parser.add_argument("--students", type=int, default=District.students, help="number of students")
    parser.add_argument("--days", type=int, default=District.days, help="number of school days")
    parser.add_argument("--periods", type=int, default=District.periods, help="attendance rows per student and day")
    parser.add_argument("--seed", type=int, default=District.seed, help="seed of the random generators")
    parser.add_argument("--clean", action="store_true", help="without data quality problems")
    chosen = parser.parse_args()
    district = District(chosen.students, chosen.days, chosen.seed, not chosen.clean, chosen.periods)
    for path in write_district(chosen.folder, district):
        print(path)


if __name__ == "__main__":
    main()
