"""Named points (K1-K9) at which a test can end the process.

The tests in `student360_tests/trust` check that after a restart from any of them no row is lost or loaded twice. In
production a crash point costs one comparison; no setting activates it.
"""

from collections.abc import Callable
from enum import StrEnum


class CrashPoint(StrEnum):
    """A point at which a process can be ended, in the order in which a file passes them."""

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
    callback: Callable[[CrashPoint], None] | None = None


def watch(callback: Callable[[CrashPoint], None]) -> None:
    """Register a function that is called whenever this process passes a crash point."""
    _Watch.callback = staticmethod(callback)


def passing(point: CrashPoint) -> None:
    """Call the registered function, if there is one, with this crash point."""
    if _Watch.callback is not None:
        _Watch.callback(point)
