"""The landing sensor: a run as soon as files are ready, and no file ever forgotten.

Belongs here: when a run is asked for, and for which assets. Does not belong here: taking files in (`loading/`).

Each look lists the whole folder: that is the truth. Events of the file system only make a look come sooner and
spare a file that was renamed into the folder the settle time. The cursor holds observations, never what is
loaded: the ledger knows that.
"""

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from dagster import (
    AssetKey,
    AssetSelection,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunConfig,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)
from watchdog.events import FileClosedEvent, FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from student360.contracts import contracts
from student360.ingest.files import LandedFile, is_being_written, landed_files
from student360.loading.receive import prepare_folders, recognised_feed
from student360.orchestration.assets.raw import ReceiveConfig
from student360.orchestration.automation import INGEST_GROUPS, ingest
from student360.orchestration.checks import load_check_keys, rules_check_keys
from student360.rules.reference import rules_digest, stale_rules
from student360.settings import Settings, load_settings
from student360.warehouse import ledger
from student360.warehouse.warehouse import Warehouse

LOOK_SECONDS = 20.0
BUSY_LOOK_SECONDS = 0.25
RUN_IS_STALE_AFTER = 30 * 60
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 10.0, 120.0
WAITED_FOR = frozenset({"students", "id_changes"})
IN_PROGRESS = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


class LandingWatch(FileSystemEventHandler):
    """Remembers which files were renamed into a folder or closed after writing, and wakes whoever waits."""

    def __init__(self, folder: Path) -> None:
        self._complete: set[str] = set()
        self._woken = threading.Event()
        observer = _observer()
        observer.schedule(self, str(folder), recursive=True)
        observer.daemon = True
        observer.start()

    def on_any_event(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileMovedEvent):
            self._complete.add(os.fsdecode(event.dest_path or event.src_path))
        elif isinstance(event, FileClosedEvent):
            self._complete.add(os.fsdecode(event.src_path))
        elif event.event_type in ("opened", "closed_no_write"):
            return
        self._woken.set()

    def saw_complete(self, file: LandedFile) -> bool:
        """Whether an event said that the file is complete."""
        return str(file.path) in self._complete

    def forget_all_but(self, files: Iterable[LandedFile]) -> None:
        """Drop what is known of files that are gone."""
        self._complete &= {str(file.path) for file in files}

    def wait(self, seconds: float) -> None:
        """Wait for an event, so many seconds at most."""
        self._woken.wait(max(0.0, seconds))
        self._woken.clear()


def _observer() -> BaseObserver:
    """On Linux one that also tells a rename into the folder from a file that is only begun."""
    if sys.platform == "linux":
        from watchdog.observers.inotify import InotifyObserver

        return InotifyObserver(generate_full_events=True)
    return Observer()


@cache
def landing_watch(folder: Path) -> LandingWatch:
    """The watch of this process on a folder; it also sees what happens between two ticks."""
    return LandingWatch(folder)


@dataclass
class Memory:
    """What the sensor remembers between ticks: when each file state was first seen, and the last request."""

    seen: dict[str, float] = field(default_factory=dict)
    rules: str = ""
    batch: str = ""
    attempt: int = 0
    retry_at: float = 0.0

    @classmethod
    def read(cls, cursor: str | None) -> "Memory":
        """From a cursor; one that cannot be read (another version's) counts as none: only time is lost."""
        try:
            return cls(**json.loads(cursor)) if cursor else cls()
        except (TypeError, ValueError):
            return cls()

    def write(self) -> str:
        return json.dumps(self.__dict__)

    def settled(self, files: list[LandedFile], now: float, settle: float) -> list[LandedFile]:
        """Note the files as seen now; return those that have been as they are for the settle time."""
        self.seen = {file.ticket: self.seen.get(file.ticket, now) for file in files}
        return [file for file in files if now - self.seen[file.ticket] >= settle]

    def request(self, batch: str, now: float) -> str | None:
        """The run key for a batch; None while a batch that was asked for already waits for its next attempt."""
        if batch != self.batch:
            self.batch, self.attempt = batch, 0
        elif now < self.retry_at:
            return None
        self.attempt += 1
        self.retry_at = now + min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** (self.attempt - 1))
        return f"{batch}__attempt{self.attempt}"


def micro_batch(files: list[LandedFile], settings: Settings) -> list[LandedFile]:
    """As many files as one run takes: at least one, then up to the limits of number and size."""
    chosen: list[LandedFile] = []
    size = 0
    for file in files[: settings.batch_files]:
        size += file.observation[0]
        if chosen and size > settings.batch_bytes:
            break
        chosen.append(file)
    return chosen


def run_in_progress(instance: DagsterInstance, now: float) -> bool:
    """Whether an ingest run is under way; one that has not stirred for half an hour does not count."""
    records = instance.get_run_records(RunsFilter(job_name=ingest.name, statuses=IN_PROGRESS), limit=20)
    return any(now - record.update_timestamp.timestamp() < RUN_IS_STALE_AFTER for record in records)


@sensor(
    name="landing_sensor",
    job=ingest,
    minimum_interval_seconds=1,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts the ingest job for new CSV files in the landing folder.",
)
def landing_sensor(context: SensorEvaluationContext) -> RunRequest | SkipReason:
    """Look, wait for something to do, ask for one run for all that is ready."""
    settings = load_settings()
    prepare_folders(settings)
    watch = landing_watch(settings.landing)
    memory = Memory.read(context.cursor)
    deadline = time.monotonic() + LOOK_SECONDS
    reason = "nothing new in the landing folder"
    while True:
        now = time.time()
        files = landed_files(settings.landing)
        watch.forget_all_but(files)
        settled = {file.path for file in memory.settled(files, now, settings.settle_seconds)}
        ready = [f for f in files if watch.saw_complete(f) or (f.path in settled and not is_being_written(f.path))]
        left_over = sorted(path.name for path in settings.work.iterdir())
        rules = rules_digest(settings)
        busy = False
        if ready or left_over or rules != memory.rules:
            busy = run_in_progress(context.instance, now)
            if busy:
                reason = "an ingest run is under way; what came since is next"
            else:
                batch = micro_batch(ready, settings)
                run_key = memory.request(_batch_hash(batch, left_over, rules), now)
                if run_key is not None:
                    memory.rules = rules
                    context.update_cursor(memory.write())
                    return _request(context, settings, run_key, batch, bool(left_over))
                reason = "the last attempt did not finish the files; waiting before the next"
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            context.update_cursor(memory.write())
            return SkipReason(reason)
        if busy:
            time.sleep(min(BUSY_LOOK_SECONDS, remaining))
        else:
            watch.wait(min(remaining, settings.settle_seconds if len(ready) < len(files) else remaining))


def _batch_hash(batch: list[LandedFile], left_over: list[str], rules: str) -> str:
    parts = [*(file.ticket for file in batch), *left_over, rules]
    return hashlib.sha256("|".join(parts).encode(errors="surrogateescape")).hexdigest()[:24]


def _request(
    context: SensorEvaluationContext, settings: Settings, run_key: str, batch: list[LandedFile], finish_left_over: bool
) -> RunRequest:
    feeds = set(contracts()) if finish_left_over else _feeds_of(batch)
    tickets = [file.ticket for file in batch]
    config = {contracts()[feed].raw_asset: ReceiveConfig(ready=tickets) for feed in sorted(feeds)}
    assets, stale = _assets_for(context, feeds, settings)
    unchanged_rules = [key for key in rules_check_keys() if key.asset_key not in stale]
    return RunRequest(
        run_key=run_key,
        asset_selection=sorted(assets, key=str),
        asset_check_keys=[key for key in load_check_keys() if key.asset_key in assets and key not in unchanged_rules],
        run_config=RunConfig(ops=config),
        tags={"student360/files": str(len(batch)), "student360/feeds": " ".join(sorted(feeds))},
    )


def _feeds_of(batch: list[LandedFile]) -> set[str]:
    """The feeds of some files. A file that nobody can tell goes with any feed: its raw asset quarantines it."""
    feeds: set[str] = set()
    unknown = False
    for file in batch:
        try:
            feed = recognised_feed(file.path, file.path.name)
        except OSError:
            continue
        feeds |= {feed} if feed else set()
        unknown |= feed is None
    return feeds or ({min(contracts())} if unknown else set())


def _assets_for(
    context: SensorEvaluationContext, feeds: Collection[str], settings: Settings
) -> tuple[set[AssetKey], set[AssetKey]]:
    """The raw assets of the feeds and all they lead to, and the rules that changed since they were merged; the latter.

    What other feeds load is left out, unless students or their ids came: facts may be waiting for them.
    """
    repository = context.repository_def
    if repository is None:
        raise RuntimeError("the landing sensor needs its repository")
    ingest_assets = AssetSelection.groups(*INGEST_GROUPS).materializable()
    raw = AssetSelection.assets(*(contracts()[feed].raw_asset for feed in sorted(feeds)))
    reached = (raw.downstream() & ingest_assets) if feeds else AssetSelection.groups("marts").materializable()
    freed = not WAITED_FOR.isdisjoint(feeds)
    others = {c.loads for c in contracts().values() if c.feed not in feeds and not freed}
    with Warehouse(url=settings.warehouse_url).reading() as tx:
        stale = set(map(AssetKey, stale_rules(ledger.settings(tx), settings)))
    return (set(reached.resolve(repository.asset_graph)) - set(map(AssetKey, others))) | stale, stale
