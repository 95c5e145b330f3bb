"""Every row that was sent is in the warehouse, or the ledger says why not; sending again changes nothing."""

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
    """Every table that people read, without surrogates and lineage, in a fixed order."""
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
    """(read, loaded, updated, unchanged, rejected, waiting) by name of the file."""
    with installation.warehouse.reading() as tx:
        files = file_table(tx)
    return {row["name"]: tuple(int(row[c]) for c in COUNTS) for row in files.to_dict("records")}


@pytest.mark.fault("F27")
def test_rows_wait_for_their_student_and_are_merged_when_it_comes(installation: Installation, load: Load) -> None:
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
def test_the_same_bytes_again_are_a_duplicate_and_change_nothing(installation: Installation, load: Load) -> None:
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
def test_a_newer_export_corrects_and_an_older_one_never_does(installation: Installation, load: Load) -> None:
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


def test_an_export_that_confirms_a_value_also_protects_it_from_older_ones(
    installation: Installation, load: Load
) -> None:
    row = "Student_ID,Date,Attendance_Status\nS1,2026-01-05,{}\n"
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-06.csv": row.format("Absent")})
    load({"attendance_2026-01-10.csv": row.format("absent")})
    load({"attendance_2026-01-08.csv": row.format("Present")})
    assert ledger(installation)["attendance_2026-01-08.csv"] == (1, 0, 0, 1, 0, 0)


def test_students_keep_their_versions(installation: Installation, load: Load) -> None:
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


def test_a_blank_in_a_newer_roster_does_not_erase_what_is_known(installation: Installation, load: Load) -> None:
    load({"students_2026-01-01.csv": STUDENTS})
    load({"students_2026-02-01.csv": STUDENTS.replace("555-1", "").replace("3-A", "")})
    row = installation.warehouse.frame("SELECT emergency_contact, homeroom FROM dim_students WHERE student_id = 'S1'")
    assert row.to_numpy().tolist() == [["555-1", "3-A"]]
    assert ledger(installation)["students_2026-02-01.csv"] == (2, 0, 0, 2, 0, 0)


def test_several_rosters_dropped_at_once_are_taken_in_the_order_of_their_days(
    installation: Installation, load: Load
) -> None:
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


def test_a_bad_row_never_stops_the_good_ones(installation: Installation, load: Load) -> None:
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


def test_two_rows_that_contradict_each_other_are_both_refused(installation: Installation, load: Load) -> None:
    one = "S1,2026-01-05,Present\nS1,2026-01-05,Absent\n"
    other = "S2,2026-01-05,P\n" * 2
    rows = f"Student_ID,Date,Attendance_Status\n{one}{other}"
    load({"students_2026-01-01.csv": STUDENTS, "attendance.csv": rows})
    assert ledger(installation)["attendance.csv"] == (4, 1, 0, 1, 2, 0)
    lines = installation.warehouse.frame("SELECT line_no, reason_code FROM row_reject ORDER BY line_no")
    assert lines.to_numpy().tolist() == [[2, "conflicting_duplicate"], [3, "conflicting_duplicate"]]


def test_rows_that_write_the_subject_in_other_letters_say_the_same(installation: Installation, load: Load) -> None:
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


def test_a_file_in_which_all_contradicts_itself_is_refused_in_no_time(installation: Installation, load: Load) -> None:
    """Lessons sent without their period: every student has two words about every day."""
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
def test_a_bad_file_goes_to_quarantine_with_a_reason_and_what_to_do(
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


def test_an_unknown_code_lowers_coverage_and_the_reference_heals_history(
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


def test_scores_without_day_or_name_are_told_apart_by_their_order(installation: Installation, load: Load) -> None:
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
def test_a_date_late_in_a_file_that_disproves_the_order_of_its_dates_counts_for_all_of_it(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch, staged_as: str
) -> None:
    if staged_as == "parquet":
        monkeypatch.setenv("STUDENT360_LARGE_FILE_MEGABYTES", "0")
    many_blocks = "".join(f"S1,2025-{i // 28 % 12 + 1:02}-{i % 28 + 1:02},{i},Present\n" for i in range(400_000))
    rows = f"S1,13/04/2026,,Present\nS1,03/04/2026,,Present\n{many_blocks}S1,04/14/2026,,Present\n"
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-05-01.csv": f"Student_ID,Date,Period,Status\n{rows}"})
    assert ledger(installation)["attendance_2026-05-01.csv"] == (400_003, 400_002, 0, 0, 1, 0)
    refused = installation.warehouse.frame("SELECT line_no, reason_code FROM row_reject")
    assert refused.to_dict("records") == [{"line_no": 3, "reason_code": "date_ambiguous"}]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_arrival_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, new_installation: NewInstallation, engine: str, seed: int
) -> None:
    """The same files all at once, and one by one in random order, give the same warehouse."""
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
    """Facts and the risk view with surrogate keys replaced by what they stand for."""
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
    """The process dies here."""


@pytest.mark.parametrize("seed", range(4))
def test_a_load_that_dies_anywhere_and_runs_again_ends_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    new_installation: NewInstallation,
    engine: str,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut the power at random statements, again and again, until the load gets through."""
    files = write_district(tmp_path_factory.mktemp("sample"), District(students=40, days=15, seed=7))
    results = []
    real = Transaction.execute
    rng = random.Random(seed)
    for cut in (False, True):
        installation = new_installation(engine)
        for path in files:
            installation.drop(path.name, path.read_bytes())
        for attempt in range(40):
            fuse = [rng.randrange(5, 160) if cut and attempt < 25 else 10**9]

            def burning(self: Transaction, statement: str, parameters: object = (), fuse: list[int] = fuse) -> None:
                fuse[0] -= 1
                if fuse[0] == 0:
                    raise PowerCut
                real(self, statement, parameters)  # type: ignore[arg-type]

            monkeypatch.setattr(Transaction, "execute", burning)
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


def test_a_fault_of_ours_stops_one_file_and_quotes_no_value(
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


def test_a_file_that_was_moved_by_a_run_that_died_is_found_by_its_claim(installation: Installation, load: Load) -> None:
    load({"students_2026-01-01.csv": STUDENTS})
    with installation.warehouse.transaction() as tx:
        tx.execute("UPDATE file_drop SET archived_at = NULL, archived_path = NULL")
    load()
    path = installation.warehouse.frame("SELECT archived_path FROM file_drop")["archived_path"][0]
    assert (installation.data / path).is_file()


@pytest.mark.parametrize("written", ["before it is staged", "before it is archived"])
def test_a_writer_that_keeps_the_file_open_across_the_claim_loses_nothing(
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


def test_a_daily_file_for_a_feed_leaves_the_others_alone(installation: Installation, load: Load) -> None:
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-05.csv": ATTENDANCE})
    touched = installation.warehouse.frame("SELECT COUNT(*) AS n FROM touched_student_month")["n"][0]
    assert touched == 0
    assert (
        installation.warehouse.frame("SELECT as_of_date FROM v_as_of")["as_of_date"][0] == date(2026, 1, 5).isoformat()
    )
