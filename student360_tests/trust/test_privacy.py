"""Personal data stays in the data folder, also after failures, and only the owner can read the files."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from student360.settings import PROJECT
from student360_tests.conftest import IN_FULL
from student360_tests.loading.test_two_writers import MATERIALIZE
from student360_tests.support.canaries import CANARIES, assert_no_canary_outside_data, assert_private
from student360_tests.support.installation import Installation
from student360_tests.trust.bad_inputs import ATTENDANCE, HOMEWORK, MESSAGES, STUDENTS

NAME, PHONE, BORN = CANARIES
FILES = {
    "students_2026-01-01.csv": f"{STUDENTS}S1,{NAME},{BORN},Grade 3,{PHONE}\nS2,B,2014-01-01,3,\n",
    f"{NAME} homework_2026-01-01.csv": f"{HOMEWORK}S1,Math,A,2025-10-01,Done,{NAME} {PHONE},Yes\n",
    "attendance_2026-01-01.csv": f"{ATTENDANCE}S1,2025-10-01,Present\nS1,{BORN}x,{NAME}\n{NAME} {PHONE},1,2\n",
    "communication_2026-01-01.csv": f"{MESSAGES}S1,2025-10-01,{NAME},{PHONE} {BORN}\n",
    "students_2026-01-02.csv": f"Student_ID,Full_Name,Date_of_Birth\nS1,{NAME},{BORN}\n",
    "students_2026-01-03.csv": f'{STUDENTS}S1,{NAME},{BORN},3,"{PHONE}\n',
    f"{NAME}.csv": f"{NAME},{PHONE}\n{BORN},\n",
    f"{PHONE}.xlsx": f"PK\x03\x04{NAME}",
}


def materialize(installation: Installation, temporary: Path) -> subprocess.Popen[bytes]:
    """Materialize the ingest assets in a process with umask 0."""
    environment = installation.environment | {"STUDENT360_SETTLE_SECONDS": "0", "TMPDIR": str(temporary)}
    program = [str(Path(sys.executable).parent / MATERIALIZE[0]), *MATERIALIZE[1:]]
    with installation.log.open("ab") as log:
        return subprocess.Popen(program, env=environment, cwd=PROJECT, stdout=log, stderr=log, umask=0)


def refuse_rows(installation: Installation, table: str) -> Callable[[], None]:
    """Make the database refuse every row of a table. Returns a function that undoes this."""
    if installation.engine == "sqlite":
        refuse = f"CREATE TRIGGER refuse BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END"
        undo = "DROP TRIGGER refuse"
    else:
        refuse = f"ALTER TABLE {table} ADD CONSTRAINT refuse CHECK (line_no < 0) NOT VALID"
        undo = f"ALTER TABLE {table} DROP CONSTRAINT refuse"

    def run(statement: str) -> None:
        with installation.warehouse.transaction() as tx:
            tx.execute(statement)

    run(refuse)
    return lambda: run(undo)


@pytest.mark.parametrize("engine", [pytest.param("sqlite", marks=IN_FULL), "postgres"], indirect=True)
def test_personal_data_stays_in_the_data_folder_and_all_files_are_private(
    installation: Installation, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir(mode=0o700)
    installation.warehouse.prepare()
    undo = refuse_rows(installation, "fact_homework")
    for name, text in FILES.items():
        installation.drop(name, text.encode())
    rng = random.Random(7)
    for _ in range(3):
        process = materialize(installation, temporary)
        time.sleep(rng.uniform(3, 7))
        process.send_signal(rng.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)))
        process.wait(60)
    assert materialize(installation, temporary).wait(120) != 0, "the refused rows must fail the run"
    undo()
    installation.drop("students_2026-01-09.csv", FILES["students_2026-01-01.csv"].replace(BORN, "2000-01-01").encode())
    assert materialize(installation, temporary).wait(120) == 0, installation.log.read_text()[-3000:]
    ledger = installation.warehouse.frame("SELECT status FROM ingest_file")["status"]
    assert sorted(ledger) == ["loaded"] * 5 + ["quarantined"] * 4
    assert (
        installation.warehouse.frame("SELECT full_name FROM dim_students WHERE student_id = 'S1'")["full_name"][0]
        == NAME
    )
    assert_no_canary_outside_data(installation)
    for path in temporary.rglob("*"):
        if path.is_file():
            assert not any(canary.encode() in path.read_bytes() for canary in CANARIES), path
    assert_private(installation.data)
    assert installation.dagster_home.stat().st_mode & 0o077 == 0, "the Dagster home must be private"
