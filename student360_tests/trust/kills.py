"""Real SIGKILLs under the real load, restarts, and what must be true afterwards.

Belongs here: the producer, the worker that is killed, the invariants I1-I9. Does not belong here: Dagster's own
processes (`soak.py`), how rules are broken on purpose (`mutants.py`).
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
from student360_tests.trust.installations import quick_settings, throw_away_installation
from student360_tests.trust.mutants import MUTANTS

FIRST_DAY = date(2026, 1, 5)
SETTINGS = {
    "STUDENT360_LOAD_MODE_HOMEWORK": "window",
    "STUDENT360_MAX_WITHDRAW_PERCENT": "100",
    "STUDENT360_MAX_REJECT_PERCENT": "60",
    "STUDENT360_LARGE_FILE_MEGABYTES": "0.0003",  # some files are larger, some smaller
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
    """Where a worker dies: at the hit-th passing of a point, by SIGKILL or because the answer to a commit is lost."""

    point: CrashPoint
    hit: int
    answer_is_lost: bool = False


@dataclass
class Produced:
    """A file that was dropped: its good rows by key, and how many are bad."""

    feed: str
    effective: date
    content: bytes
    rows: dict[tuple[str, str, str], str]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass
class Producer:
    """Drops good, bad, repeated and out-of-order files, as a school would on its worst day."""

    installation: Installation
    dice: random.Random
    students: int = 8
    files: list[Produced] = field(default_factory=list)
    drops: int = 0
    first_drops: dict[str, float] = field(default_factory=dict)

    def drop_something(self) -> None:
        """One more file, of any kind."""
        kind = self.dice.choices(("new", "again", "not CSV"), (8, 2, 1))[0]
        if kind == "again" and self.files:
            self._drop(self.dice.choice(self.files))
        elif kind == "not CSV":
            self._drop(Produced("attendance", FIRST_DAY, self.dice.randbytes(40) + b"\0" * 9, {}))
        else:
            feed = self.dice.choices(("attendance", "homework", "students"), (6, 3, 1))[0]
            self._drop(self._students() if feed == "students" else self._facts(feed))

    def drop_facts(self) -> None:
        """One more good file of facts."""
        self._drop(self._facts("attendance"))

    def drop_roster(self) -> None:
        """The roster of all students: facts may have waited for it."""
        self._drop(self._students(self.students))

    def _drop(self, made: Produced) -> None:
        """Drop a file under a name of its own. Raises OSError when the disk is full; then it was never there."""
        name = f"{made.feed}_{made.effective}.csv"
        if self.dice.random() < 0.7 or (self.installation.data / "landing" / name).exists():
            name = f"{made.feed}_{made.effective}_{self.drops + 1}.csv"
        self.installation.drop(name, made.content)
        self.drops += 1
        if made.sha256 not in self.first_drops and (made.rows or made.feed == "students"):
            self.files.append(made)
        self.first_drops.setdefault(made.sha256, time.time())

    def _effective(self) -> date:
        return date(2026, 2, 1) + timedelta(days=self.dice.randrange(40))

    def _students(self, count: int = 0) -> Produced:
        chosen = range(count or self.dice.randrange(2, self.students))
        room = self.dice.randrange(3)
        lines = [f"S{n},Student {n},2014-01-0{n % 9 + 1},Grade {n % 5 + 1},{555 + room}" for n in chosen]
        return self._file("students", lines, {}, self._effective())

    def _facts(self, feed: str) -> Produced:
        rows: dict[tuple[str, str, str], str] = {}
        for _ in range(self.dice.randrange(3, 25)):
            day = FIRST_DAY + timedelta(days=self.dice.randrange(12))
            student = f"S{self.dice.randrange(self.students)}"
            if feed == "attendance":
                rows[student, day.isoformat(), ""] = self.dice.choice(CODES).lower()
            else:
                rows[student, day.isoformat(), f"Task {self.dice.randrange(3)}"] = self.dice.choice(("done", "missing"))
        if feed == "attendance":
            lines = [f"{student},{day},{code}" for (student, day, _), code in rows.items()]
            if self.dice.random() < 0.3:
                lines += [f"S1,2026-13-{n:02},Present" for n in range(1, self.dice.randrange(2, 5))]
        else:
            lines = [f"{student},Math,{task},{day},{code},," for (student, day, task), code in rows.items()]
        return self._file(feed, lines, rows, self._effective())

    def _file(self, feed: str, lines: list[str], rows: dict[tuple[str, str, str], str], effective: date) -> Produced:
        self.dice.shuffle(lines)
        return Produced(feed, effective, "\n".join([HEADERS[feed], *lines, ""]).encode(), rows)


@dataclass
class Figures:
    """What was done and what was found."""

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


class Fuse:
    """Counts how often a process comes to each crash point, and ends it where the plan says."""

    def __init__(self, plan: Plan | None) -> None:
        self.plan = plan
        self.passes: Counter[str] = Counter()

    def __call__(self, point: CrashPoint) -> None:
        self.passes[point] += 1
        if self.plan is None or point is not self.plan.point or self.passes[point] != self.plan.hit:
            return
        if self.plan.answer_is_lost:
            raise AnswerLost
        os.kill(os.getpid(), signal.SIGKILL)


def work(installation: Installation, plan: Plan | None, mutant: str | None, again: bool) -> None:
    """A worker: takes in what is there, as the ingest job does, or loads all again. Dies where the plan says."""
    if mutant is not None:
        MUTANTS[mutant].break_rule()
    logging.basicConfig(filename=installation.log)
    fuse = Fuse(plan)
    watch(fuse)
    settings = quick_settings(installation, **SETTINGS)
    try:
        if again:
            with suppress(OperatorProblem):  # what is not in the archive yet cannot be loaded again yet
                reprocess(installation.warehouse, settings, [], everything=True)
        else:
            load_all(installation.warehouse, settings, "trust")
            _passes_file(installation).write_text(json.dumps(fuse.passes))
    except AnswerLost:
        raise SystemExit(LOST) from None
    except BaseException:
        with installation.log.open("a") as log:
            log.write(traceback.format_exc())
        raise SystemExit(1) from None


def load_once() -> None:
    """For a process of its own: take in what is there, with the settings of the environment."""
    settings = load_settings()
    load_all(Warehouse(url=settings.warehouse_url), settings, "trust")


def passes(installation: Installation, point: CrashPoint) -> int:
    """How often the last worker that came through passed a crash point."""
    return int(json.loads(_passes_file(installation).read_text()).get(point, 0))


def _passes_file(installation: Installation) -> Path:
    return installation.root / "passes.json"


class AnswerLost(WarehouseUnavailable):
    """K11: the commit was sent and nobody knows what became of it."""


LOST = 11
PATIENCE = 4
MUTANT_EPISODES, MUTANT_KILLS = 6, 12
ENDING_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)
ENDED_BY_US = (-signal.SIGKILL, -signal.SIGTERM, LOST)


def start(
    installation: Installation, plan: Plan | None = None, mutant: str | None = None, again: bool = False
) -> ForkServerProcess:
    """A worker in a process of its own."""
    process = CONTEXT.Process(target=work, args=(installation, plan, mutant, again))
    process.start()
    return process


def episode(engine: str, seed: int, kills: int, folder: Path | None = None, mutant: str | None = None) -> Figures:
    """Kill workers in a new installation until so many are dead, let it come to rest, and look. Returns figures.

    A mutant is killed at the point that its broken rule is about, if it names one; all else dies at any named point,
    at any moment, by any signal, or by losing an answer.
    """
    dice = random.Random(seed)
    figures = Figures()
    with throw_away_installation(engine, folder) as installation:
        producer = Producer(installation, dice)
        attempts = 0
        if dice.random() < 0.5:
            producer.drop_roster()
        producer.drop_something()
        join(installation, figures, [start(installation, None, mutant)])
        while figures.killed < kills and attempts < kills * PATIENCE and not figures.violations:
            attempts += 1
            for _ in range(dice.randrange(1, 4)):
                producer.drop_something()
            _kill_somehow(installation, dice, figures, mutant)
        producer.drop_roster()
        come_to_rest(installation, figures, mutant)
        figures.violations += [f"seed {seed}: {what}" for what in violations(installation, producer)]
        count(installation, producer, figures)
    return figures


def hunt(mutant: str, engine: str, folder: Path | None = None) -> Figures:
    """Figures of the first episode that notices a broken rule, or of the last one if none does."""
    figures = Figures()
    for seed in range(MUTANT_EPISODES):
        figures = episode(engine, seed, MUTANT_KILLS, folder, mutant)
        if figures.violations:
            break
    return figures


def _kill_somehow(installation: Installation, dice: random.Random, figures: Figures, mutant: str | None) -> None:
    """One worker that dies at a named point, loses an answer, or is killed at any moment; sometimes beside another."""
    aim = MUTANTS[mutant].aim if mutant else None
    kind = "point" if aim else dice.choices(("point", "any moment", "lost answer"), (6, 3, 1))[0]
    again = not aim and dice.random() < 0.1
    if kind == "any moment":
        plan, label = None, "any moment"
    elif kind == "lost answer":
        plan, label = a_plan(installation, dice, CrashPoint.AFTER_COMMIT, answer_is_lost=True), "K11"
    else:
        plan = a_plan(installation, dice, aim or dice.choice(list(CrashPoint)))
        label = plan.point.value
    workers = [start(installation, plan, mutant, again)]
    if dice.random() < 0.25:
        workers.append(start(installation, None, mutant))
    if kind == "any moment":
        time.sleep(dice.uniform(0.02, 0.6))
        with suppress(ProcessLookupError):
            os.kill(workers[0].pid or 0, dice.choice(ENDING_SIGNALS))
    join(installation, figures, workers, label)


def a_plan(installation: Installation, dice: random.Random, point: CrashPoint, answer_is_lost: bool = False) -> Plan:
    """Any passing of a point, as far as the last whole run came, and one beyond."""
    return Plan(point, dice.randint(1, passes(installation, point) + 1), answer_is_lost)


def join(installation: Installation, figures: Figures, workers: list[ForkServerProcess], label: str = "") -> None:
    """Wait for workers to end; counts those that we ended, and takes any other failure for a violation."""
    figures.restarts += len(workers)
    for worker in workers:
        worker.join(120)
        if worker.exitcode in ENDED_BY_US:
            figures.kills[label] += 1
        elif worker.exitcode != 0:
            figures.violations.append(f"a worker failed ({worker.exitcode}): {_last_line(installation)}")
            worker.kill()


def _last_line(installation: Installation) -> str:
    lines = installation.log.read_text().strip().splitlines() if installation.log.exists() else ["?"]
    return lines[-1]


def come_to_rest(installation: Installation, figures: Figures, mutant: str | None = None) -> None:
    """Let workers go through until nothing is left to do."""
    for _ in range(2):
        join(installation, figures, [start(installation, None, mutant)])


def violations(installation: Installation, producer: Producer) -> list[str]:
    """The invariants I1-I9 of an installation at rest; empty when all hold."""
    found = []
    with installation.warehouse.reading() as tx:
        ledger = tx.query("SELECT * FROM ingest_file ORDER BY file_id")
        drops = tx.query("SELECT * FROM file_drop")
        attendance = {(r["s"], str(r["d"])): r["c"] for r in tx.query(ATTENDANCE)}
        homework = {(r["s"], str(r["d"]), r["a"]): r["c"] for r in tx.query(HOMEWORK)}
    contents = Counter(row["sha256"] for row in ledger)
    dropped = {made.sha256 for made in producer.files}
    found += [f"I1: {sha[:8]} is not in the ledger" for sha in dropped - set(contents)]
    refused = {row["sha256"] for row in ledger if row["status"] not in ("loaded", "waiting")}
    found += [f"I1: {sha[:8]} is a good file and was not loaded" for sha in dropped & refused]
    again = {made.sha256 for made in producer.files if _may_stand_twice(made, ledger)}
    found += [f"I1: {sha[:8]} stands {n} times" for sha, n in contents.items() if n > 1 and sha not in again]
    at_rest = [path for name in ("landing", "work") for path in (installation.data / name).iterdir()]
    archived = [p for p in (installation.data / "processed").rglob("*") if p.is_file()]
    archived += [
        p for p in (installation.data / "quarantine").rglob("*") if p.is_file() and "to_correct" not in p.parts
    ]
    if len(archived) != producer.drops or len(drops) != producer.drops:
        found.append(f"I2: {producer.drops} drops, {len(drops)} in the ledger, {len(archived)} files in the archive")
    if at_rest:
        found.append(f"I7: {len(at_rest)} files left in landing or work")
    found += [f"I7: {drop['claim_id'][:8]} is not noted as archived" for drop in drops if not drop["archived_at"]]
    found += _recounted(installation, ledger, drops)
    expected_attendance, expected_homework = oracle(producer, ledger)
    found += _differences("I5 attendance", expected_attendance, attendance)
    found += _differences("I5 homework", expected_homework, homework)
    checked = verify(installation.warehouse, quick_settings(installation, **SETTINGS))
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


def _may_stand_twice(made: Produced, ledger: list[dict[str, object]]) -> bool:
    """Bytes that came under two days with other exports in between count twice, by design."""
    return len({row["effective_date_key"] for row in ledger if row["sha256"] == made.sha256}) > 1


def _recounted(
    installation: Installation, ledger: list[dict[str, object]], drops: list[dict[str, object]]
) -> list[str]:
    """I3: an independent reader counts the rows of each archived file."""
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
    """What the facts must be: all files replayed in plain Python, from the oldest truth to the newest."""
    by_hash = {made.sha256: made for made in producer.files}
    attendance: dict[tuple[str, str], str] = {}
    homework: dict[tuple[str, str, str], str] = {}
    sent = [row for row in ledger if row["sha256"] in by_hash]
    for row in sorted(sent, key=lambda row: (row["effective_date_key"], row["file_id"])):
        made = by_hash[str(row["sha256"])]
        if made.feed == "attendance":
            attendance |= {(student, day): code for (student, day, _), code in made.rows.items()}
        elif made.feed == "homework":
            first, last = min(key[1] for key in made.rows), max(key[1] for key in made.rows)
            homework = {key: code for key, code in homework.items() if not first <= key[1] <= last}
            homework |= made.rows
    return attendance, homework


def _differences(what: str, expected: dict, found: dict) -> list[str]:
    missing, surplus = expected.keys() - found.keys(), found.keys() - expected.keys()
    other = [key for key in expected.keys() & found.keys() if expected[key] != found[key]]
    counts = {"missing": len(missing), "too many": len(surplus), "with another value": len(other)}
    return [f"{what}: {count} rows {how}" for how, count in counts.items() if count]


def count(installation: Installation, producer: Producer, figures: Figures) -> None:
    """Add what was dropped, and what became of it."""
    with installation.warehouse.reading() as tx:
        files = tx.query("SELECT * FROM ingest_file")
        duplicates = tx.count("SELECT COUNT(*) FROM file_drop WHERE outcome = 'duplicate'")
    figures.files["dropped"] += producer.drops
    figures.files["distinct"] += len(files)
    figures.files["duplicates"] += duplicates
    figures.files["quarantined"] += sum(file["status"] == "quarantined" for file in files)
    for name in ("read", "loaded", "updated", "unchanged", "rejected", "waiting", "withdrawn"):
        figures.rows[name] += sum(file[f"rows_{name}"] for file in files)
