"""Measure the time from the rename of a file into landing to the risk view, with the real `dagster dev`.

    make latency        (or: python -m student360_tests.bench.latency --days 10 --students 10000)

Ten daily attendance files of 10,000 rows are dropped one after the other into an installation that contains 40 school
days; each file is dropped after the previous one is visible and a random pause. Prints the seconds of each file, the
median and the slowest.
"""

import argparse
import random
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from dagster import RunsFilter

from student360.cli.sample import District, write_district
from student360.settings import PROJECT
from student360_tests.support.installation import (
    Installation,
    create_installation,
    free_port,
    remove_schemas,
    wait_until,
)


def daily_file(students: int, day: date, seed: int, after: int = 0) -> bytes:
    """Return an attendance file of one day with a row per student. `after` students at the beginning are left out."""
    rng = random.Random(seed)
    rows = (
        f"S{number:06},{day.isoformat()},{'Absent' if rng.random() < 0.05 else 'Present'}"
        for number in range(after + 1, after + students + 1)
    )
    return ("Student_ID,Date,Attendance_Status\n" + "\n".join(rows) + "\n").encode()


def where_time_went(installation: Installation, dropped: float) -> str:
    """Return the seconds until the run was requested, and from then until it started, as text."""
    with installation.instance() as instance:
        record = instance.get_run_records(RunsFilter(job_name="ingest"), limit=1)[0]
    requested = record.create_timestamp.timestamp() - dropped
    launched = (record.start_time or 0) - dropped - requested
    return f"detected {requested:.1f}, launched {launched:.1f}"


@contextmanager
def dagster_dev(installation: Installation) -> Iterator[str]:
    """Run the real `dagster dev` of an installation until the block ends. Yields the address of its web server."""
    port = str(free_port())
    with installation.running("dagster", "dev", "-h", "127.0.0.1", "-p", port, "-w", str(PROJECT / "workspace.yaml")):
        yield f"http://127.0.0.1:{port}"


def one_after_the_other(
    installation: Installation, students: int, history: int, files: int, log: Callable[[str], None]
) -> list[float]:
    """Return the seconds of each daily file from its rename into landing to the risk view."""
    days = District(students, history + files).school_days()
    write_district(installation.data / "landing", District(students, history, mess=False))
    warehouse = installation.warehouse
    view = "SELECT MIN(known_until) AS day, COUNT(*) AS students FROM v_student_risk_monitor"

    def known_until(day: date) -> bool:
        """Return whether all students are known until a day. One student is checked first, so that polling is cheap."""
        one = warehouse.frame("SELECT known_until AS day FROM v_student_risk_monitor LIMIT 1")
        if one.empty or one["day"][0] != day.isoformat():
            return False
        seen = warehouse.frame(view)
        return bool(seen["students"][0] == students and seen["day"][0] == day.isoformat())

    with dagster_dev(installation):
        log(f"loading {history} days of {students:,} students first")
        wait_until(lambda: known_until(days[history - 1]), 300, "the history in the risk view")
        time.sleep(15)
        taken = []
        for number, day in enumerate(days[history:], start=1):
            time.sleep(random.Random(number).uniform(1, 10))
            installation.drop(f"attendance_{day.isoformat()}.csv", daily_file(students, day, number))
            dropped = time.time()
            taken.append(wait_until(partial(known_until, day), 120, f"file {number}", every=0.1))
            log(f"file {number}: {taken[-1]:.1f} s ({where_time_went(installation, dropped)})")
    return taken


@dataclass
class Burst:
    """The figures of a burst: seconds until all is visible, runs, and seconds of the slowest tick and response."""

    seconds: float
    runs: int
    longest_tick: float
    slowest_page: float


def all_at_once(installation: Installation, files: int, rows: int, timeout: float = 3600) -> Burst:
    """Drop many files of `rows` rows each at once into a running installation that contains the students."""
    groups = 5
    days = District(1, -(-files // groups), first_day=date(2018, 1, 1)).school_days()
    write_district(installation.data / "landing", District(groups * rows, 5, mess=False, first_day=date(2017, 9, 4)))
    warehouse = installation.warehouse
    view = "SELECT COUNT(*) AS n, MIN(known_until) AS day FROM v_student_risk_monitor"
    with dagster_dev(installation) as address:
        wait_until(lambda: warehouse.frame(view)["n"][0] == groups * rows, 300, "the students")
        time.sleep(15)
        before = warehouse.row_count("fact_attendance")
        prepared = installation.root / "prepared"
        prepared.mkdir()
        for number in range(files):
            day, first = days[number // groups], number % groups * rows
            (prepared / f"attendance_{number:05}.csv").write_bytes(daily_file(rows, day, number, first))
        start = time.time()
        for path in prepared.iterdir():
            path.rename(installation.data / "landing" / path.name)
        responses = []

        def is_all_visible() -> bool:
            requested = time.monotonic()
            urllib.request.urlopen(f"{address}/server_info", timeout=60).read()
            responses.append(time.monotonic() - requested)
            seen = warehouse.frame(view)["day"][0]
            return (
                bool(seen == days[-1].isoformat()) and warehouse.row_count("fact_attendance") == before + files * rows
            )

        wait_until(is_all_visible, timeout, f"{files} files in the risk view", every=0.5)
        seconds = time.time() - start
        with installation.instance() as instance:
            runs = [r for r in instance.get_run_records() if r.create_timestamp.timestamp() > start]
            states = [s for s in instance.all_instigator_state() if s.instigator_name == "landing_sensor"]
            ticks = [t for s in states for t in instance.get_ticks(s.instigator_origin_id, s.selector_id)]
            ended = [(t.end_timestamp or time.time(), t.timestamp) for t in ticks]
            longest = max(end - begin for end, begin in ended if end > start)
    return Burst(seconds, len([r for r in runs if r.dagster_run.job_name == "ingest"]), longest, max(responses))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m student360_tests.bench.latency")
    parser.add_argument("--students", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=10, help="daily files to drop")
    parser.add_argument("--history", type=int, default=40, help="school days loaded first")
    parser.add_argument("--engine", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--burst", type=int, help="drop this number of files of 200 rows at once instead")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        installation = create_installation(chosen.engine, Path(folder))
        try:
            if chosen.burst:
                print(all_at_once(installation, chosen.burst, 200))
            else:
                taken = one_after_the_other(installation, chosen.students, chosen.history, chosen.days, print)
                print(f"median {statistics.median(taken):.1f} s, slowest {max(taken):.1f} s of {len(taken)} files")
        finally:
            remove_schemas(installation)


if __name__ == "__main__":
    main()
