"""Load the bad inputs, one by one and all together, and compare the outcomes with the table in `bad_inputs.py`."""

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
from student360_tests.trust.installations import settings_without_settle_time, temporary_installation

UNPRIVILEGED = 65534
EXPECTED_FOR_EVERY_FILE = {"missing_optional"}


@dataclass(frozen=True)
class Result:
    """The outcome of a case. problem is empty if the outcome is as expected."""

    case: Case
    outcome: str
    counts: tuple[int, int, int]
    codes: frozenset[str]
    problem: str


def try_all(engine: str, together: bool, folder: Path | None = None) -> list[Result]:
    """Load all cases into a new installation, one by one or together. Returns the result of each."""
    with temporary_installation(engine, folder) as installation:
        installation.drop("students_2026-01-01.csv", roster().encode())
        _load(installation)
        for case in CASES:
            case.put(installation.data / "landing")
            if not together:
                _load(installation)
        _load(installation)
        results = [_result(installation, case) for case in CASES]
    return [*results, unreadable_file(), vanishing_file(folder)]


def roster() -> str:
    """Return a roster with one student for each case."""
    known = sorted({student(case.id) for case in CASES})
    return STUDENTS + "".join(f"{name},Student {name},2014-01-01,3,\n" for name in known)


def _load(installation: Installation) -> None:
    load_all(installation.warehouse, settings_without_settle_time(installation), "bad-inputs")


def _result(installation: Installation, case: Case) -> Result:
    files = list(_files_of(installation, case))
    if case.outcome == "left":
        taken = [file for file in files if file["counts"][0]]
        left = any((installation.data / "landing").iterdir())
        problem = "" if left and not taken else "the file was taken"
        return Result(case, "left" if not taken else "taken", (0, 0, 0), frozenset(), problem)
    counts = tuple(sum(file["counts"][n] for file in files) for n in range(3))
    codes = frozenset().union(*(file["codes"] for file in files)) - EXPECTED_FOR_EVERY_FILE
    outcome = files[0]["outcome"] if files else "nowhere"
    found = (outcome, counts, codes)
    problem = "" if found == (case.outcome, case.counts, case.codes) else f"found {found}"
    if not problem and case.check is not None and not case.check(_query_function(installation)):
        problem = "the warehouse does not contain the expected rows"
    return Result(case, outcome, (counts[0], counts[1], counts[2]), codes, problem)


def _query_function(installation: Installation) -> Any:
    return lambda query: [tuple(row.values()) for row in _query(installation, query)]


def _query(installation: Installation, query: str, parameters: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
    with installation.warehouse.reading() as tx:
        return tx.query(query, parameters)


def _files_of(installation: Installation, case: Case) -> Iterator[dict[str, Any]]:
    """Yield outcome, counts and codes of every file of a case in the ledger."""
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
        elif warned - EXPECTED_FOR_EVERY_FILE:
            outcome = "warned"
        counts = (file["rows_read"], file["rows_in"], file["rows_rejected"])
        yield {"outcome": outcome, "counts": counts, "codes": codes | warned}


UNREADABLE = Case(
    "B78",
    "a file or folder without read permission",
    "attendance_B78.csv",
    b"",
    "left",
    note="Tested as an unprivileged user. After ten minutes `make status` lists it.",
)
VANISHING = Case("B79", "a file that is deleted before it is taken", "attendance_B79.csv", b"", "left")


def all_cases() -> tuple[Case, ...]:
    """Return the table with the two cases that are not created by dropping a file."""
    return tuple(sorted((*CASES, UNREADABLE, VANISHING), key=lambda case: case.id))


def unreadable_file() -> Result:
    """Test B78: a file without read permission is not listed for an unprivileged user."""
    case = UNREADABLE
    with tempfile.TemporaryDirectory(prefix="student360-") as name:  # pytest's temporary folders are private
        landing = Path(name)
        landing.chmod(0o755)
        (landing / case.name).write_text("Student_ID\n")
        (landing / case.name).chmod(0)
        (landing / "closed").mkdir(mode=0o700)
        (landing / "attendance_good.csv").write_text("Student_ID\n")
        (landing / "attendance_good.csv").chmod(0o644)
        with multiprocessing.get_context("fork").Pool(1, initializer=_drop_privileges) as pool:
            listed = pool.apply(_names_in, (landing,))
            pool.close()
            pool.join()
    problem = "" if listed == ["attendance_good.csv"] else f"listed: {listed}"
    return Result(case, "left", (0, 0, 0), frozenset(), problem)


def _drop_privileges() -> None:
    if os.geteuid() == 0:
        os.setgid(UNPRIVILEGED)
        os.setuid(UNPRIVILEGED)


def _names_in(landing: Path) -> list[str]:
    return [file.path.name for file in landed_files(landing)]


def vanishing_file(folder: Path | None) -> Result:
    """Test B79: a file that is deleted between listing and claim causes no error."""
    case = VANISHING
    with tempfile.TemporaryDirectory(prefix="student360-", dir=folder) as name:
        landing, work = Path(name) / "landing", Path(name) / "work"
        for place in (landing, work):
            make_private(place)
        (landing / case.name).write_text("Student_ID\n")
        (listed,) = landed_files(landing)
        listed.path.unlink()
        problem = "" if claim(listed, work) is None and not list(work.iterdir()) else "the file was claimed"
    return Result(case, "left", (0, 0, 0), frozenset(), problem)
