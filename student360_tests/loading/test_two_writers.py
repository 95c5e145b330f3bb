"""Two writers at once: correct, nobody fails, the second waits or finds nothing to do."""

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


def make_dagsters_storage(installation: Installation) -> None:
    """As the first start of Dagster does: two processes that make it at the same moment fail, whatever they run."""
    with installation.instance():
        pass


@pytest.mark.fault("F13")
def test_two_materialisations_at_once_load_each_row_once(installation: Installation) -> None:
    files = write_district(installation.data / "landing", District(students=400, days=60))
    make_dagsters_storage(installation)
    program = Path(sys.executable).parent / MATERIALIZE[0]
    environment = installation.environment | {"STUDENT360_SETTLE_SECONDS": "0"}
    both = [
        subprocess.Popen(
            [program, *MATERIALIZE[1:]], env=environment, cwd=PROJECT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    told = [process.communicate()[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], "".join(text[-3000:] for text in told)
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
def test_the_second_writer_waits_and_says_so(
    installation: Installation, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 300)
    caplog.set_level(logging.WARNING, "student360")
    installation.warehouse.prepare()
    begun = threading.Event()

    def first_writer() -> None:
        with installation.warehouse.transaction() as tx:
            begun.set()
            time.sleep(1.5)
            tx.execute("INSERT INTO setting (name, value) VALUES ('writer', 'first')")

    thread = threading.Thread(target=first_writer)
    thread.start()
    begun.wait()
    with installation.warehouse.transaction() as tx:
        assert tx.value("SELECT value FROM setting WHERE name = 'writer'") == "first"
        tx.execute("UPDATE setting SET value = 'second' WHERE name = 'writer'")
    thread.join()
    assert "waiting for another run that writes to the warehouse" in caplog.text
    assert installation.warehouse.frame("SELECT value FROM setting WHERE name = 'writer'")["value"][0] == "second"
