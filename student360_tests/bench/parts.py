"""The comparisons: bulk load, a day's file on a small and on a large warehouse, reading, a run with nothing to do.

Belongs here: what is compared with what. Does not belong here: how a figure is taken (`measuring.py`), the page.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from student360.sample import District, write_district
from student360_tests.bench.measuring import Measured, run_side
from student360_tests.bench.rivals import RATE_FROM_FACTS
from student360_tests.latency import daily_file
from student360_tests.postgres import server_url
from student360_tests.running import House, installation, remove_schemas

ROUNDS = 3
READS = 7
OLD_ROWS = 100


@dataclass
class Part:
    """A comparison that was made: each side against the first."""

    title: str
    engine: str
    sides: list[Measured]
    note: str = ""


@dataclass
class Site:
    """Where a benchmark works: a folder with room, an engine, and how large the district is."""

    folder: Path
    engine: str
    students: int
    days: int
    _houses: list[House] = field(default_factory=list)

    @property
    def district(self) -> District:
        return District(self.students, self.days)

    def house(self, name: str) -> House:
        """An installation with the roster of the district."""
        house = installation(self.engine, self.folder / f"{self.engine}-{name}")
        self._houses.append(house)
        roster = next(path for path in self.files() if path.name.startswith("students_"))
        house.drop(roster.name, roster.read_bytes())
        self.ingest(house)
        return house

    def files(self) -> list[Path]:
        """The district's exports, made once."""
        made = self.folder / f"exports-{self.students}-{self.days}"
        return sorted(made.glob("*.csv")) if made.exists() else sorted(write_district(made, self.district))

    def attendance(self) -> Path:
        return next(path for path in self.files() if path.name.startswith("attendance_"))

    def ingest(self, house: House, into: Measured | None = None) -> None:
        """Run the ingest job on an installation, in a process of its own."""
        told = run_side({**house.environment, "STUDENT360_SETTLE_SECONDS": "0"}, "ours")
        if into is not None:
            into.add(told)

    def clean_up(self) -> None:
        """Remove what the installations have in PostgreSQL."""
        for house in self._houses:
            remove_schemas(house)


def bulk_load(site: Site, say: Callable[[str], None]) -> Part:
    """A term's attendance in one messy file: file to merged facts with keys, rejects, ledger, lineage, tiers."""
    file = site.attendance()
    sides = {name: Measured(name) for name in ("Student 360", "floor", "pandas, to_sql and a script")}
    for number in range(ROUNDS):
        house = site.house(f"bulk{number}")
        (house.data / "landing" / file.name).write_bytes(file.read_bytes())
        site.ingest(house, sides["Student 360"])
        for name, side in (("floor", "floor"), ("pandas, to_sql and a script", "pandas")):
            target = str(site.folder / f"{side}{number}.db")
            if site.engine == "postgres":
                target = f"{server_url()}&options=-csearch_path%3D{house.schema}"
            sides[name].add(run_side({}, side, site.engine, target, str(file)))
        say(f"bulk load, round {number + 1}: " + ", ".join(f"{m.name} {m.seconds[-1]:.1f} s" for m in sides.values()))
        site.clean_up()
    steps = sides["Student 360"].told["steps"]
    slowest = sorted(steps.items(), key=lambda step: -step[1])[:5]
    lines = sum(1 for _ in file.open("rb")) - 1
    note = f"{lines:,} rows, {file.stat().st_size / 1e6:,.0f} MB. Student 360's steps: "
    return Part("Bulk load", site.engine, list(sides.values()), note + ", ".join(f"{s} {t:.1f} s" for s, t in slowest))


def flat(site: Site, large: House, say: Callable[[str], None]) -> Part:
    """A day's file, on a warehouse with nothing but the roster and on one with the whole history."""
    small = site.house("small")
    days = District(site.students, site.days + ROUNDS).school_days()[site.days :]
    sides = {
        name: Measured(name) for name in ("day, empty", "day, history", "sent again, history", "100 old rows, history")
    }
    for number, day in enumerate(days):
        content = daily_file(site.students, day, number)
        for house, name in ((small, "day, empty"), (large, "day, history")):
            house.drop(f"attendance_{day}.csv", content)
            site.ingest(house, sides[name])
        large.drop(f"attendance_{day}_again.csv", content + b"\n")
        site.ingest(large, sides["sent again, history"])
        old = site.district.school_days()[2 + number]
        large.drop(f"attendance_corrected_{day}.csv", daily_file(OLD_ROWS, old, 1000 + number))
        site.ingest(large, sides["100 old rows, history"])
        say(f"flat, round {number + 1}: " + ", ".join(f"{m.name} {m.seconds[-1]:.1f} s" for m in sides.values()))
    return Part(
        "A day's file", site.engine, list(sides.values()), f"{site.students:,} rows; history of {site.days} days"
    )


def reading(site: Site, house: House, say: Callable[[str], None]) -> Part:
    """What people look at, read as Arrow; and the attendance part of the original project's view, from all facts."""
    queries = {
        "risk monitor, all students": "SELECT * FROM v_student_risk_monitor",
        "one student's v_student_360": "SELECT * FROM v_student_360 WHERE student_id = 'S000042'",
        "attendance rate from all facts": RATE_FROM_FACTS,
    }
    sides = {name: Measured(name) for name in queries}
    with house.warehouse.reading() as tx:
        for _ in range(READS):
            for name, query in queries.items():
                began = time.perf_counter()
                with tx.cursor() as cursor:
                    cursor.execute(query)
                    rows = cursor.fetch_arrow_table().num_rows
                sides[name].add({"seconds": time.perf_counter() - began, "rows": rows})
    say("reading: " + ", ".join(f"{m.name} {1000 * m.median:.0f} ms" for m in sides.values()))
    return Part("Reading", site.engine, list(sides.values()), f"{house.warehouse.row_count('fact_attendance'):,} facts")


def nothing_to_do(site: Site, house: House, say: Callable[[str], None]) -> Part:
    """The whole ingest job when no file came."""
    side = Measured("ingest, nothing due")
    for _ in range(ROUNDS):
        site.ingest(house, side)
    steps = sum(side.told["steps"].values())
    note = (
        f"{steps:.1f} s in steps; {side.told['statements']} statements to the warehouse, {side.told['events']} events"
    )
    say(f"nothing to do: {side.median:.1f} s, {note}")
    return Part("A run with nothing to do", site.engine, [side], note)
