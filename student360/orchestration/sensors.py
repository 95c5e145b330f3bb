"""The landing sensor: decides when to request an ingest run and for which assets. Files are loaded in `loading/`.

Every evaluation lists the whole landing folder, so that no file is missed. File system events only trigger an earlier
listing, and exempt a file that was renamed into the folder or closed after writing from the settle time. The cursor
stores observed file states, not which files are loaded; that is recorded in the ledger.
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
from student360.warehouse.scripts import in_order
from student360.warehouse.warehouse import Warehouse

LOOK_SECONDS = 20.0
BUSY_LOOK_SECONDS = 0.25
RUN_IS_STALE_AFTER = 30 * 60
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 10.0, 120.0
IDENTITY_FEEDS = frozenset({"students", "id_changes"})
IN_PROGRESS = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


class LandingWatch(FileSystemEventHandler):
    """Records which files were renamed into a folder or closed after writing, and wakes a thread in `wait`."""

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
        """Return whether a file system event showed that the file is complete."""
        return str(file.path) in self._complete

    def forget_all_but(self, files: Iterable[LandedFile]) -> None:
        """Discard records of files that no longer exist."""
        self._complete &= {str(file.path) for file in files}

    def wait(self, seconds: float) -> None:
        """Wait for the next event, at most this many seconds."""
        self._woken.wait(max(0.0, seconds))
        self._woken.clear()


def _observer() -> BaseObserver:
    """Return an observer that on Linux distinguishes a rename into the folder from the creation of a file."""
    if sys.platform == "linux":
        from watchdog.observers.inotify import InotifyObserver

        return InotifyObserver(generate_full_events=True)
    return Observer()


@cache
def landing_watch(folder: Path) -> LandingWatch:
    """Return this process's watch on a folder. It also records events between two sensor evaluations."""
    return LandingWatch(folder)


@dataclass
class Memory:
    """The sensor's state between evaluations: when each file state was first seen, and the last requested batch."""

    seen: dict[str, float] = field(default_factory=dict)
    rules: str = ""
    batch: str = ""
    attempt: int = 0
    retry_at: float = 0.0

    @classmethod
    def read(cls, cursor: str | None) -> "Memory":
        """Parse a cursor. One that cannot be parsed (of another version) is ignored, which only delays the next run."""
        try:
            return cls(**json.loads(cursor)) if cursor else cls()
        except (TypeError, ValueError):
            return cls()

    def write(self) -> str:
        return json.dumps(self.__dict__)

    def settled(self, files: list[LandedFile], now: float, settle: float) -> list[LandedFile]:
        """Record the files as seen now. Returns those that have been unchanged for the settle time (seconds)."""
        self.seen = {file.ticket: self.seen.get(file.ticket, now) for file in files}
        return [file for file in files if now - self.seen[file.ticket] >= settle]

    def request(self, batch: str, now: float) -> str | None:
        """Return the run key for a batch; None if the batch was requested before and its retry is not due yet."""
        if batch != self.batch:
            self.batch, self.attempt = batch, 0
        elif now < self.retry_at:
            return None
        self.attempt += 1
        self.retry_at = now + min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** (self.attempt - 1))
        return f"{batch}__attempt{self.attempt}"


def micro_batch(files: list[LandedFile], settings: Settings) -> list[LandedFile]:
    """Return the files for one run: at least one, then as many as the limits of number and size allow."""
    chosen: list[LandedFile] = []
    size = 0
    for file in files[: settings.batch_files]:
        size += file.observation[0]
        if chosen and size > settings.batch_bytes:
            break
        chosen.append(file)
    return chosen


def run_in_progress(instance: DagsterInstance, now: float) -> bool:
    """Return whether an ingest run is in progress. A run without an update for 30 minutes is ignored."""
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
    """Request one run for all files that are ready, after waiting up to LOOK_SECONDS for one."""
    settings = load_settings()
    prepare_folders(settings)
    watch = landing_watch(settings.landing)
    memory = Memory.read(context.cursor)
    deadline = time.monotonic() + LOOK_SECONDS
    reason = "no new files in the landing folder"
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
                reason = "an ingest run is in progress; new files are loaded by the next run"
            else:
                batch = micro_batch(ready, settings)
                run_key = memory.request(_batch_hash(batch, left_over, rules), now)
                if run_key is not None:
                    memory.rules = rules
                    context.update_cursor(memory.write())
                    return _request(context, settings, run_key, batch, bool(left_over))
                reason = "the last run did not finish these files; waiting before the next attempt"
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
    assets, stale = _assets_for(context, feeds, settings)
    ready = ReceiveConfig(ready=[file.ticket for file in batch])
    unchanged_rules = [key for key in rules_check_keys() if key.asset_key not in stale]
    return RunRequest(
        run_key=run_key,
        asset_selection=sorted(assets, key=str),
        asset_check_keys=[key for key in load_check_keys() if key.asset_key in assets and key not in unchanged_rules],
        run_config=RunConfig(ops={c.raw_asset: ready for c in contracts().values() if AssetKey(c.raw_asset) in assets}),
        tags={"student360/files": str(len(batch)), "student360/feeds": " ".join(sorted(feeds))},
    )


def _feeds_of(batch: list[LandedFile]) -> set[str]:
    """Return the feeds of a batch. A file of an unknown feed is quarantined by the raw asset of any feed."""
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
    """Return the assets to materialize, and those of them whose reference data changed since it was merged.

    The former are the raw assets of the feeds, everything downstream of them, and the latter.

    Excluded are tables computed from reference data alone, unless it changed, and tables that other feeds load, unless
    the batch has students or id changes: rows of any feed may be waiting for their student.
    """
    repository = context.repository_def
    if repository is None:
        raise RuntimeError("the landing sensor needs its repository")
    ingest_assets = AssetSelection.groups(*INGEST_GROUPS).materializable()
    raw = AssetSelection.assets(*(contracts()[feed].raw_asset for feed in sorted(feeds)))
    reached = (raw.downstream() & ingest_assets) if feeds else AssetSelection.groups("marts").materializable()
    freed = not IDENTITY_FEEDS.isdisjoint(feeds)
    others = {c.loads for c in contracts().values() if c.feed not in feeds and not freed}
    others |= {script.name for script in in_order("core") if script.has_rules and script.is_rules_alone}
    with Warehouse(url=settings.warehouse_url).reading() as tx:
        stale = set(map(AssetKey, stale_rules(ledger.settings(tx), settings)))
    chosen = set(reached.resolve(repository.asset_graph)) - set(map(AssetKey, others))
    return chosen | stale | _never_materialized(context.instance, ingest_assets.resolve(repository.asset_graph)), stale


def _never_materialized(instance: DagsterInstance, assets: Collection[AssetKey]) -> set[AssetKey]:
    """Return the assets without a materialization, to be requested once.

    For each of them that is an input of a step, Dagster searches the event log in every run.
    """
    records = instance.get_asset_records(list(assets))
    return set(assets) - {r.asset_entry.asset_key for r in records if r.asset_entry.last_materialization_record}
