"""The real daemon under a producer that never rests, while processes die, the server stops and the disk fills up.

Belongs here: what is done to a running installation, and the wait until it is at rest again. Does not belong here: the
producer and the invariants (`kills.py`), drawing the figures (`report.py`).
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil

from student360.settings import PROJECT
from student360.warehouse.errors import WarehouseError
from student360_tests.support.installation import Installation, wait_until
from student360_tests.support.postgres import OwnServer, ask, throw_away_server
from student360_tests.trust.kills import SETTINGS, Figures, Producer, count, violations

PAUSE_SECONDS = (3.0, 12.0)
REST_SECONDS = 420.0
DISK_MEGABYTES = 256
DISK_FULL_SECONDS = 5.0


class NoSmallDisk(Exception):
    """A small disk cannot be made here: it needs the right to mount."""


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system in memory that fills up soon. Raises NoSmallDisk."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=0700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        raise NoSmallDisk("a small disk needs the right to mount one (root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not one byte is left on a disk, until the end of the block."""
    balloon = disk / ".balloon"
    size = 2**20
    with balloon.open("wb") as file:
        while size:
            try:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
                file.seek(0, os.SEEK_END)
            except OSError:
                size //= 2
    try:
        yield
    finally:
        balloon.unlink()


@dataclass
class Tree:
    """The processes of a running installation: daemon, code server, run workers."""

    installation: Installation
    settings: dict[str, str] = field(default_factory=dict)
    daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the daemon if it is not running."""
        if self.daemon is not None and self.daemon.poll() is None:
            return
        with self.installation.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                [Path(sys.executable).parent / "dagster-daemon", "run", "-w", str(PROJECT / "workspace.yaml")],
                env=self.installation.environment | self.settings,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.installation.root,
            )

    def processes(self) -> list[psutil.Process]:
        """All that belong to this installation, whoever their parent is by now."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("DAGSTER_HOME") == str(self.installation.dagster_home):
                    found.append(process)
        return found

    def code_servers(self) -> list[psutil.Process]:
        return [process for process in self.processes() if "grpc" in _command(process)]

    def workers(self) -> list[psutil.Process]:
        """The processes of runs: copies of the warm process (or of nobody, when it died), children of a code server."""
        return [
            process
            for process in self.processes()
            if "spawn_main" in _command(process) or ("warm_process" in _command(process) and _is_copy(process))
        ]

    def warm_processes(self) -> list[psutil.Process]:
        """What runs are copied from."""
        return [
            process for process in self.processes() if "warm_process" in _command(process) and not _is_copy(process)
        ]

    def kill(self, processes: list[psutil.Process]) -> int:
        """SIGKILL. Returns how many were alive."""
        killed = 0
        for process in processes:
            with suppress(psutil.Error):
                process.kill()
                killed += 1
        return killed

    def kill_all(self) -> None:
        """As when the power goes."""
        self.kill(self.processes())
        if self.daemon is not None:
            self.daemon.wait()

    def stop(self) -> None:
        """Let it end in peace, then make sure."""
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.daemon.wait(30)
        self.kill_all()


def _is_copy(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        parent = process.parent()
        return parent is None or parent.pid == 1 or "warm_process" in _command(parent)
    return False


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


@dataclass
class Weather:
    """What can happen to an installation, one thing at a time."""

    tree: Tree
    dice: random.Random
    figures: Figures
    server: OwnServer | None = None
    disk: Path | None = None

    def something_happens(self) -> None:
        happenings: dict[str, tuple[int, Callable[[], bool]]] = {
            "run worker": (4, self.worker_dies),
            "code server": (1, self.code_server_dies),
            "daemon": (1, self.daemon_dies),
            "whole tree": (2, self.power_goes),
        }
        if self.server is not None:
            happenings["PostgreSQL stopped"] = (2, self.server_stops)
        if self.disk is not None:
            happenings["disk full"] = (1, self.disk_fills_up)
        names = list(happenings)
        (name,) = self.dice.choices(names, [happenings[name][0] for name in names])
        if happenings[name][1]():
            self.figures.kills[name] += 1
        self.tree.start()

    def worker_dies(self) -> bool:
        """A run is killed at any moment of it."""
        try:
            wait_until(lambda: bool(self.tree.workers()), 10, "a run")
        except TimeoutError:
            return False
        time.sleep(self.dice.uniform(0, 2.5))
        return self.tree.kill(self.tree.workers()) > 0

    def code_server_dies(self) -> bool:
        return self.tree.kill(self.tree.code_servers()) > 0

    def daemon_dies(self) -> bool:
        if self.tree.daemon is None:
            return False
        self.tree.daemon.kill()
        self.tree.daemon.wait()
        time.sleep(self.dice.uniform(0, 2))
        return True

    def power_goes(self) -> bool:
        with suppress(TimeoutError):
            wait_until(lambda: bool(self.tree.workers()), 5, "a run")
        time.sleep(self.dice.uniform(0, 2))
        self.tree.kill_all()
        time.sleep(self.dice.uniform(0, 2))
        return True

    def server_stops(self) -> bool:
        assert self.server is not None
        self.server.control("stop", "-m", "immediate")
        time.sleep(self.dice.uniform(0, 5))
        self.server.control("start")
        return True

    def disk_fills_up(self) -> bool:
        assert self.disk is not None
        with filled(self.disk):
            time.sleep(DISK_FULL_SECONDS)
        return True


def soak(engine: str, minutes: float, seed: int, folder: Path, say: Callable[[str], None] = print) -> Figures:
    """Run the real daemon for some minutes under all that can happen, let it come to rest, and look.

    Returns figures; where no small disk can be made, disk full is left out and said so.
    """
    dice = random.Random(seed)
    figures = Figures()
    with ExitStack() as stack:
        disk: Path | None = None
        try:
            disk = stack.enter_context(small_disk(folder / "disk", DISK_MEGABYTES + int(4 * minutes)))
        except NoSmallDisk as reason:
            say(f"disk full is not tried: {reason}")
        root = (disk or folder) / "installation"
        root.mkdir(mode=0o700)
        server = stack.enter_context(throw_away_server()) if engine == "postgres" else None
        installation = Installation(root, server.url, "soak") if server else Installation(root)
        installation.prepare()
        if server:
            ask(f"CREATE SCHEMA {installation.dagster_schema}", server.url)
        tree = Tree(installation, SETTINGS)
        stack.callback(tree.stop)
        producer = Producer(installation, random.Random(seed))
        with _producing(producer):
            tree.start()
            weather = Weather(tree, dice, figures, server, disk)
            end = time.monotonic() + 60 * minutes
            while time.monotonic() < end:
                time.sleep(dice.uniform(*PAUSE_SECONDS))
                weather.something_happens()
                say(f"{max(0, end - time.monotonic()):.0f} s left, {figures.killed} times something happened")
        producer.drop_roster()
        _wait_for_rest(installation, tree, producer, figures)
        tree.stop()
        figures.violations += violations(installation, producer)
        count(installation, producer, figures)
        figures.seconds = _seconds_to_loaded(installation, producer)
    return figures


@contextmanager
def _producing(producer: Producer) -> Iterator[None]:
    """About one file a second, as long as the block lasts. A disk that is full stops the producer, not us."""
    over = threading.Event()

    def produce() -> None:
        while not over.wait(producer.dice.uniform(0.3, 1.7)):
            with suppress(OSError):
                producer.drop_something()

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _wait_for_rest(installation: Installation, tree: Tree, producer: Producer, figures: Figures) -> None:
    """Until every drop is archived and landing and work are empty; a daemon that ended is started again."""

    def at_rest() -> bool:
        tree.start()
        if any(any(path.is_file() for path in (installation.data / name).rglob("*")) for name in ("landing", "work")):
            return False
        try:
            drops = installation.warehouse.frame("SELECT archived_at, reported_at FROM file_drop")
        except WarehouseError:
            return False
        return len(drops) == producer.drops and bool(drops.notna().all(axis=None))

    try:
        wait_until(at_rest, REST_SECONDS, "rest", every=1)
    except TimeoutError as problem:
        figures.violations.append(str(problem))


def _seconds_to_loaded(installation: Installation, producer: Producer) -> list[float]:
    """From the drop of each file to the commit of its outcome."""
    ledger = installation.warehouse.frame("SELECT sha256, committed_at FROM ingest_file WHERE committed_at IS NOT NULL")
    ended = {
        row["sha256"]: datetime.fromisoformat(row["committed_at"]).timestamp() for row in ledger.to_dict("records")
    }
    return sorted(max(0.0, ended[sha] - at) for sha, at in producer.first_drops.items() if sha in ended)
