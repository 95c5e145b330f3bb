"""Faults of processes: the next process continues, and no row is lost or loaded twice."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster import RunRequest

from student360.crash_points import CrashPoint
from student360.settings import PROJECT
from student360_tests.conftest import (
    IN_FULL,
    ON_SQLITE_ONLY,
    SQLITE_AND_POSTGRES_IN_FULL,
)
from student360_tests.loading.test_loading import STUDENTS, ledger
from student360_tests.orchestration.test_sensors import short_evaluations, tick
from student360_tests.support.installation import Installation
from student360_tests.trust.faults import FAULTS
from student360_tests.trust.installations import (
    HEADER,
    ROSTER,
    assert_consistent,
    materialize,
    temporary_installation,
    year_of_attendance,
)
from student360_tests.trust.kills import Figures, Plan, Producer, join, passes, run_until_idle, start, violations

__all__ = ["short_evaluations"]
Load = Callable[..., None]


def test_the_page_lists_every_fault() -> None:
    page = (PROJECT / "docs" / "reference" / "faults.md").read_text()
    assert [what for fault, what in FAULTS.items() if f"| {fault} | {what} |" not in page] == []


@contextmanager
def trial(engine: str, seed: int, folder: Path) -> Iterator[tuple[Installation, Producer, Figures]]:
    """Provide an installation with a roster. After the block it finishes all work, and no invariant may be violated."""
    figures = Figures()
    with temporary_installation(engine, folder) as installation:
        producer = Producer(installation, random.Random(seed))
        producer.drop_roster()
        yield installation, producer, figures
        run_until_idle(installation, figures)
        assert figures.violations + violations(installation, producer) == []


POINTS = [pytest.param(point, marks=pytest.mark.fault(f"F{number:02}")) for number, point in enumerate(CrashPoint, 1)]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("engine", SQLITE_AND_POSTGRES_IN_FULL)
def test_a_kill_at_a_crash_point_loses_and_duplicates_nothing(engine: str, point: CrashPoint, tmp_path: Path) -> None:
    with trial(engine, int(point[1:]), tmp_path) as (installation, producer, figures):
        producer.drop_file()
        join(installation, figures, [start(installation)])
        for place in ("first", "second", "last"):
            for _ in range(3):
                producer.drop_fact_file()
            last = passes(installation, point)
            hit = {"first": 1, "second": min(2, last), "last": last}[place]
            join(installation, figures, [start(installation, Plan(point, hit))], point)
            if place != "last":
                join(installation, figures, [start(installation)])
    assert figures.kills[point] >= 2


@pytest.mark.fault("F10")
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_kill_during_the_recovery_from_a_kill_loses_nothing(engine: str, tmp_path: Path) -> None:
    with trial(engine, 10, tmp_path) as (installation, producer, figures):
        join(installation, figures, [start(installation)])
        for point in (
            CrashPoint.AFTER_BEGIN,
            CrashPoint.BEFORE_COMMIT,
            CrashPoint.AFTER_COMMIT,
            CrashPoint.AROUND_RENAME,
        ):
            producer.drop_fact_file()
            join(installation, figures, [start(installation, Plan(CrashPoint.AFTER_CLAIM, 1))], "first")
            join(installation, figures, [start(installation, Plan(point, 1))], "second")
    assert figures.kills["second"] == 4


@pytest.mark.fault("F11", "F32")
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_the_outcome_of_an_unacknowledged_commit_is_read_from_the_ledger(engine: str, tmp_path: Path) -> None:
    with trial(engine, 11, tmp_path) as (installation, producer, figures):
        join(installation, figures, [start(installation)])
        for hit in (1, 2, 5, passes(installation, CrashPoint.AFTER_COMMIT)):
            producer.drop_fact_file()
            join(
                installation,
                figures,
                [start(installation, Plan(CrashPoint.AFTER_COMMIT, hit, lose_acknowledgment=True))],
                "lost",
            )
    assert figures.kills["lost"] >= 3


@pytest.mark.fault("F39")
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_tables_are_created_by_the_next_run_after_a_kill(engine: str, tmp_path: Path) -> None:
    with trial(engine, 39, tmp_path) as (installation, producer, figures):
        for point in (CrashPoint.AFTER_BEGIN, CrashPoint.BEFORE_COMMIT):
            join(installation, figures, [start(installation, Plan(point, 1))], "creation")
        run_until_idle(installation, figures)
        with installation.warehouse.transaction() as tx:
            tx.execute("UPDATE schema_object SET fingerprint = 'old' WHERE name = 'v_as_of'")
        producer.drop_fact_file()
        join(installation, figures, [start(installation, Plan(CrashPoint.BEFORE_COMMIT, 1))], "creation")
    assert figures.kills["creation"] == 3


@pytest.mark.fault("F40")
@pytest.mark.parametrize("engine", SQLITE_AND_POSTGRES_IN_FULL, indirect=True)
def test_a_run_that_is_out_of_memory_fails_and_the_next_run_loads(installation: Installation, load: Load) -> None:
    load(ROSTER)
    rows = "".join(f"S1,2025-{n % 12 + 1:02}-{n % 28 + 1:02},Code{n},{n}\n" for n in range(100_000))
    installation.drop("attendance_2026-01-05.csv", f"{HEADER.strip()},Period\n{rows}".encode())

    code = (
        "import resource; from student360_tests.trust.kills import load_once;"
        " size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize();"
        " resource.setrlimit(resource.RLIMIT_AS, (size + 40 * 2**20,) * 2); load_once()"
    )
    starved = subprocess.Popen([sys.executable, "-c", code], env=installation.environment, cwd=PROJECT)
    assert starved.wait() != 0
    load()
    assert_consistent(installation)
    assert ledger(installation)["attendance_2026-01-05.csv"] == (100_000, 100_000, 0, 0, 0, 0)


@pytest.mark.fault("F40")
@pytest.mark.parametrize("how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=IN_FULL)])
@ON_SQLITE_ONLY
def test_an_interrupted_materialization_is_completed_by_the_next_load(
    installation: Installation, load: Load, how: signal.Signals
) -> None:
    load(ROSTER)
    installation.drop("attendance_2026-01-05.csv", year_of_attendance())
    process = materialize(installation.environment)
    deadline = time.monotonic() + 60
    while not any((installation.data / "work").iterdir()) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(how)
    process.communicate(timeout=60)
    load()
    assert_consistent(installation, facts=336)


@pytest.mark.fault("F17")
def test_a_lost_sensor_cursor_loads_nothing_twice(installation: Installation, load: Load) -> None:
    load({**ROSTER, "attendance_2026-01-05.csv": f"{HEADER}S1,2026-01-05,Present\n"})
    for cursor in (None, "of another version"):
        request, _ = tick(cursor)
        assert isinstance(request, RunRequest)
        load()
    assert_consistent(installation, facts=1)
    assert installation.warehouse.row_count("file_drop") == 2


@pytest.mark.fault("F41")
@ON_SQLITE_ONLY
def test_other_assets_materialize_when_spark_cannot_run(installation: Installation, tmp_path: Path) -> None:
    (installation.data / "landing" / "students_2026-01-01.csv").write_text(STUDENTS)
    (installation.data / "landing" / "attendance_2026-01-05.csv").write_text(f"{HEADER}S1,2026-01-05,Present\n")
    without_java = {"JAVA_HOME": str(tmp_path), "PATH": str(tmp_path), "STUDENT360_SETTLE_SECONDS": "0"}
    process = materialize(installation.environment | without_java, "*")
    output, _ = process.communicate()
    assert process.returncode != 0
    assert b"agg_attendance_trend" in output
    assert installation.warehouse.row_count("fact_attendance") == 1
    assert installation.warehouse.row_count("v_student_risk_monitor") == 2
