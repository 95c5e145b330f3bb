"""Named places where a test may end the process (K1-K9); after a restart from any of them nothing is lost or twice.

Belongs here: the names and the switch. Does not belong here: choosing when (`student360_tests/trust`). Off, a place
costs one comparison; only a test turns it on, and there is no setting for it.
"""

import os
import signal
from collections.abc import Callable
from enum import StrEnum


class CrashPoint(StrEnum):
    """Where a process may die, in the order of a file's way."""

    BEFORE_CLAIM = "K1"
    AFTER_CLAIM = "K2"
    AFTER_BEGIN = "K3"
    MID_LOAD = "K4"
    BEFORE_LEDGER = "K5"
    BEFORE_COMMIT = "K6"
    AFTER_COMMIT = "K7"
    AROUND_RENAME = "K8"
    BEFORE_ARCHIVE_NOTE = "K9"


class _Switch:
    """Which point ends the process, after how many more passes, and how."""

    point: CrashPoint | None = None
    passes_left = 0
    end: Callable[[], None] = staticmethod(lambda: os.kill(os.getpid(), signal.SIGKILL))


def arm(point: CrashPoint, hit: int, end: Callable[[], None] | None = None) -> None:
    """End the process when it comes to the point for the hit-th time: by SIGKILL, or as `end` does."""
    _Switch.point, _Switch.passes_left = point, hit
    if end is not None:
        _Switch.end = staticmethod(end)


def passing(point: CrashPoint) -> None:
    """The process is at this point."""
    if _Switch.point is not point:
        return
    _Switch.passes_left -= 1
    if _Switch.passes_left == 0:
        _Switch.end()
