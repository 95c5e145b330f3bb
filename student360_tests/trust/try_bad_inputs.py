"""Loads the bad inputs, alone and all in one landing, and says which did not become what the table says.

Belongs here: dropping, loading, comparing. Does not belong here: the table (`bad_inputs.py`).
"""

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from student360.ingest.files import claim, landed_files, make_private
from student360.ingest.problems import WARNINGS
from student360.loading.pipeline import load_all
from student360_tests.support.installation import Installation
from student360_tests.trust.bad_inputs import CASES, STUDENTS, Case, student
from student360_tests.trust.installations import quick_settings, throw_away_installation

NOBODY = 65534
EXPECTED_OF_ANY_FILE = {"missing_optional"}


@dataclass(frozen=True)
class Result:
    """What became of a case; problem is empty when it is what the table says."""

    case: Case
    outcome: str
    counts: tuple[int, int, int]
    codes: frozenset[str]
    problem: str


def try_all(engine: str, together: bool, folder: Path | None = None) -> list[Result]:
    """Load all cases into a new installation, one after the other or in one landing. Returns what became of each."""
    with throw_away_installation(engine, folder) as installation:
        installation.drop("students_2026-01-01.csv", roster().encode())
        _load(installation)
        for case in CASES:
            case.put(installation.data / "landing")
            if not together:
                _load(installation)
        _load(installation)
        results = [_result(installation, case) for case in CASES]
    return [*results, file_that_may_not_be_read(), file_that_vanishes(folder)]


def roster() -> str:
    """One student for each case."""
    known = sorted({student(case.id) for case in CASES})
    return STUDENTS + "".join(f"{name},Student {name},2014-01-01,3,\n" for name in known)


def _load(installation: Installation) -> None:
    load_all(installation.warehouse, quick_settings(installation), "bad-inputs")


def _result(installation: Installation, case: Case) -> Result:
    files = list(_files_of(installation, case))
    if case.outcome == "left":
        taken = [file for file in files if file["counts"][0]]
        there = any((installation.data / "landing").iterdir())
        problem = "" if there and not taken else "it was touched"
        return Result(case, "left" if not taken else "taken", (0, 0, 0), frozenset(), problem)
    counts = tuple(sum(file["counts"][n] for file in files) for n in range(3))
    codes = frozenset().union(*(file["codes"] for file in files)) - EXPECTED_OF_ANY_FILE
    outcome = files[0]["outcome"] if files else "nowhere"
    told = (outcome, counts, codes)
    problem = "" if told == (case.outcome, case.counts, case.codes) else f"became {told}"
    if not problem and case.check is not None and not case.check(_asker(installation)):
        problem = "the warehouse does not hold what it should"
    return Result(case, outcome, (counts[0], counts[1], counts[2]), codes, problem)


def _asker(installation: Installation) -> Any:
    return lambda query: [tuple(row.values()) for row in _query(installation, query)]


def _query(installation: Installation, query: str, parameters: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
    with installation.warehouse.reading() as tx:
        return tx.query(query, parameters)


def _files_of(installation: Installation, case: Case) -> Iterator[dict[str, Any]]:
    """Outcome, counts and codes of every file of a case in the ledger."""
    condition, parameter = (
        ("d.seen_name = ?", case.name) if case.place is None else ("d.seen_name LIKE ?", f"%{case.id[:3]}%")
    )
    files = _query(
        installation,
        "SELECT f.*, f.rows_loaded + f.rows_updated + f.rows_unchanged + f.rows_waiting AS rows_in FROM file_drop AS d"
        f" JOIN ingest_file AS f ON f.file_id = d.file_id WHERE {condition} AND d.outcome = 'first'",
        (parameter,),
    )
    for file in files:
        rejects = _query(
            installation, "SELECT DISTINCT reason_code FROM row_reject WHERE file_id = ?", (file["file_id"],)
        )
        codes = {row["reason_code"] for row in rejects} | ({file["reason_code"]} if file["reason_code"] else set())
        warned = {code for code, text in WARNINGS.items() if text.partition("{")[0][:40] in (file["warnings"] or "")}
        outcome = "taken"
        if file["status"] == "quarantined":
            outcome = "file"
        elif file["rows_rejected"]:
            outcome = "rows"
        elif warned - EXPECTED_OF_ANY_FILE:
            outcome = "warned"
        counts = (file["rows_read"], file["rows_in"], file["rows_rejected"])
        yield {"outcome": outcome, "counts": counts, "codes": codes | warned}


UNREADABLE = Case(
    "B78",
    "a file or folder that may not be read",
    "attendance_B78.csv",
    b"",
    "left",
    note="Tried as a user without special rights. After ten minutes `make status` names it.",
)
VANISHING = Case("B79", "a file that vanishes before it is taken", "attendance_B79.csv", b"", "left")


def all_cases() -> tuple[Case, ...]:
    """The table, with the two cases that are not made by dropping a file."""
    return tuple(sorted((*CASES, UNREADABLE, VANISHING), key=lambda case: case.id))


def file_that_may_not_be_read() -> Result:
    """B78: a file without rights is left alone, as a user without special rights sees it."""
    case = UNREADABLE
    with tempfile.TemporaryDirectory(prefix="student360-") as made:  # a test's own folder is closed to others
        landing = Path(made)
        landing.chmod(0o755)
        (landing / case.name).write_text("Student_ID\n")
        (landing / case.name).chmod(0)
        (landing / "closed").mkdir(mode=0o700)
        (landing / "attendance_good.csv").write_text("Student_ID\n")
        (landing / "attendance_good.csv").chmod(0o644)
        with multiprocessing.get_context("fork").Pool(1, initializer=_become_nobody) as pool:
            seen = pool.apply(_names_in, (landing,))
            pool.close()
            pool.join()
    problem = "" if seen == ["attendance_good.csv"] else f"seen: {seen}"
    return Result(case, "left", (0, 0, 0), frozenset(), problem)


def _become_nobody() -> None:
    if os.geteuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def _names_in(landing: Path) -> list[str]:
    return [file.path.name for file in landed_files(landing)]


def file_that_vanishes(folder: Path | None) -> Result:
    """B79: a file that goes between the look and the claim is no error."""
    case = VANISHING
    with tempfile.TemporaryDirectory(prefix="student360-", dir=folder) as made:
        landing, work = Path(made) / "landing", Path(made) / "work"
        for place in (landing, work):
            make_private(place)
        (landing / case.name).write_text("Student_ID\n")
        (seen,) = landed_files(landing)
        seen.path.unlink()
        problem = "" if claim(seen, work) is None and not list(work.iterdir()) else "it was claimed"
    return Result(case, "left", (0, 0, 0), frozenset(), problem)
