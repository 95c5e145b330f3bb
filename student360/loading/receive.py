"""The raw step: claim the files that are ready in the landing folder and register them in the ledger.

Contains readiness, claim, hash, registration, archiving, and recovery after a run that did not finish; not the reading
of the files (see `stage.py`).
"""

import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from student360.contracts import Contract, LoadMode, contracts
from student360.crash_points import CrashPoint, passing
from student360.ingest.dates import date_key
from student360.ingest.files import (
    LandedFile,
    archive,
    claim,
    claim_id,
    content_hash,
    date_in_name,
    is_being_written,
    landed_files,
    make_private,
    move_archived,
    now,
    open_regular,
    original_name,
    steady_files,
)
from student360.ingest.headers import recognise
from student360.ingest.reader import first_line
from student360.loading.large_files import remove_what_is_merged
from student360.loading.to_correct import write_to_correct
from student360.settings import Settings
from student360.warehouse import ledger
from student360.warehouse.warehouse import Warehouse

HEADER_BYTES = 64 * 1024
_FIRST_SEEN: dict[str, float] = {}


class FolderProblem(Exception):
    """The data folders cannot be used safely. The message has no file names, which can contain a person's name."""


@contextmanager
def naming_no_file() -> Iterator[None]:
    """Translate OSError, whose messages quote file names, to FolderProblem without them."""
    try:
        yield
    except OSError as error:
        raise FolderProblem(
            f"Reading or moving files in STUDENT360_DATA_DIR failed: {os.strerror(error.errno or 0)}. Nothing was "
            "lost: the next run continues with these files."
        ) from None


def prepare_folders(settings: Settings) -> None:
    """Create the data folders, accessible only to the user, and check that files can be renamed between them.

    Raises FolderProblem.
    """
    folders = (settings.landing, settings.work, settings.processed, settings.quarantine)
    with naming_no_file():
        for folder in folders:
            make_private(folder)
    for folder in folders:
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise FolderProblem(
                f"the folder {folder.name} cannot be written to: give the user of Student 360 read, write and search "
                "rights on it, on a disk that is not read-only."
            )
    if len({folder.stat().st_dev for folder in folders}) > 1:
        raise FolderProblem(
            "landing, work, processed and quarantine must be on one file system, so that a file can be moved between "
            "them by a rename: put STUDENT360_DATA_DIR on one disk."
        )


def ready_files(settings: Settings, feed: str, tickets: Collection[str] | None = None) -> list[LandedFile]:
    """Return the complete files of a feed in landing, and those of unknown feed.

    Complete are the files with a ticket from the sensor; without tickets, those unchanged for the settle time.
    """
    landed = landed_files(settings.landing)
    now = time.monotonic()
    for file in landed:
        _FIRST_SEEN.setdefault(file.ticket, now)
    seen = [file for file in landed if _feed_or_none(file.path) in (feed, None)]
    if tickets is not None:
        return [file for file in seen if file.ticket in tickets]
    if not seen:
        return []
    time.sleep(max(0.0, settings.settle_seconds - (now - max(_FIRST_SEEN[file.ticket] for file in seen))))
    before = {os.fsdecode(file.path): file.observation for file in seen}
    return steady_files(before, landed_files(settings.landing))


def recognised_feed(path: Path, name: str) -> str | None:
    """Return the feed of a file, recognized by its name or else by its header; None if it is unknown."""
    with open_regular(path) as stream:
        return recognise(name, first_line(stream.read(HEADER_BYTES)), contracts())


def receive(
    warehouse: Warehouse,
    settings: Settings,
    contract: Contract,
    run_id: str,
    tickets: Collection[str] | None = None,
) -> None:
    """Claim the ready files of a feed, and those of unknown feed, and register them in the ledger.

    First registers the files that an earlier run left in the work folder. If the process is killed at any point, a
    repeated call finishes the work. Raises FolderProblem.
    """
    prepare_folders(settings)
    with naming_no_file():
        _enter(warehouse, contract, settings, run_id, _unentered(warehouse, settings))
        _enter(warehouse, contract, settings, run_id, _claimed(ready_files(settings, contract.feed, tickets), settings))
    archive_finished(warehouse, settings)


def _claimed(files: list[LandedFile], settings: Settings) -> list[Path]:
    """Move the files that no process has open for writing to the work folder."""
    claimed = []
    for file in files:
        if is_being_written(file.path):
            continue
        passing(CrashPoint.BEFORE_CLAIM)
        path = claim(file, settings.work)
        passing(CrashPoint.AFTER_CLAIM)
        if path is not None:
            claimed.append(path)
    return claimed


def _feed_or_none(path: Path) -> str | None:
    try:
        return recognised_feed(path, path.name)
    except OSError:
        return ""


def _work_files(settings: Settings) -> list[Path]:
    return sorted(path for path in settings.work.iterdir() if path.is_file() and not path.is_symlink())


def _unentered(warehouse: Warehouse, settings: Settings) -> list[Path]:
    """Return files in the work folder that were claimed (or put there manually) and are not in the ledger."""
    waiting = _work_files(settings)
    if not waiting:
        return []
    with warehouse.reading() as tx:
        known = ledger.drops(tx)
    return [path for path in waiting if claim_id(path) not in known]


def _enter(warehouse: Warehouse, contract: Contract, settings: Settings, run_id: str, claimed: list[Path]) -> None:
    arrivals = []
    for path in claimed:
        try:
            arrival = _arrival(path, settings)
        except FileNotFoundError:
            continue
        if arrival.feed in (contract.feed, None):
            arrivals.append(arrival)
    if not arrivals:
        return
    with warehouse.transaction() as tx:
        known = ledger.drops(tx)
        for arrival in arrivals:
            if arrival.claim_id not in known:
                ledger.enter(tx, arrival, run_id)


def _arrival(path: Path, settings: Settings) -> ledger.Arrival:
    name = original_name(path)
    sha256, size = content_hash(path)
    received = now()
    named = date_in_name(name)
    feed = recognised_feed(path, name)
    return ledger.Arrival(
        claim_id=claim_id(path),
        sha256=sha256,
        feed=feed,
        name=name,
        size=size,
        received_at=received,
        effective_date_key=date_key(named or received.date()),
        effective_from="name" if named else "arrival",
        load_mode=settings.load_mode[feed] if feed else LoadMode.DELTA,
        rows_say_their_day=feed is not None and contracts()[feed].told_apart_by_order_without is None,
    )


def archive_finished(warehouse: Warehouse, settings: Settings) -> None:
    """Move every file with a committed outcome to its archive folder, and write its rejected rows to a CSV to correct.

    A file that was changed after it was read is moved back to landing, because it has new content. A file that was
    moved by a run that was killed before it could record the path is found by its claim id.
    """
    with warehouse.reading() as tx:
        unarchived = {claim: drop for claim, drop in ledger.drops(tx, only_unarchived=True).items() if drop.is_final}
        wrong = {drop.file_id: ledger.refused_rows(tx, drop.file_id) for drop in unarchived.values()}
    remove_what_is_merged(warehouse, settings)
    if not unarchived:
        return
    with naming_no_file():
        places = _move_to_archive(unarchived, settings)
        to_correct = {
            drop.file_id: _write_to_correct(places[key], drop, wrong[drop.file_id], settings)
            for key, drop in unarchived.items()
            if key in places and wrong[drop.file_id] and drop.feed and settings.landing not in places[key].parents
        }
    passing(CrashPoint.BEFORE_ARCHIVE_NOTE)
    with warehouse.transaction() as tx:
        for key, place in places.items():
            ledger.note_archived(tx, key, str(place.relative_to(settings.data_dir)), now().isoformat())
        for file_id, path in to_correct.items():
            ledger.note_to_correct(tx, file_id, str(path.relative_to(settings.data_dir)))


def _move_to_archive(unarchived: Mapping[str, ledger.Drop], settings: Settings) -> dict[str, Path]:
    """Move files to the folder of their outcome. Return their paths by claim id, without files that were not found."""
    places: dict[str, Path] = {}
    at_work = {claim_id(path): path for path in _work_files(settings)}
    for key, drop in unarchived.items():
        folder = settings.quarantine if drop.status == "quarantined" else settings.processed
        work = at_work.get(key)
        place = _archived(work, drop, folder, settings) if work else _moved(key, folder, settings)
        if place is not None:
            places[key] = place
    return places


def _write_to_correct(place: Path, drop: ledger.Drop, wrong: Mapping[int, str], settings: Settings) -> Path:
    target = settings.to_correct / f"{drop.feed}_to_correct_{drop.sha256[:8]}.csv"
    write_to_correct(place, target, contracts()[str(drop.feed)], drop.sha256, wrong, whole=drop.status == "quarantined")
    return target


def _archived(path: Path, drop: ledger.Drop, folder: Path, settings: Settings) -> Path | None:
    try:
        sha256, _ = content_hash(path)
        if sha256 == drop.sha256:
            return archive(path, folder, sha256, now())
        return path.rename(settings.landing / f"{claim_id(path)}_{drop.feed or 'unknown'}.csv")
    except FileNotFoundError:
        return None


def _moved(key: str, folder: Path, settings: Settings) -> Path | None:
    """Return the path of a file that is not in the work folder, as it was archived before; None if not found.

    It is moved if its outcome changed, because it was loaded again from the archive.
    """
    for other in (folder, settings.processed, settings.quarantine):
        found = next(other.rglob(f"*__{key}__*"), None)
        if found is not None:
            return found if other == folder else move_archived(found, folder)
    return None
