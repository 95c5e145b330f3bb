"""Shared fixtures: a separate installation per test, and a fast way to load it without Dagster."""

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
    temporary_server,
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
    """The engine. A test that uses a warehouse runs on both engines unless it is limited to one by a mark."""
    return str(request.param)


@pytest.fixture
def new_installation(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NewInstallation]:
    """A function that creates an installation on an engine; the environment of the test points to the newest one."""
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
    """A separate PostgreSQL server, started once per module, that tests may stop."""
    with temporary_server() as server:
        yield server


@pytest.fixture
def installation(new_installation: NewInstallation, engine: str) -> Installation:
    """An empty installation on the engine; the environment of the test points to it."""
    return new_installation(engine)


@pytest.fixture
def settings(installation: Installation) -> Settings:
    return load_settings()


@pytest.fixture
def load(installation: Installation) -> Callable[..., None]:
    """A function that drops files, given as a mapping of name to content, and runs the pipeline up to the marts."""

    def _load(files: dict[str, str | bytes] | None = None) -> None:
        for name, content in (files or {}).items():
            installation.drop(name, content.encode() if isinstance(content, str) else content)
        run_pipeline(installation, load_settings())

    return _load


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="use full sizes and run every case on both engines")


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether to use full sizes (--full)."""
    return bool(request.config.getoption("--full"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests marked `full` unless --full is given, and add the faults a test causes to its reports."""
    if not config.option.full:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("full")])
        items[:] = [item for item in items if not item.get_closest_marker("full")]
    for item in items:
        for mark in item.iter_markers("fault"):
            unknown = set(mark.args) - set(FAULTS)
            if unknown:
                raise pytest.UsageError(f"{item.nodeid}: unknown faults {unknown}")
            item.user_properties += [("fault", fault) for fault in mark.args]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the number of tests passed per engine, and the number of faults survived."""
    faults = outcomes_of(terminalreporter.stats)
    if faults.passed or faults.others:
        for line in faults.lines(with_table=terminalreporter.config.option.markexpr == "fault"):
            terminalreporter.write_line(line)
    counts = passed_per_engine(terminalreporter)
    if any(counts.values()):
        terminalreporter.write_line(
            f"engines: sqlite {counts['sqlite']} passed, postgres {counts['postgres']} passed "
            f"(PostgreSQL {server_version() if counts['postgres'] else 'did not run'})"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a complete run in CI in which fewer than half as many tests passed on PostgreSQL as on SQLite."""
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
    """Return the number of tests passed per engine."""
    passed = [report.nodeid for report in reporter.stats.get("passed", [])]
    return {engine: sum(f"[{engine}" in name for name in passed) for engine in ENGINES}


def assert_every_row_is_accounted_for(files: pd.DataFrame) -> None:
    """Assert that every row read of each file is counted as loaded, updated, unchanged, rejected or waiting."""
    read, *outcomes = COUNTS
    assert (files[read] == files[outcomes].sum(axis=1)).all()


def run_pipeline(installation: Installation, settings: Settings) -> None:
    """Load everything in the landing folder as the ingest job does, without Dagster."""
    load_all(installation.warehouse, settings, "test-run")


@pytest.fixture
def shared_data() -> Path:
    """The real export set. Tests that use it are skipped where it is not available."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared export set is not available on this machine")
    return SHARED_DATA


@pytest.fixture
def java() -> Iterator[Path]:
    """The Java home for Spark. Where Java is missing, the test is skipped; in CI it fails."""
    try:
        home = find_java()
    except JavaMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    yield home
