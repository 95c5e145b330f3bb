"""Each fault of the list costs nothing: what was sent is there once, or one can see why not."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi
import pytest
from dagster import RunRequest

from student360.contracts import contracts
from student360.crash_points import CrashPoint
from student360.ingest.files import claim, landed_files, now, open_regular
from student360.loading import receive, stage
from student360.loading.receive import FolderProblem
from student360.settings import PROJECT, load_settings
from student360.verify import verify
from student360.warehouse.errors import WarehouseError
from student360.warehouse.transaction import Transaction
from student360.warehouse.warehouse import Warehouse
from student360_tests.conftest import (
    ON_POSTGRES_ONLY,
    ON_SQLITE_ONLY,
    SQLITE_AND_POSTGRES_IN_FULL,
    assert_every_row_is_accounted_for,
    run_pipeline,
)
from student360_tests.loading.test_loading import STUDENTS, ledger
from student360_tests.postgres import ask, server_url, throw_away_server
from student360_tests.running import House
from student360_tests.test_sensors import settled_cursor, short_looks, tick
from student360_tests.test_two_writers import MATERIALIZE
from student360_tests.trust.faults import FAULTS
from student360_tests.trust.houses import throw_away_house
from student360_tests.trust.kills import Figures, Plan, Producer, come_to_rest, join, passes, start, violations
from student360_tests.trust.soak import NoSmallDisk, filled, small_disk

__all__ = ["short_looks"]
Load = Callable[..., None]
HEADER = "Student_ID,Date,Attendance_Status\n"
ROSTER = {"students_2026-01-01.csv": STUDENTS}


def assert_whole(house: House, facts: int | None = None) -> None:
    """Every promise holds, nothing lies around, every row is accounted for."""
    settings = load_settings()
    assert [line for promise in verify(house.warehouse, settings) for line in promise.broken] == []
    for folder in (settings.landing, settings.work):
        assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert_every_row_is_accounted_for(house.warehouse.frame("SELECT * FROM ingest_file"))
    if facts is not None:
        assert house.warehouse.row_count("fact_attendance") == facts


def year_of_attendance() -> bytes:
    """336 good rows."""
    days = (f"2025-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29))
    return (HEADER + "".join(f"S1,{day},Present\n" for day in days)).encode()


def materialize(environment: dict[str, str], select: str = MATERIALIZE[-1]) -> subprocess.Popen[bytes]:
    """`dagster asset materialize` in a process of its own."""
    program = [str(Path(sys.executable).parent / MATERIALIZE[0]), *MATERIALIZE[1:-1], select]
    return subprocess.Popen(program, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_the_page_lists_every_fault() -> None:
    page = (PROJECT / "docs" / "trust.md").read_text()
    assert [what for fault, what in FAULTS.items() if f"| {fault} | {what} |" not in page] == []


POINTS = [pytest.param(point, marks=pytest.mark.fault(f"F{number:02}")) for number, point in enumerate(CrashPoint, 1)]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_killed_at_a_crash_point_and_started_again_nothing_is_lost_or_twice(
    engine: str, point: CrashPoint, tmp_path: Path
) -> None:
    figures = Figures()
    with throw_away_house(engine, tmp_path) as house:
        producer = Producer(house, random.Random(point))
        producer.drop_roster()
        producer.drop_something()
        join(house, figures, [start(house)])
        for place in ("first", "second", "last"):
            for _ in range(3):
                producer.drop_facts()
            last = passes(house, point)
            hit = {"first": 1, "second": min(2, last), "last": last}[place]
            join(house, figures, [start(house, Plan(point, hit))], point)
            if place != "last":
                join(house, figures, [start(house)])
        come_to_rest(house, figures)
        assert figures.violations + violations(house, producer) == []
        assert figures.kills[point] >= 2


@pytest.mark.fault("F10")
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_killed_while_tidying_up_after_a_kill(engine: str, tmp_path: Path) -> None:
    figures = Figures()
    with throw_away_house(engine, tmp_path) as house:
        producer = Producer(house, random.Random(10))
        producer.drop_roster()
        join(house, figures, [start(house)])
        for point in (
            CrashPoint.AFTER_BEGIN,
            CrashPoint.BEFORE_COMMIT,
            CrashPoint.AFTER_COMMIT,
            CrashPoint.AROUND_RENAME,
        ):
            producer.drop_facts()
            join(house, figures, [start(house, Plan(CrashPoint.AFTER_CLAIM, 1))], "first")
            join(house, figures, [start(house, Plan(point, 1))], "second")
        come_to_rest(house, figures)
        assert figures.violations + violations(house, producer) == []
        assert figures.kills["second"] == 4


@pytest.mark.fault("F11", "F32")
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_lost_answer_to_a_commit_is_looked_up_in_the_ledger(engine: str, tmp_path: Path) -> None:
    figures = Figures()
    with throw_away_house(engine, tmp_path) as house:
        producer = Producer(house, random.Random(11))
        producer.drop_roster()
        join(house, figures, [start(house)])
        for hit in (1, 2, 5, passes(house, CrashPoint.AFTER_COMMIT)):
            producer.drop_facts()
            join(house, figures, [start(house, Plan(CrashPoint.AFTER_COMMIT, hit, answer_is_lost=True))], "lost")
        come_to_rest(house, figures)
        assert figures.violations + violations(house, producer) == []
        assert figures.kills["lost"] >= 3


@pytest.mark.fault("F39")
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_killed_while_the_tables_are_made_they_are_made_by_the_next_run(engine: str, tmp_path: Path) -> None:
    figures = Figures()
    with throw_away_house(engine, tmp_path) as house:
        producer = Producer(house, random.Random(39))
        producer.drop_roster()
        for point in (CrashPoint.AFTER_BEGIN, CrashPoint.BEFORE_COMMIT):
            join(house, figures, [start(house, Plan(point, 1))], "making")
        come_to_rest(house, figures)
        with house.warehouse.transaction() as tx:
            tx.execute("UPDATE schema_object SET fingerprint = 'old' WHERE name = 'v_as_of'")
        producer.drop_facts()
        join(house, figures, [start(house, Plan(CrashPoint.BEFORE_COMMIT, 1))], "making")
        come_to_rest(house, figures)
        assert figures.violations + violations(house, producer) == []
        assert figures.kills["making"] == 3


@pytest.mark.fault("F40")
@pytest.mark.parametrize("engine", SQLITE_AND_POSTGRES_IN_FULL, indirect=True)
def test_when_memory_runs_out_the_run_fails_and_the_next_one_loads(house: House, load: Load) -> None:
    load(ROSTER)
    rows = "".join(f"S1,2025-{n % 12 + 1:02}-{n % 28 + 1:02},Code{n},{n}\n" for n in range(100_000))
    house.drop("attendance_2026-01-05.csv", f"{HEADER.strip()},Period\n{rows}".encode())

    code = (
        "import resource; from student360_tests.trust.kills import load_once;"
        " size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize();"
        " resource.setrlimit(resource.RLIMIT_AS, (size + 40 * 2**20,) * 2); load_once()"
    )
    starved = subprocess.Popen([sys.executable, "-c", code], env=house.environment, cwd=PROJECT)
    assert starved.wait() != 0
    load()
    assert_whole(house)
    assert ledger(house)["attendance_2026-01-05.csv"] == (100_000, 100_000, 0, 0, 0, 0)


@pytest.mark.fault("F40")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@ON_SQLITE_ONLY
def test_a_materialisation_that_is_stopped_by_hand_goes_on_next_time(
    house: House, load: Load, how: signal.Signals
) -> None:
    load(ROSTER)
    house.drop("attendance_2026-01-05.csv", year_of_attendance())
    process = materialize(house.environment)
    deadline = time.monotonic() + 60
    while not any((house.data / "work").iterdir()) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(how)
    process.communicate(timeout=60)
    load()
    assert_whole(house, facts=336)


@pytest.mark.fault("F20", "F21")
def test_a_file_that_somebody_still_writes_to_is_not_taken_until_it_is_closed(house: House, load: Load) -> None:
    load(ROSTER)
    with (house.data / "landing" / "attendance_2026-01-05.csv").open("w") as slow:
        slow.write(HEADER + "S1,2026-01-05,Present\n")
        slow.flush()
        load()
        assert ledger(house).keys() == ROSTER.keys()
        slow.write("S2,2026-01-05,Present\n")
    load()
    assert_whole(house, facts=2)


@pytest.mark.fault("F21")
def test_what_is_written_to_a_file_after_it_was_claimed_is_loaded_as_another_content(
    house: House, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a network nobody can tell that a file is still open: the bytes are looked at again before the archive."""
    load(ROSTER)
    monkeypatch.setattr(receive, "is_being_written", lambda _: False)
    with (house.data / "landing" / "attendance_2026-01-05.csv").open("w") as slow:
        slow.write(HEADER + "S1,2026-01-05,Present\n")
        slow.flush()
        real = open_regular

        def late(path: Path) -> Any:
            stream = real(path)
            monkeypatch.setattr(stage, "open_regular", real)
            read = stream.read

            class Late:
                """The writer goes on once everything was read."""

                def read(self, size: int = -1) -> bytes:
                    block: bytes = read(size)
                    if not block and not slow.closed:
                        slow.write("S2,2026-01-05,Present\n")
                        slow.close()
                    return block

                def __getattr__(self, name: str) -> Any:
                    return getattr(stream, name)

                def __enter__(self) -> "Late":
                    return self

                def __exit__(self, *_: object) -> None:
                    stream.close()

            return Late()

        monkeypatch.setattr(stage, "open_regular", late)
        load()
    load()
    assert_whole(house, facts=2)
    assert house.warehouse.row_count("ingest_file") == 3


@pytest.mark.fault("F22")
def test_an_upload_that_was_cut_off_is_made_good_by_the_whole_one(house: House, load: Load) -> None:
    whole = HEADER + "".join(f"S1,2025-10-{day:02},Absent\n" for day in range(1, 31))
    load(ROSTER)
    load({"attendance_2026-01-05.csv": whole[:400]})
    load({"attendance_2026-01-05.csv": whole})
    assert_whole(house, facts=30)
    assert house.warehouse.row_count("ingest_file") == 3
    with house.warehouse.reading() as tx:
        assert "end" in str(tx.value("SELECT warnings FROM ingest_file WHERE file_id = 2"))


@pytest.mark.fault("F24")
def test_twenty_contents_under_one_name_are_twenty_files(house: House, load: Load) -> None:
    load(ROSTER)
    for day in range(1, 21):
        load({"attendance.csv": HEADER + f"S1,2025-10-{day:02},Present\n"})
    assert_whole(house, facts=20)
    assert len(list((house.data / "processed").rglob("*attendance.csv"))) == 20
    assert house.warehouse.row_count("ingest_file") == 21


@pytest.mark.fault("F26")
def test_the_times_of_files_and_a_clock_that_jumps_play_no_part(
    house: House, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(ROSTER)
    real = now
    for number, mtime in enumerate((0, 2_147_483_647, 4_102_444_800)):
        path = house.drop(f"attendance_{number}_2026-01-05.csv", f"{HEADER}S1,2026-01-0{number + 1},Present\n".encode())
        os.utime(path, (mtime, mtime))
        jump = timedelta(days=number - 1)
        monkeypatch.setattr(receive, "now", lambda jump=jump: real() + jump)
        load()
    newer, older = HEADER + "S2,2026-01-05,Absent\n", HEADER + "S2,2026-01-05,Present\n"
    load({"attendance_new_2026-01-20.csv": newer})
    os.utime(house.drop("attendance_old_2026-01-10.csv", older.encode()), (4_102_444_800, 4_102_444_800))
    load()
    assert ledger(house)["attendance_old_2026-01-10.csv"] == (1, 0, 0, 1, 0, 0)
    assert_whole(house, facts=4)


@pytest.mark.fault("F28")
@ON_SQLITE_ONLY
def test_a_burst_of_files_is_a_few_runs(house: House, load: Load, monkeypatch: pytest.MonkeyPatch, full: bool) -> None:
    load(ROSTER)
    count, in_one_run = (1_000, 200) if full else (150, 30)
    monkeypatch.setenv("STUDENT360_BATCH_FILES", str(in_one_run))
    cursor: str | None = settled_cursor(house)
    for number in range(count):
        day = datetime(2024, 1, 1) + timedelta(days=number)
        house.drop(f"attendance_{number:05}.csv", f"{HEADER}S1,{day:%Y-%m-%d},Present\n".encode())
    runs = 0
    while landed_files(house.data / "landing"):
        request, cursor = tick(cursor)
        assert isinstance(request, RunRequest)
        tickets = request.run_config["ops"]["raw_attendance"]["config"]["ready"]
        receive.receive(house.warehouse, load_settings(), contracts()["attendance"], "burst", tickets)
        runs += 1
    load()
    assert runs == count / in_one_run
    assert_whole(house, facts=count)


@pytest.mark.fault("F28")
@ON_SQLITE_ONLY
def test_ten_thousand_files_in_the_folder_do_not_hold_up_the_sensor(house: House) -> None:
    cursor = settled_cursor(house)
    for number in range(10_000):
        (house.data / "landing" / f"attendance_{number:05}.csv").write_text(f"{HEADER}S{number},2026-01-05,Present\n")
    begin = time.monotonic()
    request, _ = tick(cursor)
    assert time.monotonic() - begin < 30, "Dagster gives a tick 60 seconds"
    assert isinstance(request, RunRequest)
    assert request.tags["student360/files"] == "200"


@pytest.mark.fault("F29")
@pytest.mark.parametrize("engine", SQLITE_AND_POSTGRES_IN_FULL, indirect=True)
def test_memory_does_not_grow_with_the_file(house: House, full: bool) -> None:
    sizes = (1_000_000, 5_000_000) if full else (100_000, 400_000)
    peaks = [_peak_of_loading(house, rows) for rows in sizes]
    assert max(peaks) < 700
    assert peaks[1] < peaks[0] + 150
    assert house.warehouse.frame("SELECT MAX(rows_read) AS n FROM ingest_file")["n"][0] == sizes[1]


def _peak_of_loading(house: House, rows: int) -> float:
    """The most memory, in megabytes, that a process takes to load a file of so many rows of 1,000 students."""
    house.drop(
        "students_2024-01-01.csv",
        b"Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\n"
        + b"".join(b"S%d,A B,2014-01-01,3,\n" % n for n in range(1_000)),
    )
    part = house.data / "landing" / "attendance.csv.part"
    with part.open("w") as file:
        file.write("Student_ID,Date,Attendance_Status,Period\n")
        for n in range(rows):
            day = n // 1_000 % 336
            file.write(f"S{n % 1_000},2025-{day // 28 + 1:02}-{day % 28 + 1:02},Present,{n // 336_000 + 1}\n")
    part.rename(house.data / "landing" / f"attendance_2026-01-01_{rows}.csv")
    code = (
        "import resource; from student360_tests.trust.kills import load_once; load_once();"
        " print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    environment = house.environment | {"STUDENT360_SETTLE_SECONDS": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=PROJECT, capture_output=True, check=True)
    return float(done.stdout.split()[-1])


@pytest.mark.fault("F33")
@ON_POSTGRES_ONLY
def test_a_deadlock_with_somebody_else_costs_a_retry(house: House, load: Load) -> None:
    load(ROSTER)
    house.drop("attendance_2026-01-05.csv", f"{HEADER}S1,2026-01-05,Present\n".encode())
    real, met = Transaction.run, threading.Event()

    def stranger() -> None:
        with adbc_driver_postgresql.dbapi.connect(server_url(), autocommit=True) as other, other.cursor() as cursor:
            cursor.execute(f"SET search_path = {house.schema}")
            cursor.execute("SET deadlock_timeout = '30s'")
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE data_extent IN ACCESS EXCLUSIVE MODE")
            met.set()
            with suppress(adbc_driver_postgresql.dbapi.Error):
                cursor.execute("LOCK TABLE ingest_file IN ACCESS EXCLUSIVE MODE")
            cursor.execute("ROLLBACK")

    thread = threading.Thread(target=stranger)

    def run(self: Transaction, script: Any, section: str, fragments: Any = None) -> None:
        if script.name == "data_extent" and not met.is_set():
            thread.start()
            met.wait(30)
            time.sleep(0.2)
        real(self, script, section, fragments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transaction, "run", run)
        with pytest.raises(WarehouseError, match="40P01"):
            load()
    thread.join()
    load()
    assert_whole(house, facts=1)


@pytest.mark.fault("F12", "F30")
@ON_POSTGRES_ONLY
def test_a_writer_that_is_killed_in_a_long_statement_frees_its_lock(house: House, load: Load) -> None:
    """The server works on for a client that is gone, until it looks (PostgreSQL 14 and newer)."""
    load(ROSTER)
    code = (
        "from student360.settings import load_settings; from student360.warehouse.warehouse import Warehouse\n"
        "with Warehouse(url=load_settings().warehouse_url).transaction() as tx:\n"
        "    print('in', flush=True); tx.query('SELECT pg_sleep(600)::text AS slept')"
    )
    writer = subprocess.Popen([sys.executable, "-c", code], env=house.environment, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"in\n"
    time.sleep(0.5)
    writer.kill()
    writer.communicate()
    load({"attendance_2026-01-05.csv": f"{HEADER}S1,2026-01-05,Present\n"})
    assert_whole(house, facts=1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that can be filled. In CI it must be there, so that nothing is skipped in silence."""
    try:
        with small_disk(tmp_path / "disk", 64) as made:
            yield made
    except NoSmallDisk as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


@pytest.mark.fault("F34")
@ON_SQLITE_ONLY
@pytest.mark.parametrize("of_what", ["warehouse", "data", "Dagster"])
def test_a_full_disk_fails_loudly_and_goes_on_when_there_is_space(
    house: House, disk: Path, monkeypatch: pytest.MonkeyPatch, of_what: str
) -> None:
    environment = house.environment | {"STUDENT360_SETTLE_SECONDS": "0"}
    environment |= {
        "warehouse": {"STUDENT360_WAREHOUSE_URL": f"sqlite:///{disk}/student360.db"},
        "data": {"STUDENT360_DATA_DIR": str(disk), "STUDENT360_WAREHOUSE_URL": f"sqlite:///{house.root}/student360.db"},
        "Dagster": {"DAGSTER_HOME": str(disk)},
    }[of_what]
    for name in ("STUDENT360_WAREHOUSE_URL", "STUDENT360_DATA_DIR"):
        if name in environment:
            monkeypatch.setenv(name, environment[name])
    (disk / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
    settings = load_settings()
    warehouse = Warehouse(url=settings.warehouse_url)
    bad = "S1,2026-13-01,Zyx-Canary-7731\n"
    files = {**ROSTER, "attendance_2026-01-05.csv": HEADER + "S1,2026-01-05,Present\nS2,2026-01-05,Absent\n" + bad}
    landing = settings.landing
    landing.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in files.items():
        (landing / name).write_text(text)
    with filled(disk):
        failed = materialize(environment)
        told, _ = failed.communicate()
    assert failed.returncode != 0
    assert b"full" in told or b"No space" in told
    assert b"Canary" not in told
    done = materialize(environment)
    told, _ = done.communicate()
    assert done.returncode == 0, told[-2000:]
    assert [line for promise in verify(warehouse, settings) for line in promise.broken] == []
    assert warehouse.row_count("fact_attendance") == 2
    assert not [path for path in (*landing.iterdir(), *settings.work.iterdir()) if path.is_file()]


@pytest.mark.fault("F34")
@ON_POSTGRES_ONLY
@pytest.mark.xdist_group("own_server")
def test_a_server_whose_disk_is_full_says_so_and_goes_on_when_there_is_space(
    engine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, disk: Path
) -> None:
    disk.chmod(0o711)
    for parent in disk.parents:
        if parent != Path("/tmp") and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    with throw_away_server() as server:
        ask("SELECT 1", server.url)
        space = disk / "space"
        space.mkdir()
        server.own(space)
        ask(f"CREATE TABLESPACE small LOCATION '{space}'", server.url)
        ask("ALTER DATABASE postgres SET default_tablespace = 'small'", server.url)
        house = House(tmp_path / "house", server.url, "full_disk")
        (tmp_path / "house").mkdir()
        house.prepare()
        for name, value in house.environment.items():
            if name.startswith("STUDENT360_"):
                monkeypatch.setenv(name, value)
        monkeypatch.setenv("STUDENT360_SETTLE_SECONDS", "0")
        house.warehouse.prepare()
        house.drop("students_2026-01-01.csv", STUDENTS.encode())
        house.drop("attendance_2026-01-05.csv", year_of_attendance())
        with filled(disk), pytest.raises(WarehouseError, match="disk is full"):
            run_pipeline(house, load_settings())
        run_pipeline(house, load_settings())
        assert_whole(house, facts=336)


def read_only(folder: Path) -> None:
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)


@pytest.mark.fault("F35")
@ON_SQLITE_ONLY
@pytest.mark.parametrize("name", ["landing", "work", "processed", "quarantine"])
def test_a_folder_that_is_missing_is_made_and_a_read_only_one_is_named(house: House, load: Load, name: str) -> None:
    load(ROSTER)
    folder = house.data / name
    (folder if name != "processed" else folder / "none").mkdir(exist_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
    load({})
    house.drop("attendance_2026-01-05.csv", f"{HEADER}S1,2026-01-05,Present\n".encode())
    try:
        read_only(folder)
    except subprocess.CalledProcessError:
        pytest.skip("a read-only folder needs the right to mount one (root)")
    try:
        with pytest.raises(FolderProblem, match=f"the folder {name} cannot be written to"):
            load()
    finally:
        subprocess.run(["umount", folder], check=True)
    load()
    assert_whole(house, facts=1)


@pytest.mark.fault("F35")
@ON_SQLITE_ONLY
def test_folders_on_different_disks_are_refused_before_anything_is_moved(
    house: House, load: Load, tmp_path: Path
) -> None:
    load(ROSTER)
    path = house.drop("attendance_2026-01-05.csv", f"{HEADER}S1,2026-01-05,Present\n".encode())
    try:
        with small_disk(house.data / "quarantine", 8), pytest.raises(FolderProblem, match="on one file system"):
            load()
    except NoSmallDisk as reason:
        pytest.skip(str(reason))
    assert path.exists()
    load()
    assert_whole(house, facts=1)


@pytest.mark.fault("F35")
@ON_SQLITE_ONLY
def test_what_goes_wrong_with_a_move_is_told_without_the_name_of_a_file(
    house: House, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(ROSTER)
    house.drop("Zyx-Canary-7731 attendance_2026-01-05.csv", f"{HEADER}S1,2026-01-05,Present\n".encode())

    def lost(file: Any, work: Path) -> None:
        os.close(os.open(file.path, os.O_RDONLY | os.O_DIRECTORY))

    monkeypatch.setattr(receive, "claim", lost)
    with pytest.raises(FolderProblem) as told:
        load()
    assert "Canary" not in str(told.value)
    assert told.value.__cause__ is None
    monkeypatch.setattr(receive, "claim", claim)
    load()
    assert_whole(house, facts=1)


@pytest.mark.fault("F36")
def test_a_foreign_file_in_the_work_folder_is_loaded_or_quarantined_and_never_ignored(house: House, load: Load) -> None:
    load(ROSTER)
    (house.data / "work" / "attendance_2026-01-05.csv").write_text(f"{HEADER}S1,2026-01-05,Present\n")
    (house.data / "work" / "holiday pictures.zip").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    load()
    load()
    assert_whole(house, facts=1)
    statuses = house.warehouse.frame("SELECT status FROM ingest_file")["status"]
    assert sorted(statuses) == [
        "loaded",
        "loaded",
        "quarantined",
    ]


@pytest.mark.fault("F43")
def test_files_are_loaded_while_a_reader_holds_a_long_transaction(house: House, load: Load) -> None:
    load(ROSTER)
    with house.warehouse.reading() as reader:
        assert reader.value("SELECT COUNT(*) FROM fact_attendance") == 0
        load({"attendance_2026-01-05.csv": f"{HEADER}S1,2026-01-05,Present\n"})
        assert reader.value("SELECT COUNT(*) FROM fact_attendance") == 0
    assert_whole(house, facts=1)


@pytest.mark.fault("F17")
def test_a_sensor_that_remembers_nothing_asks_again_and_nothing_is_loaded_twice(house: House, load: Load) -> None:
    load({**ROSTER, "attendance_2026-01-05.csv": f"{HEADER}S1,2026-01-05,Present\n"})
    for cursor in (None, "of another version"):
        request, _ = tick(cursor)
        assert isinstance(request, RunRequest)
        load()
    assert_whole(house, facts=1)
    assert house.warehouse.row_count("file_drop") == 2


@pytest.mark.fault("F41")
@ON_SQLITE_ONLY
def test_when_spark_cannot_run_everything_else_does(house: House, tmp_path: Path) -> None:
    (house.data / "landing" / "students_2026-01-01.csv").write_text(STUDENTS)
    (house.data / "landing" / "attendance_2026-01-05.csv").write_text(f"{HEADER}S1,2026-01-05,Present\n")
    without_java = {"JAVA_HOME": str(tmp_path), "PATH": str(tmp_path), "STUDENT360_SETTLE_SECONDS": "0"}
    process = materialize(house.environment | without_java, "*")
    told, _ = process.communicate()
    assert process.returncode != 0
    assert b"agg_attendance_trend" in told
    assert house.warehouse.row_count("fact_attendance") == 1
    assert house.warehouse.row_count("v_student_risk_monitor") == 2
