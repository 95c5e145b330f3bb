"""How long a file takes from its rename into landing to the risk view, with the real `dagster dev`.

    make latency        (or: python -m student360_tests.latency --days 10 --students 10000)

Ten daily attendance files of 10,000 rows are dropped one after the other, each after the one before is visible and
a random pause, into an installation that already holds a term. Prints each time, the median and the slowest.
"""

import argparse
import random
import statistics
import tempfile
import time
from datetime import date
from functools import partial
from pathlib import Path

from dagster import RunsFilter

from student360.sample import District, write_district
from student360.settings import PROJECT
from student360_tests.running import House, free_port, wait_until


def daily_file(students: int, day: date, seed: int) -> bytes:
    """An attendance file of one day, a row per student."""
    rng = random.Random(seed)
    rows = (
        f"S{number:06},{day.isoformat()},{'Absent' if rng.random() < 0.05 else 'Present'}"
        for number in range(1, students + 1)
    )
    return ("Student_ID,Date,Attendance_Status\n" + "\n".join(rows) + "\n").encode()


def where_time_went(house: House, dropped: float) -> str:
    """Seconds until the run was asked for, until its first step, and until the file was visible."""
    with house.instance() as instance:
        record = instance.get_run_records(RunsFilter(job_name="ingest"), limit=1)[0]
    asked = record.create_timestamp.timestamp() - dropped
    launched = (record.start_time or 0) - dropped - asked
    return f"detected {asked:.1f}, launched {launched:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m student360_tests.latency")
    parser.add_argument("--students", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=10, help="daily files to drop")
    parser.add_argument("--history", type=int, default=40, help="school days loaded before")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder))
        house.prepare()
        days = District(chosen.students, chosen.history + chosen.days).school_days()
        history = District(chosen.students, chosen.history, mess=False)
        write_district(house.data / "landing", history)
        port = str(free_port())
        with house.running("dagster", "dev", "-h", "127.0.0.1", "-p", port, "-w", str(PROJECT / "workspace.yaml")):
            warehouse = house.warehouse
            view = "SELECT MIN(known_until) AS day, COUNT(*) AS students FROM v_student_risk_monitor"

            def known_until(day: date) -> bool:
                seen = warehouse.frame(view)
                return bool(seen["students"][0] == chosen.students and seen["day"][0] == day.isoformat())

            print(f"loading {chosen.history} days of {chosen.students:,} students first", flush=True)
            wait_until(lambda: known_until(days[chosen.history - 1]), 300, "the history in the risk view")
            time.sleep(15)
            taken = []
            for number, day in enumerate(days[chosen.history :], start=1):
                time.sleep(random.Random(number).uniform(1, 10))
                house.drop(f"attendance_{day.isoformat()}.csv", daily_file(chosen.students, day, number))
                dropped = time.time()
                taken.append(wait_until(partial(known_until, day), 120, f"file {number}", every=0.1))
                print(f"file {number}: {taken[-1]:.1f} s ({where_time_went(house, dropped)})", flush=True)
        print(f"median {statistics.median(taken):.1f} s, slowest {max(taken):.1f} s of {len(taken)} files")


if __name__ == "__main__":
    main()
