"""Every row sent is loaded or has a reason in the ledger, and loading a file again changes nothing."""

import random
from collections.abc import Callable
from datetime import date, timedelta

import pandas as pd
import pytest

from student360.cli.sample import District, write_district
from student360.contracts import Column, Kind, contracts
from student360.ingest.clean import Cleaned, Reading, clean_values
from student360.loading.receive import receive
from student360.settings import Settings, load_settings
from student360.warehouse.ledger import COUNTS, file_table
from student360.warehouse.scripts import scripts
from student360.warehouse.transaction import Transaction
from student360.warehouse.warehouse import Warehouse
from student360_tests.conftest import NewInstallation, run_pipeline
from student360_tests.support.installation import Installation

Load = Callable[..., None]

STUDENTS = """Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact,School_ID,Homeroom
S1,Ana Costa,2014-05-22,Grade 3,555-1,SCH-1,3-A
S2,Ben Ito,2013-01-02,Grade 4,555-2,SCH-1,4-A
"""
ATTENDANCE = """Student_ID,Date,Attendance_Status
S1,2026-01-05,Present
S2,2026-01-05,absnt
S3,2026-01-05,Present
"""
LINEAGE = {"file_id", "line_no", "confirmed_on_key"}


def contents(warehouse: Warehouse) -> dict[str, pd.DataFrame]:
    """Return every core and mart table except dim_dates, sorted, without the lineage columns."""
    names = [s.name for s in scripts().values() if s.layer in ("core", "marts") and s.name != "dim_dates"]
    frames = {}
    for name in names:
        keep = [c.name for c in scripts()[name].columns if c.name not in LINEAGE]
        frame = warehouse.frame(f"SELECT {', '.join(keep)} FROM {name}")
        frames[name] = frame.sort_values(list(frame.columns), ignore_index=True) if len(frame) else frame
    return frames


def assert_same(left: dict[str, pd.DataFrame], right: dict[str, pd.DataFrame]) -> None:
    for name, frame in left.items():
        pd.testing.assert_frame_equal(frame, right[name], obj=name)


def ledger(installation: Installation) -> dict[str, tuple[int, ...]]:
    """Return (read, loaded, updated, unchanged, rejected, waiting) by file name."""
    with installation.warehouse.reading() as tx:
        files = file_table(tx)
    return {row["name"]: tuple(int(row[c]) for c in COUNTS) for row in files.to_dict("records")}


@pytest.mark.fault("F27")
def test_rows_wait_for_their_student_and_are_merged_when_the_student_arrives(
    installation: Installation, load: Load
) -> None:
    load({"attendance_2026-01-05.csv": ATTENDANCE})
    assert ledger(installation)["attendance_2026-01-05.csv"] == (3, 0, 0, 0, 0, 3)
    load({"students_2026-01-01.csv": STUDENTS})
    assert ledger(installation)["attendance_2026-01-05.csv"] == (3, 2, 0, 0, 0, 1)
    load({"students_2026-01-06.csv": STUDENTS + "S3,Chidi Diaz,2012-01-01,Grade 5,,SCH-1,5-A\n"})
    assert ledger(installation)["attendance_2026-01-05.csv"] == (3, 3, 0, 0, 0, 0)
    assert installation.warehouse.row_count("fact_attendance") == 3
    assert (
        installation.warehouse.frame("SELECT SUM(days_recorded) AS days FROM student_attendance_month")["days"][0] == 3
    )


@pytest.mark.fault("F23")
def test_a_file_with_known_content_is_a_duplicate_and_changes_nothing(installation: Installation, load: Load) -> None:
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-05.csv": ATTENDANCE})
    before = contents(installation.warehouse)
    load({"attendance_again.csv": ATTENDANCE})
    assert_same(before, contents(installation.warehouse))
    with installation.warehouse.reading() as tx:
        files = file_table(tx)
    assert files.set_index("name")["outcome"]["attendance_again.csv"] == "duplicate"
    assert len(list((installation.data / "processed").rglob("*.csv"))) == 3
    assert not list((installation.data / "work").iterdir())


@pytest.mark.fault("F25")
def test_a_newer_export_corrects_facts_and_an_older_one_does_not(installation: Installation, load: Load) -> None:
    row = "Student_ID,Date,Attendance_Status\nS1,2026-01-05,{}\n"
    code = (
        "SELECT c.code FROM fact_attendance AS f JOIN dim_attendance_codes AS c"
        " ON c.attendance_code_key = f.attendance_code_key"
    )
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-06.csv": row.format("Absent")})
    load({"attendance_2026-01-08.csv": row.format("Excused")})
    assert ledger(installation)["attendance_2026-01-08.csv"] == (1, 0, 1, 0, 0, 0)
    load({"attendance_2026-01-07.csv": row.format("Present")})
    assert ledger(installation)["attendance_2026-01-07.csv"] == (1, 0, 0, 1, 0, 0)
    assert installation.warehouse.frame(code)["code"].to_list() == ["excused"]


def test_a_confirmed_value_is_protected_from_older_exports(installation: Installation, load: Load) -> None:
    row = "Student_ID,Date,Attendance_Status\nS1,2026-01-05,{}\n"
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-06.csv": row.format("Absent")})
    load({"attendance_2026-01-10.csv": row.format("absent")})
    load({"attendance_2026-01-08.csv": row.format("Present")})
    assert ledger(installation)["attendance_2026-01-08.csv"] == (1, 0, 0, 1, 0, 0)


def test_changes_of_a_student_are_kept_as_versions(installation: Installation, load: Load) -> None:
    load({"students_2026-01-01.csv": STUDENTS})
    load({"students_2026-02-01.csv": STUDENTS.replace("3-A", "3-B").replace("Ana Costa", "Ana Costa-Lima")})
    load({"students_2026-01-15.csv": STUDENTS.replace("3-A", "3-Z")})
    versions = installation.warehouse.frame(
        "SELECT full_name, homeroom, valid_from, valid_to, is_current FROM dim_students"
        " WHERE student_id = 'S1' ORDER BY valid_from"
    )
    assert versions.to_numpy().tolist() == [
        ["Ana Costa-Lima", "3-A", "2026-01-01", "2026-02-01", 0],
        ["Ana Costa-Lima", "3-B", "2026-02-01", "9999-12-31", 1],
    ]


def test_a_blank_in_a_newer_roster_does_not_erase_a_known_value(installation: Installation, load: Load) -> None:
    load({"students_2026-01-01.csv": STUDENTS})
    load({"students_2026-02-01.csv": STUDENTS.replace("555-1", "").replace("3-A", "")})
    row = installation.warehouse.frame("SELECT emergency_contact, homeroom FROM dim_students WHERE student_id = 'S1'")
    assert row.to_numpy().tolist() == [["555-1", "3-A"]]
    assert ledger(installation)["students_2026-02-01.csv"] == (2, 0, 0, 2, 0, 0)


def test_rosters_dropped_together_are_loaded_in_date_order(installation: Installation, load: Load) -> None:
    load(
        {
            "students_2026-03-01.csv": STUDENTS.replace("3-A", "3-C"),
            "students_2026-01-01.csv": STUDENTS,
            "students_2026-02-01.csv": STUDENTS.replace("3-A", "3-B"),
        }
    )
    rooms = installation.warehouse.frame(
        "SELECT homeroom FROM dim_students WHERE student_id = 'S1' ORDER BY valid_from"
    )
    assert rooms["homeroom"].to_list() == ["3-A", "3-B", "3-C"]


def test_bad_rows_do_not_prevent_good_rows_from_being_loaded(installation: Installation, load: Load) -> None:
    good = "".join(f"S1,2025-10-{day:02},Present\n" for day in range(1, 31))
    bad = "S1,2026-02-30,Present\nS1,,Present\nS1,2025-11-03\n,2025-11-04,Absent\n"
    load(
        {
            "students_2026-01-01.csv": STUDENTS,
            "attendance.csv": "Student_ID,Date,Attendance_Status\n" + good + bad,
        }
    )
    assert ledger(installation)["attendance.csv"] == (34, 30, 0, 0, 4, 0)
    rejects = installation.warehouse.frame(
        "SELECT line_no, column_name, reason_code, value FROM row_reject ORDER BY line_no"
    )
    assert rejects.to_numpy().tolist() == [
        [32, "date", "date_invalid", "2026-02-30"],
        [33, "date", "missing_value", ""],
        [34, "(row)", "missing_cell", "S1,2025-11-03"],
        [35, "student_id", "missing_value", ""],
    ]


def test_two_rows_that_contradict_each_other_are_both_rejected(installation: Installation, load: Load) -> None:
    one = "S1,2026-01-05,Present\nS1,2026-01-05,Absent\n"
    other = "S2,2026-01-05,P\n" * 2
    rows = f"Student_ID,Date,Attendance_Status\n{one}{other}"
    load({"students_2026-01-01.csv": STUDENTS, "attendance.csv": rows})
    assert ledger(installation)["attendance.csv"] == (4, 1, 0, 1, 2, 0)
    lines = installation.warehouse.frame("SELECT line_no, reason_code FROM row_reject ORDER BY line_no")
    assert lines.to_numpy().tolist() == [[2, "conflicting_duplicate"], [3, "conflicting_duplicate"]]


def test_subjects_are_compared_without_case(installation: Installation, load: Load) -> None:
    rows = (
        "S1,2026-01-05,Math,Present\nS1,2026-01-05,MATH,Present\nS1,2026-01-05,Art,Present\nS1,2026-01-05,art,Absent\n"
    )
    load(
        {
            "students_2026-01-01.csv": STUDENTS,
            "attendance.csv": f"Student_ID,Date,Subject,Attendance_Status\n{rows}",
        }
    )
    assert ledger(installation)["attendance.csv"] == (4, 1, 0, 1, 2, 0)
    assert installation.warehouse.frame("SELECT line_no FROM row_reject ORDER BY line_no")["line_no"].tolist() == [4, 5]


def test_all_rows_of_a_large_contradictory_file_are_rejected(installation: Installation, load: Load) -> None:
    """Lessons sent without their period: two different codes for every student and day."""
    days = [date(2025, 1, 1) + timedelta(days=n) for n in range(50)]
    rows = "".join(f"S{n},{day},{code}\n" for n in range(400) for day in days for code in ("Present", "Absent"))
    load({"students_2026-01-01.csv": STUDENTS, "attendance.csv": "Student_ID,Date,Attendance_Status\n" + rows})
    assert ledger(installation)["attendance.csv"] == (40_000, 0, 0, 0, 40_000, 0)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("holiday.csv", "a,b\n1,2\n", "unknown_dataset"),
        ("attendance.xlsx", "PK\x03\x04 and so on", "binary"),
        ("attendance.csv", "Student_ID,Date\nS1,2026-01-05\n", "missing_column"),
        ("attendance.csv", "", "empty_file"),
        ("attendance.csv", ATTENDANCE.replace("2026-01-05", "soon"), "too_many_rejects"),
    ],
)
def test_a_bad_file_is_quarantined_with_a_reason(
    installation: Installation, load: Load, name: str, content: str, reason: str
) -> None:
    load({"students_2026-01-01.csv": STUDENTS, name: content})
    row = installation.warehouse.frame(
        "SELECT status, reason_code, reason FROM ingest_file WHERE first_name = ?", (name,)
    )
    assert row["status"][0] == "quarantined"
    assert row["reason_code"][0] == reason
    assert len(row["reason"][0]) > 20
    assert len(list((installation.data / "quarantine").rglob(f"*{name}"))) == 1
    assert installation.warehouse.row_count("dim_students") == 2


def test_an_unknown_code_lowers_coverage_until_it_is_added_to_the_reference(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"S1,2026-01-{day:02},{'Zoom' if day > 28 else 'Present'}\n" for day in range(5, 31))
    load({"students_2026-01-01.csv": STUDENTS, "attendance.csv": "Student_ID,Date,Attendance_Status\n" + rows})
    view = (
        "SELECT days_recorded, attendance_rate, attendance_coverage FROM v_student_risk_monitor WHERE student_id = 'S1'"
    )
    before = installation.warehouse.frame(view).iloc[0]
    assert (before["days_recorded"], before["attendance_rate"]) == (24, 100.0)
    assert before["attendance_coverage"] == pytest.approx(100 * 24 / 26)
    rules = installation.root / "reference"
    rules.mkdir()
    for path in load_settings().reference_dir.glob("*.csv"):
        (rules / path.name).write_bytes(path.read_bytes())
    with (rules / "dim_attendance_codes.csv").open("a") as file:
        file.write("zoom,ABSENT,100,0,Not here\n")
    monkeypatch.setenv("STUDENT360_REFERENCE_DIR", str(rules))
    load()
    after = installation.warehouse.frame(view).iloc[0]
    assert after["days_recorded"] == 26
    assert after["attendance_coverage"] == 100.0
    assert after["attendance_rate"] == pytest.approx(100 * 24 / 26)


def test_scores_without_date_and_assessment_are_numbered_in_order(installation: Installation, load: Load) -> None:
    header = "Student_ID,Subject,Exam_Score,Homework_Completion_%,Teacher_Comments\n"
    rows = header + "S1,Math,70,100%,\n" * 2 + "S1,Math,90,-5,\n"
    load({"students_2026-01-01.csv": STUDENTS, "performance_2026-01-09.csv": rows})
    facts = installation.warehouse.frame("SELECT date_key, assessment, raw_score, homework_flag FROM fact_performance")
    assert facts.to_numpy().tolist() == [
        [20260109, "#1", 70.0, "ok"],
        [20260109, "#2", 70.0, "ok"],
        [20260109, "#3", 90.0, "homework_out_of_range"],
    ]
    load({"performance_2026-01-09_fixed.csv": rows.replace("90,-5", "95,50")})
    assert ledger(installation)["performance_2026-01-09_fixed.csv"] == (3, 0, 1, 2, 0, 0)


@pytest.mark.parametrize("staged_as", ["rows", "parquet"])
def test_the_date_order_is_determined_from_the_whole_file(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch, staged_as: str
) -> None:
    if staged_as == "parquet":
        monkeypatch.setenv("STUDENT360_LARGE_FILE_MEGABYTES", "0")
    many_blocks = "".join(f"S1,2025-{i // 28 % 12 + 1:02}-{i % 28 + 1:02},{i},Present\n" for i in range(400_000))
    rows = f"S1,13/04/2026,,Present\nS1,03/04/2026,,Present\n{many_blocks}S1,04/14/2026,,Present\n"
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-05-01.csv": f"Student_ID,Date,Period,Status\n{rows}"})
    assert ledger(installation)["attendance_2026-05-01.csv"] == (400_003, 400_002, 0, 0, 1, 0)
    rejects = installation.warehouse.frame("SELECT line_no, reason_code FROM row_reject")
    assert rejects.to_dict("records") == [{"line_no": 3, "reason_code": "date_ambiguous"}]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_arrival_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, new_installation: NewInstallation, engine: str, seed: int
) -> None:
    """Loading all files together and one by one in random order gives the same warehouse."""
    folder = tmp_path_factory.mktemp("sample")
    files = write_district(folder, District(students=60, days=25, seed=seed))
    order = list(files)
    random.Random(seed).shuffle(order)
    results = []
    for batches in ([files], [[path] for path in order]):
        installation = new_installation(engine)
        for batch in batches:
            for path in batch:
                installation.drop(path.name, path.read_bytes())
            run_pipeline(installation, load_settings())
        results.append(by_natural_key(installation.warehouse))
    assert_same(results[0], results[1])


def by_natural_key(warehouse: Warehouse) -> dict[str, pd.DataFrame]:
    """Return facts and the risk view with natural keys instead of surrogate keys."""
    queries = {
        "attendance": "SELECT i.student_id, f.date_key, b.code, f.period, c.code AS status FROM fact_attendance AS f"
        " JOIN student_identity AS i ON i.student_durable_key = f.student_durable_key"
        " JOIN dim_subjects AS b ON b.subject_key = f.subject_key"
        " JOIN dim_attendance_codes AS c ON c.attendance_code_key = f.attendance_code_key",
        "students": "SELECT s.student_id, s.full_name, s.grade_level, s.homeroom, s.is_current FROM dim_students AS s"
        " WHERE s.is_current = 1",
        "risk": "SELECT * FROM v_student_risk_monitor",
        "months": "SELECT * FROM v_attendance_monthly",
        "counts": "SELECT (SELECT COUNT(*) FROM fact_performance) AS p, (SELECT COUNT(*) FROM fact_homework) AS h,"
        " (SELECT COUNT(*) FROM fact_communication) AS c",
    }
    frames = {}
    for name, query in queries.items():
        frame = warehouse.frame(query).drop(columns="student_durable_key", errors="ignore")
        frames[name] = frame.sort_values(list(frame.columns), ignore_index=True)
    return frames


class PowerCut(BaseException):
    """Simulates the end of the process."""


@pytest.mark.parametrize("seed", range(4))
def test_a_load_interrupted_at_random_statements_ends_with_the_same_result(
    tmp_path_factory: pytest.TempPathFactory,
    new_installation: NewInstallation,
    engine: str,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The load is interrupted at random statements and restarted until it succeeds."""
    files = write_district(tmp_path_factory.mktemp("sample"), District(students=40, days=15, seed=7))
    results = []
    real = Transaction.execute
    rng = random.Random(seed)
    for interrupted in (False, True):
        installation = new_installation(engine)
        for path in files:
            installation.drop(path.name, path.read_bytes())
        for attempt in range(40):
            remaining = [rng.randrange(5, 160) if interrupted and attempt < 25 else 10**9]

            def execute(
                self: Transaction, statement: str, parameters: object = (), remaining: list[int] = remaining
            ) -> None:
                remaining[0] -= 1
                if remaining[0] == 0:
                    raise PowerCut
                real(self, statement, parameters)  # type: ignore[arg-type]

            monkeypatch.setattr(Transaction, "execute", execute)
            try:
                run_pipeline(installation, load_settings())
            except PowerCut:
                continue
            finally:
                monkeypatch.setattr(Transaction, "execute", real)
            break
        results.append(by_natural_key(installation.warehouse))
        assert len(list((installation.data / "processed").rglob("*.csv"))) == len(files)
        for counts in ledger(installation).values():
            assert counts[0] == sum(counts[1:])
    assert_same(results[0], results[1])


def test_an_internal_error_quarantines_one_file_without_quoting_values(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(texts: pd.Series, column: Column, reading: Reading) -> Cleaned:
        if column.kind is Kind.DAY:
            raise ValueError(f"cannot read {list(texts)}")
        return clean_values(texts, column, reading)

    monkeypatch.setattr("student360.ingest.staging.clean_values", faulty)
    plain = "Student_ID,Subject,Exam_Score,Homework_Completion_%,Teacher_Comments\nS1,Math,70,100%,\n"
    load({"attendance.csv": ATTENDANCE, "performance.csv": plain})
    files = installation.warehouse.frame("SELECT first_name, status, reason FROM ingest_file ORDER BY first_name")
    assert files["status"].to_list() == ["quarantined", "waiting"]
    assert "ValueError" in files["reason"][0]
    assert "2026" not in files["reason"][0]


def test_a_file_archived_by_an_interrupted_run_is_found_by_its_claim_id(installation: Installation, load: Load) -> None:
    load({"students_2026-01-01.csv": STUDENTS})
    with installation.warehouse.transaction() as tx:
        tx.execute("UPDATE file_drop SET archived_at = NULL, archived_path = NULL")
    load()
    path = installation.warehouse.frame("SELECT archived_path FROM file_drop")["archived_path"][0]
    assert (installation.data / path).is_file()


@pytest.mark.parametrize("written", ["before it is staged", "before it is archived"])
def test_rows_written_after_the_claim_are_loaded(
    installation: Installation, load: Load, settings: Settings, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    load({"students_2026-01-01.csv": STUDENTS})
    installation.drop("attendance_2026-01-05.csv", ATTENDANCE.encode())
    receive(installation.warehouse, settings, contracts()["attendance"], "test-run")
    with next((installation.data / "work").iterdir()).open("a") as late_writer:
        if written == "before it is archived":
            with monkeypatch.context() as patch:
                patch.setattr("student360.loading.pipeline.archive_finished", lambda *_: None)
                load()
            assert installation.warehouse.row_count("fact_attendance") == 2
        late_writer.write("S1,2026-01-06,Present\n")
    load()
    load()
    assert installation.warehouse.row_count("fact_attendance") == 3
    assert not list((installation.data / "landing").iterdir())


def test_a_load_leaves_no_month_pending_and_sets_the_as_of_date(installation: Installation, load: Load) -> None:
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-05.csv": ATTENDANCE})
    touched = installation.warehouse.frame("SELECT COUNT(*) AS n FROM touched_student_month")["n"][0]
    assert touched == 0
    assert (
        installation.warehouse.frame("SELECT as_of_date FROM v_as_of")["as_of_date"][0] == date(2026, 1, 5).isoformat()
    )
