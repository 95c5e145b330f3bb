"""Fixtures: an installation of its own for each test, and a quick way to load it without Dagster."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from student360.loading.pipeline import load_all
from student360.settings import PROJECT, Settings, load_settings
from student360.spark.java import JavaMissing, find_java
from student360.warehouse.ledger import COUNTS
from student360_tests.support.installation import Installation, create_installation, remove_schemas
from student360_tests.support.postgres import (
    OwnServer,
    server_version,
    throw_away_server,
)
from student360_tests.trust.faults import FAULTS, outcomes_of

NewInstallation = Callable[[str], Installation]
SHARED_DATA = PROJECT.parent / "shared" / "data"


ENGINES = ("sqlite", "postgres")
IN_FULL = pytest.mark.full
SQLITE_AND_POSTGRES_IN_FULL = ["sqlite", pytest.param("postgres", marks=IN_FULL)]
ON_POSTGRES_ONLY = pytest.mark.parametrize("engine", ["postgres"], indirect=True)
ON_SQLITE_ONLY = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Every test that touches a warehouse runs on each engine, unless it says that the engine plays no part."""
    return str(request.param)


@pytest.fixture
def new_installation(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NewInstallation]:
    """Makes installations on an engine; the environment of the test points at the newest."""
    installations: list[Installation] = []

    def _new_installation(engine: str) -> Installation:
        installation = create_installation(engine, tmp_path_factory.mktemp("installation"))
        installations.append(installation)
        for name in [name for name in os.environ if name.startswith("STUDENT360_WAREHOUSE")]:
            monkeypatch.delenv(name)
        for name, value in installation.environment.items():
            if name.startswith(("STUDENT360_", "DAGSTER_", "PG")):
                monkeypatch.setenv(name, value)
        monkeypatch.setenv("STUDENT360_SETTLE_SECONDS", "0")
        return installation

    yield _new_installation
    for installation in installations:
        remove_schemas(installation)


@pytest.fixture(scope="module")
def own_server() -> Iterator[OwnServer]:
    """Started once for this module."""
    with throw_away_server() as server:
        yield server


@pytest.fixture
def installation(new_installation: NewInstallation, engine: str) -> Installation:
    """An installation of its own; the environment of the test points at it."""
    return new_installation(engine)


@pytest.fixture
def settings(installation: Installation) -> Settings:
    return load_settings()


@pytest.fixture
def load(installation: Installation) -> Callable[..., None]:
    """Drop files given as name=text and take everything to the marts, in the order of the asset graph."""

    def _load(files: dict[str, str | bytes] | None = None) -> None:
        for name, content in (files or {}).items():
            installation.drop(name, content.encode() if isinstance(content, str) else content)
        run_pipeline(installation, load_settings())

    return _load


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="full sizes, and every case on each engine")


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether to take full sizes; CI takes a part of each."""
    return bool(request.config.getoption("--full"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Reports carry the faults that their tests bring about; what takes long waits for --full."""
    if not config.option.full:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("full")])
        items[:] = [item for item in items if not item.get_closest_marker("full")]
    for item in items:
        for mark in item.iter_markers("fault"):
            unknown = set(mark.args) - set(FAULTS)
            if unknown:
                raise pytest.UsageError(f"{item.nodeid}: no such fault {unknown}")
            item.user_properties += [("fault", fault) for fault in mark.args]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests each engine passed, and how many faults were survived."""
    faults = outcomes_of(terminalreporter.stats)
    if faults.passed or faults.others:
        for line in faults.lines(whole=terminalreporter.config.option.markexpr == "fault"):
            terminalreporter.write_line(line)
    counts = passed_per_engine(terminalreporter)
    if any(counts.values()):
        terminalreporter.write_line(
            f"engines: sqlite {counts['sqlite']} passed, postgres {counts['postgres']} passed "
            f"(PostgreSQL {server_version() if counts['postgres'] else 'did not run'})"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a whole run in which the PostgreSQL half did not run is a failed one, whatever the reason."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if (
        reporter is None
        or not os.environ.get("CI")
        or session.config.option.keyword
        or session.config.args_source.name == "ARGS"
    ):
        return
    counts = passed_per_engine(reporter)
    if counts["postgres"] < counts["sqlite"] / 2:
        reporter.write_line(f"the PostgreSQL half of the tests did not run: {counts}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def passed_per_engine(reporter: pytest.TerminalReporter) -> dict[str, int]:
    """How many tests passed on each engine."""
    passed = [report.nodeid for report in reporter.stats.get("passed", [])]
    return {engine: sum(f"[{engine}" in name for name in passed) for engine in ENGINES}


def assert_every_row_is_accounted_for(files: pd.DataFrame) -> None:
    """Every row read of each file in the ledger is loaded, updated, unchanged, rejected or waiting."""
    read, *outcomes = COUNTS
    assert (files[read] == files[outcomes].sum(axis=1)).all()


def run_pipeline(installation: Installation, settings: Settings) -> None:
    """What the ingest job does, without Dagster."""
    load_all(installation.warehouse, settings, "test-run")


@pytest.fixture
def shared_data() -> Path:
    """The real export set for trying things on; the project does not depend on it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared export set is not on this machine")
    return SHARED_DATA


@pytest.fixture
def java() -> Iterator[Path]:
    """Java for Spark. In CI it must be there, so that nothing is skipped in silence."""
    try:
        home = find_java()
    except JavaMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    yield home
