"""The comparisons: bulk load, years in one file, a day's file on a small and on a large warehouse, reading, trends.

Belongs here: what is compared with what. Does not belong here: how a figure is taken (`measuring.py`), the page.
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
from student360_tests.support.postgres import ask, drop_schema, server_url

ROUNDS = 5
BULK_ROUNDS = 3
READS = 7
OTHER_FEEDS = ("students", "performance", "homework", "communication")
LATE_FILES = 20
OURS, FLOOR, SCRIPT = "Student 360, to merged facts", "floor", "pandas, to_sql and a script"
TREND_SIDES = {
    "spark-2": "Spark, 2 workers",
    "spark-1": "Spark, 1 worker",
    "duckdb": "DuckDB, rows read into it",
    "sql": "plain SQL in the warehouse",
}
DLT_SIDE = Path(__file__).parent / "dlt_side.py"
Say = Callable[[str], None]
OLD_ROWS = 100


@dataclass
class Part:
    """A comparison that was made: each side against the first; `size` says of what district."""

    title: str
    engine: str
    sides: list[Measured]
    note: str
    size: str
    measured: str


@dataclass
class Site:
    """Where a benchmark works: a folder with room, an engine, and how large the district is."""

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
        """The same students in the years before."""
        first = self.district.first_day - timedelta(days=7 * math.ceil(self.history_days / 5))
        return District(self.students, self.history_days, first_day=first)

    def part(self, title: str, sides: Iterable[Measured], note: str) -> Part:
        """A comparison that was made here."""
        size = f"{self.students:,} students, {self.days} days in bulk, {self.history_days:,} in the history"
        return Part(title, self.engine, list(sides), note, size, f"{datetime.now(UTC):%Y-%m-%d}")

    def target(self, installation: Installation, name: str) -> str:
        """Where another side loads into: a file of its own, or the schema of an installation."""
        if self.engine == "sqlite":
            return str(self.folder / f"{name}.db")
        return f"{server_url()}&options=-csearch_path%3D{installation.schema}"

    def installation(self, name: str, feeds: Collection[str] = ("students",)) -> Installation:
        """An installation with the roster of the district, or with more of its exports."""
        installation = create_installation(self.engine, self.folder / f"{self.engine}-{name}")
        self._installations.append(installation)
        for path in self.files():
            if path.name.startswith(tuple(feeds)):
                installation.drop(path.name, path.read_bytes())
        self.ingest(installation)
        return installation

    @contextmanager
    def empty_installation(self, name: str) -> Iterator[Installation]:
        """An installation for as long as it is needed."""
        installation = create_installation(self.engine, self.folder / f"{self.engine}-{name}")
        try:
            yield installation
        finally:
            remove_schemas(installation)

    def files(self) -> list[Path]:
        """The district's exports, made once."""
        made = self.folder / f"exports-{self.students}-{self.days}"
        return sorted(made.glob("*.csv")) if made.exists() else sorted(write_district(made, self.district))

    def attendance(self) -> Path:
        return next(path for path in self.files() if path.name.startswith("attendance_"))

    def ingest(self, installation: Installation, into: Measured | None = None) -> None:
        """Run the ingest job on an installation, in a process of its own."""
        told = run_side({**installation.environment, "STUDENT360_SETTLE_SECONDS": "0"}, "ours")
        if into is not None:
            into.add(told)

    def tidy_up_as_the_server_would(self) -> None:
        """What autovacuum does in the minutes after a large load, so that it does not do it beside what is measured."""
        if self.engine == "postgres":
            ask("VACUUM (ANALYZE)")

    def clean_up(self) -> None:
        """Remove what the installations have in PostgreSQL."""
        for installation in self._installations:
            remove_schemas(installation)


def bulk_load(site: Site, say: Say, dlt: Path | None) -> Part:
    """A term's attendance in one messy file: file to merged facts with keys, rejects, ledger and lineage.

    dlt: a Python that has dlt.
    """
    file = site.attendance()
    sides = {name: Measured(name) for name in (OURS, "the same, to the risk list", FLOOR, SCRIPT, "dlt")}
    for number in range(BULK_ROUNDS):
        installation = site.installation(f"bulk{number}")
        (installation.data / "landing" / file.name).write_bytes(file.read_bytes())
        whole = Measured("")
        site.ingest(installation, whole)
        steps = whole.told["steps"]
        before_the_marts = sum(seconds for step, seconds in steps.items() if step != "marts")
        sides[OURS].add(whole.told | {"seconds": before_the_marts})
        sides["the same, to the risk list"].add(whole.told)
        for name, side in ((FLOOR, "floor"), (SCRIPT, "pandas")):
            sides[name].add(run_side({}, side, site.engine, site.target(installation, f"{side}{number}"), str(file)))
        if dlt is not None:
            sides["dlt"].add(_by_dlt(dlt, site, installation, file, number))
        say(f"bulk load, {number + 1}: " + ", ".join(f"{m.name} {m.seconds[-1]:.1f} s" for m in _done(sides)))
        site.clean_up()
    lines = sum(1 for _ in file.open("rb")) - 1
    note = f"{lines:,} rows, {file.stat().st_size / 1e6:,.0f} MB. Student 360's steps: "
    return site.part("Bulk load", _done(sides), note + _slowest(steps))


def _done(sides: dict[str, Measured]) -> list[Measured]:
    return [side for side in sides.values() if side.seconds]


def _slowest(steps: dict[str, float]) -> str:
    most = sorted(steps.items(), key=lambda step: -step[1])[:5]
    return ", ".join(f"{step} {seconds:.1f} s" for step, seconds in most)


def _by_dlt(python: Path, site: Site, installation: Installation, file: Path, number: int) -> dict[str, Any]:
    target = site.target(installation, f"dlt{number}")
    url = f"sqlite:///{target}" if site.engine == "sqlite" else target.replace(":@/", ":none@localhost/", 1)
    destination = "sqlalchemy" if site.engine == "sqlite" else "postgres"
    told = run_command({"RUNTIME__DLTHUB_TELEMETRY": "false"}, str(python), str(DLT_SIDE), destination, url, str(file))
    if site.engine == "postgres":
        drop_schema("dlt_rival")
        drop_schema("dlt_rival_staging")
    return told


def history(site: Site, say: Say) -> tuple[Part, Installation]:
    """All of a history in one file, into an empty warehouse: its memory. Returns the warehouse too."""
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
    say(f"history: {facts:,} facts in {side.median:.0f} s, {side.memory:.0f} MB")
    note = f"{size / 1e6:,.0f} MB, {facts:,} facts. Steps: {_slowest(side.told['steps'])}"
    return site.part("A history in one file", [side], note), installation


def flat(site: Site, large: Installation, say: Say) -> Part:
    """A day's file, on a warehouse with nothing but the roster, on one with everything but attendance (there is as much
    to judge of a student as with the history), and on one with the whole history, all of them vacuumed."""
    installations = {
        "day, roster alone": site.installation("small"),
        "day, all but attendance": site.installation("years_less", OTHER_FEEDS),
        "day, history": large,
    }
    site.tidy_up_as_the_server_would()
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
        say(f"flat, round {number + 1}: " + ", ".join(f"{m.name} {m.seconds[-1]:.1f} s" for m in sides.values()))
    steps = "; ".join(f"{name}: {_slowest(sides[name].told['steps'])}" for name in installations)
    note = f"{site.students:,} rows; history of {large.warehouse.row_count('fact_attendance'):,} facts. Last steps of "
    return site.part("A day's file", sides.values(), note + steps)


def reading(site: Site, installation: Installation, say: Say) -> Part:
    """What people look at, read as Arrow; and what the original project's view says, computed from all facts."""
    queries = {
        "risk monitor, all students": "SELECT * FROM v_student_risk_monitor",
        "one student's v_student_360": "SELECT * FROM v_student_360 WHERE student_id = 'S000042'",
        "the original project's view, from all facts": ORIGINAL_VIEW,
    }
    sides = {name: Measured(name) for name in queries}
    with installation.warehouse.reading() as tx:
        for _ in range(READS):
            for name, query in queries.items():
                began = time.perf_counter()
                rows = tx.arrow(query).num_rows
                sides[name].add({"seconds": time.perf_counter() - began, "rows": rows})
    say("reading: " + ", ".join(f"{m.name} {1000 * m.median:.0f} ms" for m in sides.values()))
    return site.part("Reading", sides.values(), f"{installation.warehouse.row_count('fact_attendance'):,} facts")


def nothing_to_do(site: Site, installation: Installation, say: Say) -> Part:
    """The whole ingest job when no file came, and what of it is spent in steps."""
    whole, steps = Measured("ingest, nothing due"), Measured("the same, in steps")
    for _ in range(ROUNDS):
        site.ingest(installation, whole)
        steps.add({"seconds": sum(whole.told["steps"].values())})
    note = f"{whole.told['statements']} statements to the warehouse, {whole.told['events']} events"
    say(f"nothing to do: {whole.median:.1f} s, {steps.median:.1f} s in steps; {note}")
    return site.part("A run with nothing to do", [whole, steps], note)


def trends(site: Site, installation: Installation, say: Say) -> Part:
    """All aggregates of the Spark layer: Spark with one and two workers, DuckDB, plain SQL, on the same facts."""
    sides = {how: Measured(name) for how, name in TREND_SIDES.items()}
    for how, side in sides.items():
        side.add(run_side(installation.environment, "trends", how))
        say(f"trends, {side.name}: {side.median:.1f} s")
    rows = {side.told["rows"] for side in sides.values()}
    note = f"{installation.warehouse.row_count('fact_attendance'):,} facts of attendance"
    return site.part("Trends", sides.values(), f"{note}; rows that came out: {sorted(rows)}")


def latency(site: Site, say: Say) -> Part:
    """From the rename of a file into landing to the risk view, with the real daemon."""
    side = Measured("10,000 rows, rename to risk view")
    with site.empty_installation("latency") as installation:
        for seconds in one_after_the_other(installation, 10_000, 40, LATE_FILES, say):
            side.add({"seconds": seconds})
    p95 = statistics.quantiles(side.seconds, n=20)[-1]
    note = f"{LATE_FILES} files, p95 {p95:.1f} s, the slowest {max(side.seconds):.1f} s"
    return site.part("Event latency", [side], note)


def bursts(site: Site, say: Say, sizes: list[int]) -> Part:
    """Very many files at once, with the real daemon and web server."""
    sides, notes = [], []
    for files in sizes:
        side = Measured(f"{files:,} files of 200 rows, all visible")
        with site.empty_installation(f"burst{files}") as installation:
            burst = all_at_once(installation, files, 200)
        side.add({"seconds": burst.seconds})
        sides.append(side)
        notes.append(
            f"{files:,} files: {burst.runs} runs, longest tick {burst.longest_tick:.1f} s, "
            f"slowest answer of the web server {burst.slowest_page:.1f} s"
        )
        say(f"burst: {burst}")
    return site.part("Bursts", sides, "; ".join(notes))
