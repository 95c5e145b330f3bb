"""Kill workers with SIGKILL during a load, restart them, and check the invariants I1-I9.

Contains the producer of files, the worker and the invariants. The processes of Dagster are killed in `soak.py`; rules
are broken on purpose in `mutants.py`.
"""

import csv
import hashlib
import json
import logging
import multiprocessing
import os
import random
import signal
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from student360.crash_points import CrashPoint, watch
from student360.loading.pipeline import load_all
from student360.operations.reprocess import OperatorProblem, reprocess
from student360.operations.verify import verify
from student360.settings import load_settings
from student360.warehouse.errors import WarehouseUnavailable
from student360.warehouse.warehouse import Warehouse
from student360_tests.support.installation import Installation
from student360_tests.trust.installations import settings_without_settle_time, temporary_installation
from student360_tests.trust.mutants import MUTANTS

FIRST_DAY = date(2026, 1, 5)
SETTINGS = {
    "STUDENT360_LOAD_MODE_HOMEWORK": "window",
    "STUDENT360_MAX_WITHDRAW_PERCENT": "100",
    "STUDENT360_MAX_REJECT_PERCENT": "60",
    "STUDENT360_LARGE_FILE_MEGABYTES": "0.0003",  # so that there are both large and small files
}
HEADERS = {
    "students": "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact",
    "attendance": "Student_ID,Date,Attendance_Status",
    "homework": "Student_ID,Subject,Assignment_Name,Due_Date,Status,Grade_Feedback,Guardian_Signature",
}
CODES = ("Present", "Absent", "Late", "Excused")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["student360_tests.trust.kills"])


@dataclass(frozen=True)
class Plan:
    """Where a worker ends: at the hit-th pass of a point, by SIGKILL or by a lost acknowledgment of a commit."""

    point: CrashPoint
    hit: int
    lose_acknowledgment: bool = False


@dataclass
class Produced:
    """A dropped file, with the values of its valid rows by key (student, date, assignment)."""

    feed: str
    effective: date
    content: bytes
    rows: dict[tuple[str, str, str], str]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass
class Producer:
    """Drops valid, invalid, repeated and out-of-order files."""

    installation: Installation
    rng: random.Random
    students: int = 8
    files: list[Produced] = field(default_factory=list)
    drops: int = 0
    first_drops: dict[str, float] = field(default_factory=dict)

    def drop_file(self) -> None:
        """Drop a random file: new, repeated or not a CSV."""
        kind = self.rng.choices(("new", "again", "not CSV"), (8, 2, 1))[0]
        if kind == "again" and self.files:
            self._drop(self.rng.choice(self.files))
        elif kind == "not CSV":
            self._drop(Produced("attendance", FIRST_DAY, self.rng.randbytes(40) + b"\0" * 9, {}))
        else:
            feed = self.rng.choices(("attendance", "homework", "students"), (6, 3, 1))[0]
            self._drop(self._students() if feed == "students" else self._facts(feed))

    def drop_fact_file(self) -> None:
        """Drop a new attendance file."""
        self._drop(self._facts("attendance"))

    def drop_roster(self) -> None:
        """Drop the roster of all students, so that no fact remains waiting."""
        self._drop(self._students(self.students))

    def _drop(self, produced: Produced) -> None:
        """Drop a file under an unused name. Raises OSError if the disk is full; then the file is not dropped."""
        name = f"{produced.feed}_{produced.effective}.csv"
        if self.rng.random() < 0.7 or (self.installation.data / "landing" / name).exists():
            name = f"{produced.feed}_{produced.effective}_{self.drops + 1}.csv"
        self.installation.drop(name, produced.content)
        self.drops += 1
        if produced.sha256 not in self.first_drops and (produced.rows or produced.feed == "students"):
            self.files.append(produced)
        self.first_drops.setdefault(produced.sha256, time.time())

    def _effective(self) -> date:
        return date(2026, 2, 1) + timedelta(days=self.rng.randrange(40))

    def _students(self, count: int = 0) -> Produced:
        chosen = range(count or self.rng.randrange(2, self.students))
        room = self.rng.randrange(3)
        lines = [f"S{n},Student {n},2014-01-0{n % 9 + 1},Grade {n % 5 + 1},{555 + room}" for n in chosen]
        return self._file("students", lines, {}, self._effective())

    def _facts(self, feed: str) -> Produced:
        rows: dict[tuple[str, str, str], str] = {}
        for _ in range(self.rng.randrange(3, 25)):
            day = FIRST_DAY + timedelta(days=self.rng.randrange(12))
            student = f"S{self.rng.randrange(self.students)}"
            if feed == "attendance":
                rows[student, day.isoformat(), ""] = self.rng.choice(CODES).lower()
            else:
                rows[student, day.isoformat(), f"Task {self.rng.randrange(3)}"] = self.rng.choice(("done", "missing"))
        if feed == "attendance":
            lines = [f"{student},{day},{code}" for (student, day, _), code in rows.items()]
            if self.rng.random() < 0.3:
                lines += [f"S1,2026-13-{n:02},Present" for n in range(1, self.rng.randrange(2, 5))]
        else:
            lines = [f"{student},Math,{task},{day},{code},," for (student, day, task), code in rows.items()]
        return self._file(feed, lines, rows, self._effective())

    def _file(self, feed: str, lines: list[str], rows: dict[tuple[str, str, str], str], effective: date) -> Produced:
        self.rng.shuffle(lines)
        return Produced(feed, effective, "\n".join([HEADERS[feed], *lines, ""]).encode(), rows)


@dataclass
class Figures:
    """The number of kills, restarts, files and rows, the violations, and the seconds from drop to load."""

    kills: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    files: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def killed(self) -> int:
        return sum(self.kills.values())

    def __iadd__(self, other: "Figures") -> "Figures":
        self.kills += other.kills
        self.restarts += other.restarts
        self.files += other.files
        self.rows += other.rows
        self.violations += other.violations
        self.seconds += other.seconds
        return self


class CrashTrigger:
    """Counts the passes of each crash point and ends the process according to the plan."""

    def __init__(self, plan: Plan | None) -> None:
        self.plan = plan
        self.passes: Counter[str] = Counter()

    def __call__(self, point: CrashPoint) -> None:
        self.passes[point] += 1
        if self.plan is None or point is not self.plan.point or self.passes[point] != self.plan.hit:
            return
        if self.plan.lose_acknowledgment:
            raise AcknowledgmentLost
        os.kill(os.getpid(), signal.SIGKILL)


def work(installation: Installation, plan: Plan | None, mutant: str | None, again: bool) -> None:
    """Run a worker: load everything as the ingest job does, or reprocess the archive; end it according to the plan."""
    if mutant is not None:
        MUTANTS[mutant].break_rule()
    logging.basicConfig(filename=installation.log)
    trigger = CrashTrigger(plan)
    watch(trigger)
    settings = settings_without_settle_time(installation, **SETTINGS)
    try:
        if again:
            with suppress(OperatorProblem):  # a file may not be in the archive yet
                reprocess(installation.warehouse, settings, [], everything=True)
        else:
            load_all(installation.warehouse, settings, "trust")
            _passes_file(installation).write_text(json.dumps(trigger.passes))
    except AcknowledgmentLost:
        raise SystemExit(LOST) from None
    except BaseException:
        with installation.log.open("a") as log:
            log.write(traceback.format_exc())
        raise SystemExit(1) from None


def load_once() -> None:
    """Load everything in landing with the settings of the environment; called in separate processes."""
    settings = load_settings()
    load_all(Warehouse(url=settings.warehouse_url), settings, "trust")


def passes(installation: Installation, point: CrashPoint) -> int:
    """Return how often the last worker that ended normally passed a crash point."""
    return int(json.loads(_passes_file(installation).read_text()).get(point, 0))


def _passes_file(installation: Installation) -> Path:
    return installation.root / "passes.json"


class AcknowledgmentLost(WarehouseUnavailable):
    """K11: a commit was sent, but its acknowledgment was lost, so its outcome is unknown."""


LOST = 11
ATTEMPTS_PER_KILL = 4
MUTANT_EPISODES, MUTANT_KILLS = 6, 12
ENDING_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)
KILLED_BY_HARNESS = (-signal.SIGKILL, -signal.SIGTERM, LOST)


def start(
    installation: Installation, plan: Plan | None = None, mutant: str | None = None, again: bool = False
) -> ForkServerProcess:
    """Start a worker as a separate process."""
    process = CONTEXT.Process(target=work, args=(installation, plan, mutant, again))
    process.start()
    return process


def episode(engine: str, seed: int, kills: int, folder: Path | None = None, mutant: str | None = None) -> Figures:
    """Kill this number of workers in a new installation, let it finish all work, and check it. Returns the figures.

    A mutant is killed at the crash point it names, if it names one. Other workers are killed at a random crash point,
    at a random moment by a random signal, or by a lost acknowledgment.
    """
    rng = random.Random(seed)
    figures = Figures()
    with temporary_installation(engine, folder) as installation:
        producer = Producer(installation, rng)
        attempts = 0
        if rng.random() < 0.5:
            producer.drop_roster()
        producer.drop_file()
        join(installation, figures, [start(installation, None, mutant)])
        while figures.killed < kills and attempts < kills * ATTEMPTS_PER_KILL and not figures.violations:
            attempts += 1
            for _ in range(rng.randrange(1, 4)):
                producer.drop_file()
            _kill_randomly(installation, rng, figures, mutant)
        producer.drop_roster()
        run_until_idle(installation, figures, mutant)
        figures.violations += [f"seed {seed}: {what}" for what in violations(installation, producer)]
        count(installation, producer, figures)
    return figures


def hunt(mutant: str, engine: str, folder: Path | None = None) -> Figures:
    """Return the figures of the first episode that detects the mutant, or of the last one if none does."""
    figures = Figures()
    for seed in range(MUTANT_EPISODES):
        figures = episode(engine, seed, MUTANT_KILLS, folder, mutant)
        if figures.violations:
            break
    return figures


def _kill_randomly(installation: Installation, rng: random.Random, figures: Figures, mutant: str | None) -> None:
    """Kill a worker at a crash point, by a lost acknowledgment or at any moment, sometimes next to a second worker."""
    aim = MUTANTS[mutant].aim if mutant else None
    kind = "point" if aim else rng.choices(("point", "any moment", "lost acknowledgment"), (6, 3, 1))[0]
    again = not aim and rng.random() < 0.1
    if kind == "any moment":
        plan, label = None, "any moment"
    elif kind == "lost acknowledgment":
        plan, label = choose_plan(installation, rng, CrashPoint.AFTER_COMMIT, lose_acknowledgment=True), "K11"
    else:
        plan = choose_plan(installation, rng, aim or rng.choice(list(CrashPoint)))
        label = plan.point.value
    workers = [start(installation, plan, mutant, again)]
    if rng.random() < 0.25:
        workers.append(start(installation, None, mutant))
    if kind == "any moment":
        time.sleep(rng.uniform(0.02, 0.6))
        with suppress(ProcessLookupError):
            os.kill(workers[0].pid or 0, rng.choice(ENDING_SIGNALS))
    join(installation, figures, workers, label)


def choose_plan(
    installation: Installation, rng: random.Random, point: CrashPoint, lose_acknowledgment: bool = False
) -> Plan:
    """Return a plan for a random pass of a point: up to one more than the last complete run had."""
    return Plan(point, rng.randint(1, passes(installation, point) + 1), lose_acknowledgment)


def join(installation: Installation, figures: Figures, workers: list[ForkServerProcess], label: str = "") -> None:
    """Wait for workers to end. Counts kills; any other failure is a violation."""
    figures.restarts += len(workers)
    for worker in workers:
        worker.join(120)
        if worker.exitcode in KILLED_BY_HARNESS:
            figures.kills[label] += 1
        elif worker.exitcode != 0:
            figures.violations.append(f"a worker failed ({worker.exitcode}): {_last_line(installation)}")
            worker.kill()


def _last_line(installation: Installation) -> str:
    lines = installation.log.read_text().strip().splitlines() if installation.log.exists() else ["?"]
    return lines[-1]


def run_until_idle(installation: Installation, figures: Figures, mutant: str | None = None) -> None:
    """Run workers without a plan until no work is left."""
    for _ in range(2):
        join(installation, figures, [start(installation, None, mutant)])


def violations(installation: Installation, producer: Producer) -> list[str]:
    """Return the violations of the invariants I1-I9 in an idle installation."""
    found = []
    with installation.warehouse.reading() as tx:
        ledger = tx.query("SELECT * FROM ingest_file ORDER BY file_id")
        drops = tx.query("SELECT * FROM file_drop")
        attendance = {(r["s"], str(r["d"])): r["c"] for r in tx.query(ATTENDANCE)}
        homework = {(r["s"], str(r["d"]), r["a"]): r["c"] for r in tx.query(HOMEWORK)}
    contents = Counter(row["sha256"] for row in ledger)
    dropped = {produced.sha256 for produced in producer.files}
    found += [f"I1: {sha[:8]} is not in the ledger" for sha in dropped - set(contents)]
    not_loaded = {row["sha256"] for row in ledger if row["status"] not in ("loaded", "waiting")}
    found += [f"I1: {sha[:8]} is a valid file and was not loaded" for sha in dropped & not_loaded]
    again = {produced.sha256 for produced in producer.files if _may_occur_twice(produced, ledger)}
    found += [f"I1: {sha[:8]} is in the ledger {n} times" for sha, n in contents.items() if n > 1 and sha not in again]
    left = [path for name in ("landing", "work") for path in (installation.data / name).iterdir()]
    archived = [p for p in (installation.data / "processed").rglob("*") if p.is_file()]
    archived += [
        p for p in (installation.data / "quarantine").rglob("*") if p.is_file() and "to_correct" not in p.parts
    ]
    if len(archived) != producer.drops or len(drops) != producer.drops:
        found.append(f"I2: {producer.drops} drops, {len(drops)} in the ledger, {len(archived)} files in the archive")
    if left:
        found.append(f"I7: {len(left)} files left in landing or work")
    found += [f"I7: {drop['claim_id'][:8]} is not recorded as archived" for drop in drops if not drop["archived_at"]]
    found += _recounted(installation, ledger, drops)
    expected_attendance, expected_homework = oracle(producer, ledger)
    found += _differences("I5 attendance", expected_attendance, attendance)
    found += _differences("I5 homework", expected_homework, homework)
    checked = verify(installation.warehouse, settings_without_settle_time(installation, **SETTINGS))
    found += [f"{promise.name}: {line}" for promise in checked for line in promise.broken]
    return found


ATTENDANCE = (
    "SELECT i.student_id AS s, d.full_date AS d, c.code AS c FROM fact_attendance AS f"
    " JOIN student_identity AS i ON i.student_durable_key = f.student_durable_key"
    " JOIN dim_dates AS d ON d.date_key = f.date_key"
    " JOIN dim_attendance_codes AS c ON c.attendance_code_key = f.attendance_code_key"
)
HOMEWORK = (
    "SELECT i.student_id AS s, d.full_date AS d, f.assignment AS a, c.code AS c FROM fact_homework AS f"
    " JOIN student_identity AS i ON i.student_durable_key = f.student_durable_key"
    " JOIN dim_dates AS d ON d.date_key = f.due_date_key"
    " JOIN dim_homework_statuses AS c ON c.homework_status_key = f.homework_status_key"
)


def _may_occur_twice(produced: Produced, ledger: list[dict[str, object]]) -> bool:
    """Return whether a file has two effective dates: content sent again after other exports is loaded twice."""
    return len({row["effective_date_key"] for row in ledger if row["sha256"] == produced.sha256}) > 1


def _recounted(
    installation: Installation, ledger: list[dict[str, object]], drops: list[dict[str, object]]
) -> list[str]:
    """Check I3: the rows of each archived file, counted by the csv module, equal the rows read."""
    found = []
    paths = {drop["file_id"]: drop["archived_path"] for drop in drops if drop["outcome"] == "first"}
    for row in ledger:
        path = paths.get(row["file_id"])
        if row["status"] == "quarantined" or not path or not (installation.data / str(path)).is_file():
            continue
        with (installation.data / str(path)).open(newline="") as file:
            counted = sum(1 for cells in csv.reader(file) if cells) - 1
        if counted != row["rows_read"]:
            found.append(f"I3: {str(row['sha256'])[:8]} has {counted} rows, {row['rows_read']} were read")
    return found


def oracle(
    producer: Producer, ledger: list[dict[str, object]]
) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str, str], str]]:
    """Return the expected facts: all files applied in plain Python in the order of their effective dates."""
    by_hash = {produced.sha256: produced for produced in producer.files}
    attendance: dict[tuple[str, str], str] = {}
    homework: dict[tuple[str, str, str], str] = {}
    sent = [row for row in ledger if row["sha256"] in by_hash]
    for row in sorted(sent, key=lambda row: (row["effective_date_key"], row["file_id"])):
        produced = by_hash[str(row["sha256"])]
        if produced.feed == "attendance":
            attendance |= {(student, day): code for (student, day, _), code in produced.rows.items()}
        elif produced.feed == "homework":
            first, last = min(key[1] for key in produced.rows), max(key[1] for key in produced.rows)
            homework = {key: code for key, code in homework.items() if not first <= key[1] <= last}
            homework |= produced.rows
    return attendance, homework


def _differences(what: str, expected: dict, found: dict) -> list[str]:
    missing, surplus = expected.keys() - found.keys(), found.keys() - expected.keys()
    other = [key for key in expected.keys() & found.keys() if expected[key] != found[key]]
    counts = {"missing": len(missing), "too many": len(surplus), "with a different value": len(other)}
    return [f"{what}: {count} rows {how}" for how, count in counts.items() if count]


def count(installation: Installation, producer: Producer, figures: Figures) -> None:
    """Add the files dropped and the outcomes of files and rows to the figures."""
    with installation.warehouse.reading() as tx:
        files = tx.query("SELECT * FROM ingest_file")
        duplicates = tx.count("SELECT COUNT(*) FROM file_drop WHERE outcome = 'duplicate'")
    figures.files["dropped"] += producer.drops
    figures.files["distinct"] += len(files)
    figures.files["duplicates"] += duplicates
    figures.files["quarantined"] += sum(file["status"] == "quarantined" for file in files)
    for name in ("read", "loaded", "updated", "unchanged", "rejected", "waiting", "withdrawn"):
        figures.rows[name] += sum(file[f"rows_{name}"] for file in files)
