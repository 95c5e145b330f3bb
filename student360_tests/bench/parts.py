"""The comparisons: bulk load, several years in one file, a daily file on small and large warehouses, reading, trends.

Figures are measured in `measuring.py`; `__main__.py` writes the page.
"""

import math
import shutil
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from student360.cli.sample import District, write_attendance, write_district
from student360_tests.bench.latency import all_at_once, daily_file, one_after_the_other
from student360_tests.bench.measuring import Measured, run_command, run_side
from student360_tests.bench.rivals import ORIGINAL_VIEW
from student360_tests.support.installation import Installation, create_installation, remove_schemas
from student360_tests.support.postgres import drop_schema, run_sql, server_url

ROUNDS = 5
BULK_ROUNDS = 3
READS = 7
OTHER_FEEDS = ("students", "performance", "homework", "communication")
LATE_FILES = 20
STUDENT360, FLOOR, SCRIPT = "Student 360, to merged facts", "floor", "pandas, to_sql and a script"
TREND_SIDES = {
    "spark-2": "Spark, 2 workers",
    "spark-1": "Spark, 1 worker",
    "duckdb": "DuckDB, rows read into it",
    "sql": "plain SQL in the warehouse",
}
DLT_SIDE = Path(__file__).parent / "dlt_side.py"
Log = Callable[[str], None]
OLD_ROWS = 100


@dataclass
class Part:
    """A completed comparison: each side is compared with the first. `size` describes the district."""

    title: str
    engine: str
    sides: list[Measured]
    note: str
    size: str
    measured: str


@dataclass
class Site:
    """The environment of a benchmark: a folder, an engine, and the size of the district."""

    folder: Path
    engine: str
    students: int
    days: int
    history_days: int
    _installations: list[Installation] = field(default_factory=list)

    @property
    def district(self) -> District:
        return District(self.students, self.days)

    @property
    def years(self) -> District:
        """The same students in the previous years."""
        first = self.district.first_day - timedelta(days=7 * math.ceil(self.history_days / 5))
        return District(self.students, self.history_days, first_day=first)

    def part(self, title: str, sides: Iterable[Measured], note: str) -> Part:
        """Return a completed comparison with the size of the district and today's date."""
        size = f"{self.students:,} students, {self.days} days in bulk, {self.history_days:,} in the history"
        return Part(title, self.engine, list(sides), note, size, f"{datetime.now(UTC):%Y-%m-%d}")

    def target(self, installation: Installation, name: str) -> str:
        """Return the target of another side: a separate SQLite file, or the schema of an installation."""
        if self.engine == "sqlite":
            return str(self.folder / f"{name}.db")
        return f"{server_url()}&options=-csearch_path%3D{installation.schema}"

    def installation(self, name: str, feeds: Collection[str] = ("students",)) -> Installation:
        """Create an installation and load the given feeds of the district."""
        installation = create_installation(self.engine, self.folder / f"{self.engine}-{name}")
        self._installations.append(installation)
        for path in self.files():
            if path.name.startswith(tuple(feeds)):
                installation.drop(path.name, path.read_bytes())
        self.ingest(installation)
        return installation

    @contextmanager
    def empty_installation(self, name: str) -> Iterator[Installation]:
        """Create an empty installation. Its PostgreSQL schemas are dropped when the block ends."""
        installation = create_installation(self.engine, self.folder / f"{self.engine}-{name}")
        try:
            yield installation
        finally:
            remove_schemas(installation)

    def files(self) -> list[Path]:
        """Return the exports of the district, which are written once."""
        folder = self.folder / f"exports-{self.students}-{self.days}"
        return sorted(folder.glob("*.csv")) if folder.exists() else sorted(write_district(folder, self.district))

    def attendance(self) -> Path:
        return next(path for path in self.files() if path.name.startswith("attendance_"))

    def ingest(self, installation: Installation, into: Measured | None = None) -> None:
        """Run the ingest job on an installation in a separate process."""
        result = run_side({**installation.environment, "STUDENT360_SETTLE_SECONDS": "0"}, "student360")
        if into is not None:
            into.add(result)

    def vacuum(self) -> None:
        """Vacuum PostgreSQL, so that autovacuum does not run during the measurements after a large load."""
        if self.engine == "postgres":
            run_sql("VACUUM (ANALYZE)")

    def clean_up(self) -> None:
        """Drop the PostgreSQL schemas of the installations."""
        for installation in self._installations:
            remove_schemas(installation)


def bulk_load(site: Site, log: Log, dlt: Path | None) -> Part:
    """Compare loads of a term's attendance in one messy file, from file to facts with keys, rejects, ledger, lineage.

    dlt: the Python interpreter of an environment with dlt; None leaves that side out.
    """
    file = site.attendance()
    sides = {name: Measured(name) for name in (STUDENT360, "the same, to the risk list", FLOOR, SCRIPT, "dlt")}
    for number in range(BULK_ROUNDS):
        installation = site.installation(f"bulk{number}")
        (installation.data / "landing" / file.name).write_bytes(file.read_bytes())
        run = Measured("")
        site.ingest(installation, run)
        steps = run.told["steps"]
        before_the_marts = sum(seconds for step, seconds in steps.items() if step != "marts")
        sides[STUDENT360].add(run.told | {"seconds": before_the_marts})
        sides["the same, to the risk list"].add(run.told)
        for name, side in ((FLOOR, "floor"), (SCRIPT, "pandas")):
            sides[name].add(run_side({}, side, site.engine, site.target(installation, f"{side}{number}"), str(file)))
        if dlt is not None:
            sides["dlt"].add(_by_dlt(dlt, site, installation, file, number))
        log(f"bulk load, {number + 1}: " + ", ".join(f"{m.name} {m.seconds[-1]:.1f} s" for m in _done(sides)))
        site.clean_up()
    lines = sum(1 for _ in file.open("rb")) - 1
    note = f"{lines:,} rows, {file.stat().st_size / 1e6:,.0f} MB. Student 360's steps: "
    return site.part("Bulk load", _done(sides), note + _slowest(steps))


def _done(sides: dict[str, Measured]) -> list[Measured]:
    return [side for side in sides.values() if side.seconds]


def _slowest(steps: dict[str, float]) -> str:
    slowest = sorted(steps.items(), key=lambda step: -step[1])[:5]
    return ", ".join(f"{step} {seconds:.1f} s" for step, seconds in slowest)


def _by_dlt(python: Path, site: Site, installation: Installation, file: Path, number: int) -> dict[str, Any]:
    target = site.target(installation, f"dlt{number}")
    url = f"sqlite:///{target}" if site.engine == "sqlite" else target.replace(":@/", ":none@localhost/", 1)
    destination = "sqlalchemy" if site.engine == "sqlite" else "postgres"
    result = run_command(
        {"RUNTIME__DLTHUB_TELEMETRY": "false"}, str(python), str(DLT_SIDE), destination, url, str(file)
    )
    if site.engine == "postgres":
        drop_schema("dlt_rival")
        drop_schema("dlt_rival_staging")
    return result


def history(site: Site, log: Log) -> tuple[Part, Installation]:
    """Measure the load of a history in one file into an empty warehouse. Also returns the installation."""
    installation = site.installation("large")
    for file in site.files():
        if not file.name.startswith("students_"):
            shutil.copy(file, installation.data / "landing" / file.name)
    years = write_attendance(site.folder / "years", site.years)
    shutil.copy(years, installation.data / "landing" / years.name)
    size = years.stat().st_size
    years.unlink()
    side = Measured("the history, to the risk list")
    site.ingest(installation, side)
    facts = installation.warehouse.row_count("fact_attendance")
    log(f"history: {facts:,} facts in {side.median:.0f} s, {side.memory:.0f} MB")
    note = f"{size / 1e6:,.0f} MB, {facts:,} facts. Steps: {_slowest(side.told['steps'])}"
    return site.part("A history in one file", [side], note), installation


def flat(site: Site, large: Installation, log: Log) -> Part:
    """Compare loads of a daily file into three vacuumed warehouses.

    They contain the roster only, everything but attendance (so that the other indicators have as much data as with the
    history), and the whole history.
    """
    installations = {
        "day, roster alone": site.installation("small"),
        "day, all but attendance": site.installation("years_less", OTHER_FEEDS),
        "day, history": large,
    }
    site.vacuum()
    days = District(site.students, site.days + ROUNDS).school_days()[site.days :]
    sides = {name: Measured(name) for name in (*installations, "sent again, history", "100 old rows, history")}
    for number, day in enumerate(days):
        content = daily_file(site.students, day, number)
        for name, installation in installations.items():
            installation.drop(f"attendance_{day}.csv", content)
            site.ingest(installation, sides[name])
        large.drop(f"attendance_{day}_again.csv", content + b"\n")
        site.ingest(large, sides["sent again, history"])
        old = site.years.school_days()[-40 - number]
        large.drop(f"attendance_corrected_{day}.csv", daily_file(OLD_ROWS, old, 1000 + number))
        site.ingest(large, sides["100 old rows, history"])
        log(f"flat, round {number + 1}: " + ", ".join(f"{m.name} {m.seconds[-1]:.1f} s" for m in sides.values()))
    steps = "; ".join(f"{name}: {_slowest(sides[name].told['steps'])}" for name in installations)
    note = f"{site.students:,} rows; history of {large.warehouse.row_count('fact_attendance'):,} facts. Last steps of "
    return site.part("A day's file", sides.values(), note + steps)


def reading(site: Site, installation: Installation, log: Log) -> Part:
    """Compare reading the views as Arrow with the view of the original project, computed from all facts."""
    queries = {
        "risk monitor, all students": "SELECT * FROM v_student_risk_monitor",
        "one student's v_student_360": "SELECT * FROM v_student_360 WHERE student_id = 'S000042'",
        "the original project's view, from all facts": ORIGINAL_VIEW,
    }
    sides = {name: Measured(name) for name in queries}
    with installation.warehouse.reading() as tx:
        for _ in range(READS):
            for name, query in queries.items():
                start = time.perf_counter()
                rows = tx.arrow(query).num_rows
                sides[name].add({"seconds": time.perf_counter() - start, "rows": rows})
    log("reading: " + ", ".join(f"{m.name} {1000 * m.median:.0f} ms" for m in sides.values()))
    return site.part("Reading", sides.values(), f"{installation.warehouse.row_count('fact_attendance'):,} facts")


def nothing_to_do(site: Site, installation: Installation, log: Log) -> Part:
    """Measure the ingest job without new files, and the part of it that is spent in steps."""
    run, steps = Measured("ingest, nothing due"), Measured("the same, in steps")
    for _ in range(ROUNDS):
        site.ingest(installation, run)
        steps.add({"seconds": sum(run.told["steps"].values())})
    note = f"{run.told['statements']} statements to the warehouse, {run.told['events']} events"
    log(f"nothing to do: {run.median:.1f} s, {steps.median:.1f} s in steps; {note}")
    return site.part("A run with nothing to do", [run, steps], note)


def trends(site: Site, installation: Installation, log: Log) -> Part:
    """Compare the computation of the aggregates by Spark with one and two workers, DuckDB and plain SQL."""
    sides = {how: Measured(name) for how, name in TREND_SIDES.items()}
    for how, side in sides.items():
        side.add(run_side(installation.environment, "trends", how))
        log(f"trends, {side.name}: {side.median:.1f} s")
    rows = {side.told["rows"] for side in sides.values()}
    note = f"{installation.warehouse.row_count('fact_attendance'):,} facts of attendance"
    return site.part("Trends", sides.values(), f"{note}; rows in the result: {sorted(rows)}")


def latency(site: Site, log: Log) -> Part:
    """Measure the time from the rename of a file into landing to the risk view, with the real daemon."""
    side = Measured("10,000 rows, rename to risk view")
    with site.empty_installation("latency") as installation:
        for seconds in one_after_the_other(installation, 10_000, 40, LATE_FILES, log):
            side.add({"seconds": seconds})
    p95 = statistics.quantiles(side.seconds, n=20)[-1]
    note = f"{LATE_FILES} files, p95 {p95:.1f} s, the slowest {max(side.seconds):.1f} s"
    return site.part("Event latency", [side], note)


def bursts(site: Site, log: Log, sizes: list[int]) -> Part:
    """Measure bursts of many files, with the real daemon and web server."""
    sides, notes = [], []
    for files in sizes:
        side = Measured(f"{files:,} files of 200 rows, all visible")
        with site.empty_installation(f"burst{files}") as installation:
            burst = all_at_once(installation, files, 200)
        side.add({"seconds": burst.seconds})
        sides.append(side)
        notes.append(
            f"{files:,} files: {burst.runs} runs, longest tick {burst.longest_tick:.1f} s, "
            f"slowest response of the web server {burst.slowest_page:.1f} s"
        )
        log(f"burst: {burst}")
    return site.part("Bursts", sides, "; ".join(notes))
