"""SQLite and PostgreSQL contain the same data, column by column, and Spark computes the same aggregates from both."""

import datetime as dt
import random
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dagster import DagsterInstance
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from student360.cli.sample import District, write_district
from student360.definitions import build_defs
from student360.settings import load_settings
from student360.warehouse.scripts import scripts
from student360.warehouse.warehouse import Warehouse
from student360_tests.conftest import ENGINES, NewInstallation, run_pipeline
from student360_tests.support.installation import Installation

# Times, and ids that depend on the order in which files are claimed, differ between any two runs.
VARYING_COLUMNS = {
    "received_at",
    "committed_at",
    "dropped_at",
    "archived_at",
    "archived_path",
    "claim_id",
    "reported_at",
}
NAMES = (
    "Ana Çöşkun",
    "Zoë 🦊 Müller",
    "Zoe\u0308 Muller",
    "ana lower",
    "Ångström, Bo",
    'O\'Neil "Q"',
    "李小龙",
    "é",
    "e\u0301",
)
HOMEWORK = "Student_ID,Subject,Assignment_Name,Due_Date,Status,Grade_Feedback,Guardian_Signature"
STATES = (" Done ", "❌", "late?", "")
FILES = {
    "students_2025-06-01.csv": "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact,School_ID,Homeroom\n"
    + "".join(
        f'S{n},"{name.replace(chr(34), chr(34) * 2)}",{2010 + n}-12-31,Grade {n},,SCH-{n % 3},{name[:1]}\n'
        for n, name in enumerate(NAMES, start=1)
    ),
    "students_2026-01-01.csv": "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact,School_ID,Homeroom\n"
    "S1,Ana Coskun,2011-12-31,Grade 2,☎ 1,SCH-9,Z\nS10,New,2000-02-29,Grade 5,,,\n",
    "attendance_2026-01-02.csv": "Student_ID,Date,Subject,Attendance_Status\n"
    + "".join(
        f"S{n % 10 + 1},{day},{subject},{('Present', 'absnt', 'Late', 'Excused', '¿Qué?', 'Half day')[(n + k) % 6]}\n"
        for k, subject in enumerate(("Math", "Éthique", "art 🎨"))
        for n in range(60)
        for day in ("2025-06-30", "2025-07-01", "2025-12-31", "2026-01-01", f"2025-10-{n % 28 + 1:02}")
        if (n // 10 + k) % 2
    ),
    "performance_2026-01-02.csv": "Student_ID,Subject,Exam_Score,Homework_Completion_%,Teacher_Comments,Max_Score\n"
    + "".join(
        f'S{n % 9 + 1},{("Math", "Éthique")[n % 2]},{score},{n % 120 - 5}%,"ok, \u2028 {n}",{top}\n'
        for n, (score, top) in enumerate([("59.995", 100), ("33.335", 99), ("0.005", 7), ("105", 100), ("", 100)] * 9)
    ),
    "homework_2026-01-02.csv": HOMEWORK
    + "\n"
    + "".join(
        f"S{n % 10 + 1},Math,Task {n} 🧮,2025-12-31,{STATES[n % 4]},B+,{('Yes', 'no', '')[n % 3]}\n" for n in range(80)
    ),
    "communication_2026-01-02.csv": "Student_ID,Date,Message_Type,Message_Content\n"
    + "".join(
        f"S{n % 9 + 1},2025-12-{n % 31 + 1:02},{('Email', 'Automated Reminder', 'smoke')[n % 3]},Hé {n} 👋\n"
        for n in range(60)
    ),
    "holiday.csv": "a,b\n1,2\n",
}


def all_tables(warehouse: Warehouse) -> dict[str, pa.Table]:
    """Return every table and view as Arrow, sorted by all of its columns, without the columns in VARYING_COLUMNS."""
    found = {}
    with warehouse.reading() as tx:
        for name, script in scripts().items():
            keep = [column.name for column in script.columns if column.name not in VARYING_COLUMNS]
            rows = pa.Table.from_batches(tx.arrow_batches(name), _schema(name)).select(keep)
            found[name] = rows.sort_by([(column, "ascending") for column in keep])
    return found


def _schema(name: str) -> pa.Schema:
    types = {"integer": pa.int64(), "bigint": pa.int64(), "real": pa.float64()}
    return pa.schema([(column.name, types.get(column.storage, pa.string())) for column in scripts()[name].columns])


def assert_equal(left: dict[str, pa.Table], right: dict[str, pa.Table]) -> None:
    for name, rows in left.items():
        for column in rows.column_names:
            assert rows[column].to_pylist() == right[name][column].to_pylist(), f"{name}.{column}"


def loaded_on(engine: str, new_installation: NewInstallation, files: dict[str, str]) -> Installation:
    """Return an installation that loaded the first half of the files, then the other half."""
    installation = new_installation(engine)
    names = list(files)
    for batch in (names[: len(names) // 2], names[len(names) // 2 :]):
        for name in batch:
            installation.drop(name, files[name].encode())
        run_pipeline(installation, load_settings())
    return installation


@pytest.mark.xdist_group("spark")
def test_every_table_view_and_aggregate_is_equal_on_both_engines(new_installation: NewInstallation, java: Path) -> None:
    found = []
    for engine in ENGINES:
        installation = loaded_on(engine, new_installation, FILES)
        with DagsterInstance.ephemeral() as instance:
            assert build_defs().resolve_job_def("aggregates").execute_in_process(instance=instance).success
        found.append(all_tables(installation.warehouse))
    for name in ("v_student_risk_monitor", "v_student_360", "agg_top_performers", "agg_score_trend", "row_reject"):
        assert found[0][name].num_rows, name
    assert_equal(*found)
    reasons = found[0]["v_student_risk_monitor"]["reasons"].to_pylist()
    assert sum(map(bool, reasons)) > 3


def test_both_engines_have_the_same_column_types_and_text_order(new_installation: NewInstallation) -> None:
    kinds = {
        "sqlite": {"INTEGER": "integer", "TEXT": "text", "REAL": "real", "": "computed"},
        "postgres": {
            "integer": "integer",
            "bigint": "integer",
            "text": "text",
            "double precision": "real",
            "date": "text",
        },
    }
    declared: dict[str, dict[str, list[str]]] = {}
    orders = []
    for engine in ENGINES:
        installation = loaded_on(
            engine, new_installation, {"students_2025-06-01.csv": FILES["students_2025-06-01.csv"]}
        )
        with installation.warehouse.reading() as tx:
            declared[engine] = {
                script.name: [kinds[engine][kind] for kind in tx.columns(script.name).values()]
                for script in scripts().values()
                if engine == "postgres" or not script.is_view
            }
            orders.append(tx.query("SELECT full_name FROM dim_students ORDER BY full_name"))
    assert {name: declared["postgres"][name] for name in declared["sqlite"]} == declared["sqlite"]
    assert orders[0] == orders[1]
    assert [row["full_name"] for row in orders[0]] == sorted(unicodedata.normalize("NFC", name) for name in NAMES)
    documented = {"integer": "integer", "bigint": "integer", "real": "real", "text": "text", "date": "text"}
    for script in scripts().values():
        assert declared["postgres"][script.name] == [documented[column.storage] for column in script.columns], (
            script.name
        )


STATUSES = st.sampled_from(["Present", "P", "absnt", "A", "Late", "Excused", "Half day", "No school", "zz", "", " É "])
DAYS = st.dates(dt.date(2025, 6, 25), dt.date(2026, 7, 5))
STUDENTS = st.integers(1, 6).map(lambda number: f"S{number}")
SUBJECTS = st.sampled_from(["Math", "math", " Art", "Éthique", ""])
TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters='\0\r\n"', exclude_categories=("Cs", "Cc")), min_size=1, max_size=8
)
SCORES = st.one_of(
    st.decimals(0, 120, places=3).map(str), st.sampled_from(["", "-1", "abc", "1e3", "99.9995", "059.995", "NaN"])
)


@st.composite
def districts(draw: st.DrawFn) -> dict[str, str]:
    """Generate small files in random order, with valid and invalid values."""

    def rows(header: str, *cells: st.SearchStrategy[Any], most: int = 12) -> str:
        drawn = draw(st.lists(st.tuples(*cells), max_size=most))
        lines = (",".join(f'"{cell}"' for cell in row) for row in drawn)
        return "\n".join([header, *lines]) + "\n"

    day = draw(DAYS)
    grades, words = (
        st.sampled_from(["3", "Grade 3", "K", "?", "Grade 4"]),
        st.sampled_from(["Done", "❌", "Pending", "?"]),
    )
    blank, schools, signed = st.just(""), st.sampled_from(["A", "B", ""]), st.sampled_from(["Yes", ""])
    kinds = st.sampled_from(["Email", "Automated Reminder", "x"])
    roster = "Student_ID,Full_Name,Date_of_Birth,Grade_Level"
    present = "Student_ID,Date,Attendance_Status"
    marks = "Student_ID,Subject,Exam_Score,Homework_Completion_%,Teacher_Comments"
    files = {
        f"students_{day}.csv": rows(f"{roster},Homeroom", STUDENTS, TEXT, DAYS, grades, TEXT),
        "students_2025-12-31.csv": rows(f"{roster},School_ID", STUDENTS, TEXT, blank, grades, schools),
        "attendance_1.csv": rows(f"{present},Subject", STUDENTS, DAYS, STATUSES, SUBJECTS, most=40),
        f"attendance_{day}.csv": rows(present, STUDENTS, DAYS, STATUSES, most=40),
        "performance.csv": rows(marks, STUDENTS, SUBJECTS, SCORES, SCORES, TEXT, most=20),
        "homework.csv": rows(HOMEWORK, STUDENTS, SUBJECTS, TEXT, DAYS, words, TEXT, signed),
        "communication.csv": rows("Student_ID,Date,Message_Type,Message_Content", STUDENTS, DAYS, kinds, TEXT),
    }
    order = list(files)
    random.Random(draw(st.integers(0, 999))).shuffle(order)
    return {name: files[name] for name in order}


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(files=districts())
def test_any_small_district_is_the_same_on_both_engines(
    new_installation: NewInstallation, files: dict[str, str]
) -> None:
    sqlite, postgres = (loaded_on(engine, new_installation, files).warehouse for engine in ENGINES)
    assert_equal(all_tables(sqlite), all_tables(postgres))


def test_a_synthetic_district_is_the_same_on_both_engines(new_installation: NewInstallation, tmp_path: Path) -> None:
    files = write_district(tmp_path, District(students=80, days=40, seed=11))
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    sqlite, postgres = (loaded_on(engine, new_installation, texts).warehouse for engine in ENGINES)
    assert_equal(all_tables(sqlite), all_tables(postgres))
