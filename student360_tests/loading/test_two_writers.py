"""Two concurrent writers: both succeed, each row is loaded once, and the second one waits."""

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from student360.cli.sample import District, write_district
from student360.settings import PROJECT
from student360.warehouse import sqlite
from student360_tests.conftest import assert_every_row_is_accounted_for
from student360_tests.support.installation import Installation

MATERIALIZE = (
    *("dagster", "asset", "materialize", "-m", "student360.definitions"),
    *("--select", "group:raw or group:staging or group:core or group:marts"),
)


def create_dagster_storage(installation: Installation) -> None:
    """Create Dagster's storage first: two processes that create it at the same time fail."""
    with installation.instance():
        pass


@pytest.mark.fault("F13")
def test_two_concurrent_materializations_load_each_row_once(installation: Installation) -> None:
    files = write_district(installation.data / "landing", District(students=400, days=60))
    create_dagster_storage(installation)
    program = Path(sys.executable).parent / MATERIALIZE[0]
    environment = installation.environment | {"STUDENT360_SETTLE_SECONDS": "0"}
    processes = [
        subprocess.Popen(
            [program, *MATERIALIZE[1:]], env=environment, cwd=PROJECT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    errors = [process.communicate()[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "".join(text[-3000:] for text in errors)
    ledger = installation.warehouse.frame("SELECT * FROM ingest_file")
    assert len(ledger) == len(files)
    assert_every_row_is_accounted_for(ledger)
    assert set(ledger["status"]) <= {"loaded", "waiting"}
    for feed in ("attendance", "performance", "homework", "communication"):
        loaded = ledger.loc[ledger["feed"] == feed, "rows_loaded"].sum()
        assert installation.warehouse.row_count(f"fact_{feed}") == loaded > 0
    assert installation.warehouse.row_count("v_student_risk_monitor") == 400
    assert not list((installation.data / "work").iterdir())


@pytest.mark.fault("F30")
def test_the_second_writer_waits_and_logs_it(
    installation: Installation, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 300)
    caplog.set_level(logging.WARNING, "student360")
    installation.warehouse.prepare()
    started = threading.Event()

    def first_writer() -> None:
        with installation.warehouse.transaction() as tx:
            started.set()
            time.sleep(1.5)
            tx.execute("INSERT INTO setting (name, value) VALUES ('writer', 'first')")

    thread = threading.Thread(target=first_writer)
    thread.start()
    started.wait()
    with installation.warehouse.transaction() as tx:
        assert tx.value("SELECT value FROM setting WHERE name = 'writer'") == "first"
        tx.execute("UPDATE setting SET value = 'second' WHERE name = 'writer'")
    thread.join()
    assert "waiting for another run that writes to the warehouse" in caplog.text
    assert installation.warehouse.frame("SELECT value FROM setting WHERE name = 'writer'")["value"][0] == "second"
