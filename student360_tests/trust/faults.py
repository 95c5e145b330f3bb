"""The faults F01-F44 that must lose and duplicate nothing, and the count of those survived (`make faults`).

A test marks the faults that it causes with `@pytest.mark.fault("F23")`. A fault is survived if all of its tests pass.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

FAULTS = {
    **{f"F{n:02}": f"SIGKILL at crash point K{n}, at its first, second and last pass" for n in range(1, 10)},
    "F10": "SIGKILL of the restart that recovers from a SIGKILL",
    "F11": "the acknowledgment of a commit is lost",
    "F12": "SIGKILL and SIGTERM at random moments, sometimes of one of two runs",
    "F13": "two concurrent runs",
    "F14": "the process of a run started by the daemon is killed",
    "F15": "all processes are killed at once, as in a power failure",
    "F16": "files are dropped while no process is running",
    "F17": "the sensor's cursor is lost, or was written by another version",
    "F18": "the code cannot be imported, or its server is killed",
    "F19": "a run fails repeatedly",
    "F20": "a file is still being written",
    "F21": "a file is written to after it was claimed, or after it was loaded",
    "F22": "an upload is truncated, and the complete file is sent under the same name",
    "F23": "the same content again, under the same and under a different name",
    "F24": "different content under the same name, twenty times",
    "F25": "an older export after a newer one",
    "F26": "file times in 1970 and 2038, and a clock that changes by a day",
    "F27": "facts before their students",
    "F28": "a thousand files at once",
    "F29": "a huge file",
    "F30": "another process holds the database for longer than its timeout",
    "F31": "PostgreSQL is stopped during a load",
    "F32": "the connection is lost after a commit was sent",
    "F33": "a deadlock with a transaction of another program",
    "F34": "the disk of the warehouse, the archive or Dagster's files is full",
    "F35": "a folder is missing, read-only or on another disk",
    "F36": "an unexpected file is in the work folder",
    "F37": "an archived file is deleted or changed manually",
    "F38": "ledger rows are missing, as after the restore of an old backup",
    "F39": "SIGKILL while tables and views are created",
    "F40": "SIGTERM, Ctrl-C, and no memory left",
    "F41": "Spark cannot run",
    "F42": "a failure while an aggregate is replaced",
    "F43": "a reader keeps a long transaction open while files are loaded",
    "F44": "another version has left files in the work folder, a cursor and its tables",
}


@dataclass
class Outcomes:
    """The outcomes of the tests of each fault."""

    passed: dict[str, int] = field(default_factory=dict)
    others: dict[str, list[str]] = field(default_factory=dict)

    def note(self, faults: Iterable[str], outcome: str, test: str) -> None:
        """Record the outcome of a test for its faults."""
        for fault in faults:
            if outcome == "passed":
                self.passed[fault] = self.passed.get(fault, 0) + 1
            else:
                self.others.setdefault(fault, []).append(f"{outcome}: {test}")

    @property
    def survived(self) -> list[str]:
        """The faults of which all tests passed."""
        return sorted(set(self.passed) - set(self.others))

    def lines(self, with_table: bool) -> list[str]:
        """Return the count of faults survived, after a table with one line per fault if requested."""
        table = [f"{fault}  {self._word(fault):<28} {what}" for fault, what in FAULTS.items()] if with_table else []
        return [*table, f"faults survived: {len(self.survived)} of {len(FAULTS)}"]

    def _word(self, fault: str) -> str:
        if fault in self.others:
            return self.others[fault][0][:28]
        return f"survived ({self.passed[fault]} tests)" if fault in self.passed else "NOT TESTED"


def outcomes_of(reports: Mapping[str, Iterable[object]]) -> Outcomes:
    """Return the outcomes from pytest's reports by outcome."""
    outcomes = Outcomes()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in reports.get(outcome, []):
            faults = [value for name, value in getattr(report, "user_properties", []) if name == "fault"]
            if faults and (outcome != "passed" or getattr(report, "when", "") == "call"):
                outcomes.note(faults, outcome, getattr(report, "nodeid", "").rpartition("::")[2])
    return outcomes
