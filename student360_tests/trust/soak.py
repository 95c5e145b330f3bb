"""The soak: the real daemon loads a stream of files while processes are killed, the server stops and the disk fills.

Contains the faults injected into a running installation. The producer and the invariants are in `kills.py`.
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
from student360_tests.support.postgres import OwnServer, run_sql, temporary_server
from student360_tests.trust.kills import SETTINGS, Figures, Producer, count, violations

PAUSE_SECONDS = (3.0, 12.0)
IDLE_SECONDS = 420.0
DISK_MEGABYTES = 256
DISK_FULL_SECONDS = 5.0


class NoSmallDisk(Exception):
    """A small disk cannot be created, because that requires the permission to mount."""


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a small file system in memory until the block ends. Raises NoSmallDisk."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=0700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        raise NoSmallDisk("mounting a small disk requires root permissions")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill a disk completely until the block ends."""
    ballast = disk / ".ballast"
    size = 2**20
    with ballast.open("wb") as file:
        while size:
            try:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
                file.seek(0, os.SEEK_END)
            except OSError:
                size //= 2
    try:
        yield
    finally:
        ballast.unlink()


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
        """Return all processes of this installation, including orphaned ones."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("DAGSTER_HOME") == str(self.installation.dagster_home):
                    found.append(process)
        return found

    def code_servers(self) -> list[psutil.Process]:
        return [process for process in self.processes() if "grpc" in _command(process)]

    def workers(self) -> list[psutil.Process]:
        """Return the processes of runs: copies of the warm process, orphaned or not, and children of a code server."""
        return [
            process
            for process in self.processes()
            if "spawn_main" in _command(process) or ("warm_process" in _command(process) and _is_copy(process))
        ]

    def warm_processes(self) -> list[psutil.Process]:
        """Return the warm processes, of which runs are copies."""
        return [
            process for process in self.processes() if "warm_process" in _command(process) and not _is_copy(process)
        ]

    def kill(self, processes: list[psutil.Process]) -> int:
        """Send SIGKILL. Returns how many processes were alive."""
        killed = 0
        for process in processes:
            with suppress(psutil.Error):
                process.kill()
                killed += 1
        return killed

    def kill_all(self) -> None:
        """Kill all processes, as in a power failure."""
        self.kill(self.processes())
        if self.daemon is not None:
            self.daemon.wait()

    def stop(self) -> None:
        """Stop the daemon with SIGINT, then kill all remaining processes."""
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
class FaultInjector:
    """Injects random faults into a running installation, one at a time."""

    tree: Tree
    rng: random.Random
    figures: Figures
    server: OwnServer | None = None
    disk: Path | None = None

    def inject_fault(self) -> None:
        faults: dict[str, tuple[int, Callable[[], bool]]] = {
            "run worker": (4, self.kill_worker),
            "code server": (1, self.kill_code_server),
            "daemon": (1, self.kill_daemon),
            "all processes": (2, self.kill_tree),
        }
        if self.server is not None:
            faults["PostgreSQL stopped"] = (2, self.stop_server)
        if self.disk is not None:
            faults["disk full"] = (1, self.fill_disk)
        names = list(faults)
        (name,) = self.rng.choices(names, [faults[name][0] for name in names])
        if faults[name][1]():
            self.figures.kills[name] += 1
        self.tree.start()

    def kill_worker(self) -> bool:
        """Kill a run at a random moment. Returns False if there was none."""
        try:
            wait_until(lambda: bool(self.tree.workers()), 10, "a run")
        except TimeoutError:
            return False
        time.sleep(self.rng.uniform(0, 2.5))
        return self.tree.kill(self.tree.workers()) > 0

    def kill_code_server(self) -> bool:
        return self.tree.kill(self.tree.code_servers()) > 0

    def kill_daemon(self) -> bool:
        if self.tree.daemon is None:
            return False
        self.tree.daemon.kill()
        self.tree.daemon.wait()
        time.sleep(self.rng.uniform(0, 2))
        return True

    def kill_tree(self) -> bool:
        with suppress(TimeoutError):
            wait_until(lambda: bool(self.tree.workers()), 5, "a run")
        time.sleep(self.rng.uniform(0, 2))
        self.tree.kill_all()
        time.sleep(self.rng.uniform(0, 2))
        return True

    def stop_server(self) -> bool:
        assert self.server is not None
        self.server.control("stop", "-m", "immediate")
        time.sleep(self.rng.uniform(0, 5))
        self.server.control("start")
        return True

    def fill_disk(self) -> bool:
        assert self.disk is not None
        with filled(self.disk):
            time.sleep(DISK_FULL_SECONDS)
        return True


def soak(engine: str, minutes: float, seed: int, folder: Path, log: Callable[[str], None] = print) -> Figures:
    """Run the real daemon for some minutes while faults are injected, let it finish all work, and check the invariants.

    Returns the figures. If no small disk can be mounted, the full disk is not tested, and that is logged.
    """
    rng = random.Random(seed)
    figures = Figures()
    with ExitStack() as stack:
        disk: Path | None = None
        try:
            disk = stack.enter_context(small_disk(folder / "disk", DISK_MEGABYTES + int(4 * minutes)))
        except NoSmallDisk as reason:
            log(f"the full disk is not tested: {reason}")
        root = (disk or folder) / "installation"
        root.mkdir(mode=0o700)
        server = stack.enter_context(temporary_server()) if engine == "postgres" else None
        installation = Installation(root, server.url, "soak") if server else Installation(root)
        installation.prepare()
        if server:
            run_sql(f"CREATE SCHEMA {installation.dagster_schema}", server.url)
        tree = Tree(installation, SETTINGS)
        stack.callback(tree.stop)
        producer = Producer(installation, random.Random(seed))
        with _producing(producer):
            tree.start()
            injector = FaultInjector(tree, rng, figures, server, disk)
            end = time.monotonic() + 60 * minutes
            while time.monotonic() < end:
                time.sleep(rng.uniform(*PAUSE_SECONDS))
                injector.inject_fault()
                log(f"{max(0, end - time.monotonic()):.0f} s left, {figures.killed} faults injected")
        producer.drop_roster()
        _wait_until_idle(installation, tree, producer, figures)
        tree.stop()
        figures.violations += violations(installation, producer)
        count(installation, producer, figures)
        figures.seconds = _seconds_to_loaded(installation, producer)
    return figures


@contextmanager
def _producing(producer: Producer) -> Iterator[None]:
    """Drop about one file per second until the block ends. Errors of a full disk are ignored."""
    stopped = threading.Event()

    def produce() -> None:
        while not stopped.wait(producer.rng.uniform(0.3, 1.7)):
            with suppress(OSError):
                producer.drop_file()

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _wait_until_idle(installation: Installation, tree: Tree, producer: Producer, figures: Figures) -> None:
    """Wait until every drop is archived and landing and work are empty. A daemon that has ended is restarted."""

    def is_idle() -> bool:
        tree.start()
        if any(any(path.is_file() for path in (installation.data / name).rglob("*")) for name in ("landing", "work")):
            return False
        try:
            drops = installation.warehouse.frame("SELECT archived_at, reported_at FROM file_drop")
        except WarehouseError:
            return False
        return len(drops) == producer.drops and bool(drops.notna().all(axis=None))

    try:
        wait_until(is_idle, IDLE_SECONDS, "an idle installation", every=1)
    except TimeoutError as problem:
        figures.violations.append(str(problem))


def _seconds_to_loaded(installation: Installation, producer: Producer) -> list[float]:
    """Return the seconds from the drop of each file to the commit of its outcome, sorted."""
    ledger = installation.warehouse.frame("SELECT sha256, committed_at FROM ingest_file WHERE committed_at IS NOT NULL")
    ended = {
        row["sha256"]: datetime.fromisoformat(row["committed_at"]).timestamp() for row in ledger.to_dict("records")
    }
    return sorted(max(0.0, ended[sha] - at) for sha, at in producer.first_drops.items() if sha in ended)
