"""Files on disk: listing, readiness, content hash, claiming and archiving.

Every move is a single rename within one file system, so that a file is always in exactly one place. CSV parsing is in
`reader.py`.
"""

import fcntl
import hashlib
import os
import re
import signal
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes

from student360.crash_points import CrashPoint, passing

TEMPORARY = (".part", ".tmp", ".partial", ".crdownload", ".filepart", ".swp", "~")
COMPANIONS = (".sha256", ".md5", ".ok", "thumbs.db", "desktop.ini")
DATE_IN_NAME = re.compile(r"(?<!\d)(20\d{2})[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])(?!\d)")
HASH_BLOCK = 2**20
LEFT_ALONE_SECONDS = 600

Observation = tuple[int, int, int]


@dataclass(frozen=True)
class LandedFile:
    """A regular file in the landing folder, with its state in one listing of the folder (size, mtime in ns, inode)."""

    path: Path
    observation: Observation

    @property
    def ticket(self) -> str:
        """An identifier of this state of this file that does not reveal its name: safe in run config and logs."""
        seen = f"{os.fsdecode(self.path)}|{self.observation}"
        return hashlib.sha256(os.fsencode(seen)).hexdigest()[:16]


def landed_files(landing: Path) -> list[LandedFile]:
    """Return all readable regular files in the landing folder and its sub-folders, sorted by path.

    Hidden and temporary files, checksums, links, pipes and folders are ignored. Files that are not CSV are included, so
    that they are quarantined with a reason.
    """
    found: list[LandedFile] = []
    for entry in _entries(landing):
        if _is_junk(entry.name) or _is_unfinished(entry.name):
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISREG(status.st_mode) and os.access(entry.path, os.R_OK):
            found.append(LandedFile(Path(entry.path), (status.st_size, status.st_mtime_ns, status.st_ino)))
    return sorted(found, key=lambda file: os.fsencode(file.path))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder and its sub-folders. A sub-folder that cannot be listed is yielded itself."""
    with os.scandir(folder) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            if is_folder and os.access(entry.path, os.R_OK | os.X_OK):
                yield from _entries(Path(entry.path))
            else:
                yield entry


def _is_junk(name: str) -> bool:
    return name.startswith((".", "~$")) or name.lower().endswith(COMPANIONS)


def _is_unfinished(name: str) -> bool:
    return name.startswith("~") or name.lower().endswith(TEMPORARY)


@dataclass(frozen=True)
class LeftAlone:
    """An entry of the landing folder that is not picked up: its name and the reason."""

    name: str
    why: str


def left_alone(landing: Path) -> list[LeftAlone]:
    """Return the entries that have been in the landing folder for ten minutes and are not picked up, sorted by name.

    These are links, pipes, unreadable files and files with the name of an unfinished upload. Hidden files and companion
    files such as checksums are not reported.
    """
    found = []
    for entry in _entries(landing) if landing.is_dir() else ():
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if _is_junk(entry.name) or time.time() - status.st_ctime < LEFT_ALONE_SECONDS:
            continue
        is_file = stat.S_ISREG(status.st_mode)
        if not is_file and not stat.S_ISDIR(status.st_mode):
            found.append(LeftAlone(entry.name, "This is a link or a device, not a file. Put the file itself here."))
        elif not is_file or not os.access(entry.path, os.R_OK):
            found.append(LeftAlone(entry.name, "Student 360 has no permission to read it. Grant its user read access."))
        elif _is_unfinished(entry.name):
            found.append(
                LeftAlone(entry.name, "Its name is that of an unfinished upload. Rename it when it is complete.")
            )
    return sorted(found, key=lambda left: os.fsencode(left.name))


def is_being_written(path: Path) -> bool:
    """Return whether a process on this machine has the file open for writing.

    Linux refuses a read lease on a local file that is open for writing (man 2 fcntl). Returns False if leases are not
    supported. A writer that opens the file while the lease is held is blocked until it is released. The kernel reports
    this with SIGURG, which is ignored by default, instead of SIGIO.
    """
    try:
        with open_regular(path) as stream:
            fcntl.fcntl(stream, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except (OSError, AttributeError):
        return False
    return False


def steady_files(before: Mapping[str, Observation], now: list[LandedFile]) -> list[LandedFile]:
    """Return the files whose size, mtime and inode are the same as in an earlier listing (observations by path)."""
    return [file for file in now if before.get(os.fsdecode(file.path)) == file.observation]


def claim(file: LandedFile, work: Path) -> Path | None:
    """Rename a landed file into the work folder with a unique name. Returns None if another process was faster.

    The file's mode is set to 0600. If the file belongs to another user, only the folder's mode protects it.
    """
    original = quote_from_bytes(os.fsencode(file.path.name), safe="")[:150]
    target = work / f"{uuid.uuid4().hex}@{original}"
    try:
        file.path.rename(target)
    except FileNotFoundError:
        return None
    with suppress(PermissionError, FileNotFoundError):
        target.chmod(0o600)
    return target


def claim_id(claimed: Path) -> str:
    """Return the unique id of a claim: its file name up to the @ (the whole name if it has no @)."""
    return claimed.name.partition("@")[0]


def original_name(claimed: Path) -> str:
    """Return the name that a claimed file had in the landing folder."""
    _, _, quoted = claimed.name.partition("@")
    return unquote(quoted or claimed.name, errors="replace")


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises OSError for a link, pipe or device, which could block."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a regular file")
    return os.fdopen(descriptor, "rb")


def content_hash(path: Path) -> tuple[str, int]:
    """Return the sha256 of a file's content and its size in bytes."""
    with open_regular(path) as stream:
        digest = hashlib.sha256()
        while block := stream.read(HASH_BLOCK):
            digest.update(block)
        return digest.hexdigest(), stream.tell()


def date_in_name(name: str) -> date | None:
    """Return the export's effective date from a file name such as attendance_2026-11-03.csv; None if it has none."""
    match = DATE_IN_NAME.search(name)
    if match is None:
        return None
    try:
        return date(*map(int, match.groups()))
    except ValueError:
        return None


def archive(claimed: Path, folder: Path, sha256: str, received: datetime) -> Path:
    """Rename a claimed file to <folder>/YYYY/MM/<sha256>__<claim>__<name> and sync both folders to disk.

    The claim id makes the name unique, so that no file is overwritten.
    """
    target_folder = folder / f"{received:%Y}" / f"{received:%m}"
    make_private(target_folder)
    name = claimed.name.partition("@")[2] or "file"
    target = target_folder / f"{sha256}__{claim_id(claimed)}__{name[:100]}"
    with suppress(PermissionError):
        claimed.chmod(0o600)
    passing(CrashPoint.AROUND_RENAME)
    claimed.rename(target)
    passing(CrashPoint.AROUND_RENAME)
    for directory in (claimed.parent, target_folder):
        _sync(directory)
    return target


def put_back(archived: Path, landing: Path) -> Path:
    """Rename an archived file back into the landing folder with the name that it was dropped with."""
    _, claim, name = archived.name.split("__", 2)
    target = landing / os.fsdecode(unquote_to_bytes(name))
    if target.exists():
        target = landing / f"{claim}_{target.name}"
    return archived.rename(target)


def move_archived(path: Path, folder: Path) -> Path:
    """Rename an archived file into another archive folder, keeping its year, month and name."""
    target = folder / path.parent.parent.name / path.parent.name / path.name
    make_private(target.parent)
    path.rename(target)
    for directory in (path.parent, target.parent):
        _sync(directory)
    return target


def make_private(folder: Path) -> None:
    """Create a folder and its missing parents with mode 0700, regardless of the umask."""
    for missing in reversed([folder, *folder.parents]):
        if not missing.exists():
            missing.mkdir(mode=0o700, exist_ok=True)
            missing.chmod(0o700)


def make_durable(path: Path) -> None:
    """Sync a written file and its folder to disk, so that both survive a power loss."""
    for written in (path, path.parent):
        _sync(written)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def now() -> datetime:
    """Return the current time in UTC, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
