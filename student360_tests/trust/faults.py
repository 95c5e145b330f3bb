"""The list of faults F01-F44 that must cost nothing: which tests bring each about, and which were survived.

Belongs here: the list, and the count over a run of the tests (`make faults`). Does not belong here: the tests; each
says which fault it brings about with `@pytest.mark.fault("F23")`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

FAULTS = {
    **{f"F{n:02}": f"SIGKILL at crash point K{n}, at its first, second and last passing" for n in range(1, 10)},
    "F10": "SIGKILL of the restart that tidies up after a SIGKILL",
    "F11": "the answer to a commit is lost",
    "F12": "SIGKILL and SIGTERM at random moments, sometimes of one of two runs",
    "F13": "two runs at once",
    "F14": "the process of a run is killed under the daemon",
    "F15": "all processes are killed at once, as when the power goes",
    "F16": "files are dropped while nothing runs",
    "F17": "the sensor's memory is lost, or another version's",
    "F18": "the code cannot be imported, or its server is killed",
    "F19": "a run fails again and again",
    "F20": "a file is still being written",
    "F21": "a file is written to after it was claimed, and even after it was loaded",
    "F22": "an upload is cut off, and sent again whole under the same name",
    "F23": "the same bytes again, under the same and another name",
    "F24": "other bytes under the same name, twenty times",
    "F25": "an older export after a newer one",
    "F26": "file times of 1970 and 2038, and a clock that jumps by a day",
    "F27": "facts before their students",
    "F28": "a thousand files at once",
    "F29": "a huge file",
    "F30": "another process holds the database for longer than its timeout",
    "F31": "PostgreSQL is stopped under a load",
    "F32": "the connection is lost after a commit was sent",
    "F33": "a deadlock with somebody else's transaction",
    "F34": "the disk is full: under the warehouse, the archive or Dagster's own files",
    "F35": "a folder is missing, read-only or on another disk",
    "F36": "a foreign file lies in the work folder",
    "F37": "an archived file is deleted or changed by hand",
    "F38": "ledger rows are gone, as after an old backup was restored",
    "F39": "killed while tables and views are made",
    "F40": "SIGTERM, Ctrl-C, and no memory left",
    "F41": "Spark cannot run",
    "F42": "killed while an aggregate is replaced",
    "F43": "a reader holds a long transaction while files are loaded",
    "F44": "another version left files in work, a cursor and its tables",
}


@dataclass
class Outcomes:
    """What became of the tests of each fault."""

    passed: dict[str, int] = field(default_factory=dict)
    others: dict[str, list[str]] = field(default_factory=dict)

    def note(self, faults: Iterable[str], outcome: str, test: str) -> None:
        """A test of some faults has ended."""
        for fault in faults:
            if outcome == "passed":
                self.passed[fault] = self.passed.get(fault, 0) + 1
            else:
                self.others.setdefault(fault, []).append(f"{outcome}: {test}")

    @property
    def survived(self) -> list[str]:
        """Faults of which all tests passed."""
        return sorted(set(self.passed) - set(self.others))

    def lines(self, whole: bool) -> list[str]:
        """One line a fault and the count; only the count, unless the whole table is asked for."""
        table = [f"{fault}  {self._word(fault):<28} {what}" for fault, what in FAULTS.items()] if whole else []
        return [*table, f"faults survived: {len(self.survived)} of {len(FAULTS)}"]

    def _word(self, fault: str) -> str:
        if fault in self.others:
            return self.others[fault][0][:28]
        return f"survived ({self.passed[fault]} tests)" if fault in self.passed else "NOT TRIED"


def outcomes_of(reports: Mapping[str, Iterable[object]]) -> Outcomes:
    """From pytest's reports by outcome."""
    outcomes = Outcomes()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in reports.get(outcome, []):
            faults = [value for name, value in getattr(report, "user_properties", []) if name == "fault"]
            if faults and (outcome != "passed" or getattr(report, "when", "") == "call"):
                outcomes.note(faults, outcome, getattr(report, "nodeid", "").rpartition("::")[2])
    return outcomes
