"""Named places where a test may end the process (K1-K9); after a restart from any of them nothing is lost or twice.

Belongs here: the names. Does not belong here: what happens there (`student360_tests/trust`). A place costs one
comparison; only a test is told of it, and there is no setting for it.
"""

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


class _Watch:
    told: Callable[[CrashPoint], None] | None = None


def watch(told: Callable[[CrashPoint], None]) -> None:
    """Have a function called whenever this process comes to one of the places."""
    _Watch.told = staticmethod(told)


def passing(point: CrashPoint) -> None:
    """The process is at this place."""
    if _Watch.told is not None:
        _Watch.told(point)
