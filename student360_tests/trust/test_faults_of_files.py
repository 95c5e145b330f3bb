"""Faults of files: late, repeated, incomplete, very large or very many files. Each row is loaded once."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import RunRequest

from student360.contracts import contracts
from student360.ingest.files import landed_files, now, open_regular
from student360.loading import receive, stage
from student360.settings import PROJECT, load_settings
from student360_tests.conftest import (
    ON_SQLITE_ONLY,
    SQLITE_AND_POSTGRES_IN_FULL,
)
from student360_tests.loading.test_loading import ledger
from student360_tests.orchestration.test_sensors import settled_cursor, short_evaluations, tick
from student360_tests.support.installation import Installation
from student360_tests.trust.installations import (
    HEADER,
    ROSTER,
    assert_consistent,
)

__all__ = ["short_evaluations"]
Load = Callable[..., None]


@pytest.mark.fault("F20", "F21")
def test_a_file_that_is_open_for_writing_is_not_taken(installation: Installation, load: Load) -> None:
    load(ROSTER)
    with (installation.data / "landing" / "attendance_2026-01-05.csv").open("w") as slow:
        slow.write(HEADER + "S1,2026-01-05,Present\n")
        slow.flush()
        load()
        assert ledger(installation).keys() == ROSTER.keys()
        slow.write("S2,2026-01-05,Present\n")
    load()
    assert_consistent(installation, facts=2)


@pytest.mark.fault("F21")
def test_content_written_after_the_claim_is_loaded_as_a_new_file(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open file cannot be detected over a network; the content is compared again before it is archived."""
    load(ROSTER)
    monkeypatch.setattr(receive, "is_being_written", lambda _: False)
    with (installation.data / "landing" / "attendance_2026-01-05.csv").open("w") as slow:
        slow.write(HEADER + "S1,2026-01-05,Present\n")
        slow.flush()
        real = open_regular

        def late(path: Path) -> Any:
            stream = real(path)
            monkeypatch.setattr(stage, "open_regular", real)
            read = stream.read

            class Late:
                """A stream to whose file another row is written once everything was read."""

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
    assert_consistent(installation, facts=2)
    assert installation.warehouse.row_count("ingest_file") == 3


@pytest.mark.fault("F22")
def test_a_truncated_upload_is_completed_by_the_full_file(installation: Installation, load: Load) -> None:
    complete = HEADER + "".join(f"S1,2025-10-{day:02},Absent\n" for day in range(1, 31))
    load(ROSTER)
    load({"attendance_2026-01-05.csv": complete[:400]})
    load({"attendance_2026-01-05.csv": complete})
    assert_consistent(installation, facts=30)
    assert installation.warehouse.row_count("ingest_file") == 3
    with installation.warehouse.reading() as tx:
        assert "cut off" in str(tx.value("SELECT warnings FROM ingest_file WHERE file_id = 2"))


@pytest.mark.fault("F24")
def test_twenty_different_files_with_one_name_are_all_loaded(installation: Installation, load: Load) -> None:
    load(ROSTER)
    for day in range(1, 21):
        load({"attendance.csv": HEADER + f"S1,2025-10-{day:02},Present\n"})
    assert_consistent(installation, facts=20)
    assert len(list((installation.data / "processed").rglob("*attendance.csv"))) == 20
    assert installation.warehouse.row_count("ingest_file") == 21


@pytest.mark.fault("F26")
def test_file_times_and_clock_changes_do_not_affect_loading(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(ROSTER)
    real = now
    for number, mtime in enumerate((0, 2_147_483_647, 4_102_444_800)):
        path = installation.drop(
            f"attendance_{number}_2026-01-05.csv", f"{HEADER}S1,2026-01-0{number + 1},Present\n".encode()
        )
        os.utime(path, (mtime, mtime))
        jump = timedelta(days=number - 1)
        monkeypatch.setattr(receive, "now", lambda jump=jump: real() + jump)
        load()
    newer, older = HEADER + "S2,2026-01-05,Absent\n", HEADER + "S2,2026-01-05,Present\n"
    load({"attendance_new_2026-01-20.csv": newer})
    os.utime(installation.drop("attendance_old_2026-01-10.csv", older.encode()), (4_102_444_800, 4_102_444_800))
    load()
    assert ledger(installation)["attendance_old_2026-01-10.csv"] == (1, 0, 0, 1, 0, 0)
    assert_consistent(installation, facts=4)


@pytest.mark.fault("F28")
@pytest.mark.timeout(1800)
@ON_SQLITE_ONLY
def test_a_burst_of_files_is_loaded_in_a_few_runs(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    load(ROSTER)
    count, in_one_run = (1_000, 200) if full else (150, 30)
    monkeypatch.setenv("STUDENT360_BATCH_FILES", str(in_one_run))
    cursor: str | None = settled_cursor(installation)
    for number in range(count):
        day = datetime(2024, 1, 1) + timedelta(days=number)
        installation.drop(f"attendance_{number:05}.csv", f"{HEADER}S1,{day:%Y-%m-%d},Present\n".encode())
    runs = 0
    while landed_files(installation.data / "landing"):
        request, cursor = tick(cursor)
        assert isinstance(request, RunRequest)
        tickets = request.run_config["ops"]["raw_attendance"]["config"]["ready"]
        receive.receive(installation.warehouse, load_settings(), contracts()["attendance"], "burst", tickets)
        runs += 1
    load()
    assert runs == count / in_one_run
    assert_consistent(installation, facts=count)


@pytest.mark.fault("F28")
@ON_SQLITE_ONLY
def test_ten_thousand_files_in_landing_do_not_block_the_sensor(installation: Installation) -> None:
    cursor = settled_cursor(installation)
    for number in range(10_000):
        (installation.data / "landing" / f"attendance_{number:05}.csv").write_text(
            f"{HEADER}S{number},2026-01-05,Present\n"
        )
    start = time.monotonic()
    request, _ = tick(cursor)
    assert time.monotonic() - start < 30, "Dagster limits a tick to 60 seconds"
    assert isinstance(request, RunRequest)
    assert request.tags["student360/files"] == "200"


@pytest.mark.fault("F29")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine", SQLITE_AND_POSTGRES_IN_FULL, indirect=True)
def test_memory_does_not_grow_with_the_file_size(installation: Installation, full: bool) -> None:
    sizes = (1_000_000, 5_000_000) if full else (100_000, 400_000)
    peaks = [_peak_of_loading(installation, rows) for rows in sizes]
    assert max(peaks) < 700
    assert peaks[1] < peaks[0] + 150
    assert installation.warehouse.frame("SELECT MAX(rows_read) AS n FROM ingest_file")["n"][0] == sizes[1]


def _peak_of_loading(installation: Installation, rows: int) -> float:
    """Return the peak memory in MB of a process that loads a file of this number of rows of 1,000 students."""
    installation.drop(
        "students_2024-01-01.csv",
        b"Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\n"
        + b"".join(b"S%d,A B,2014-01-01,3,\n" % n for n in range(1_000)),
    )
    part = installation.data / "landing" / "attendance.csv.part"
    with part.open("w") as file:
        file.write("Student_ID,Date,Attendance_Status,Period\n")
        for n in range(rows):
            day = n // 1_000 % 336
            file.write(f"S{n % 1_000},2025-{day // 28 + 1:02}-{day % 28 + 1:02},Present,{n // 336_000 + 1}\n")
    part.rename(installation.data / "landing" / f"attendance_2026-01-01_{rows}.csv")
    code = (
        "from student360_tests.support.installation import peak_memory\n"
        "from student360_tests.trust.kills import load_once\n"
        "load_once(); print(peak_memory())"
    )
    environment = installation.environment | {"STUDENT360_SETTLE_SECONDS": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=PROJECT, capture_output=True, check=True)
    return float(done.stdout.split()[-1])


@pytest.mark.fault("F36")
def test_an_unexpected_file_in_the_work_folder_is_loaded_or_quarantined(installation: Installation, load: Load) -> None:
    load(ROSTER)
    (installation.data / "work" / "attendance_2026-01-05.csv").write_text(f"{HEADER}S1,2026-01-05,Present\n")
    (installation.data / "work" / "holiday pictures.zip").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    load()
    load()
    assert_consistent(installation, facts=1)
    statuses = installation.warehouse.frame("SELECT status FROM ingest_file")["status"]
    assert sorted(statuses) == [
        "loaded",
        "loaded",
        "quarantined",
    ]
