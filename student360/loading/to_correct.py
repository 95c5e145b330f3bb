"""Write rejected rows to a CSV that a person corrects and drops into landing.

Contains the writing of this file; not its reading (see `ingest/reader.py`, `loading/stage.py`).
"""

import csv
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from student360.contracts import Contract
from student360.ingest.clean import NUMBER
from student360.ingest.files import make_private, open_regular
from student360.ingest.headers import normalised
from student360.ingest.reader import CORRECTION_OF, WHAT_IS_WRONG, StrictCsv

COLUMNS = ("Correction_of", "What_is_wrong")
FORMULA = re.compile(r"^[=+\-@\t\r]")


def write_to_correct(
    source: Path, target: Path, contract: Contract, sha256: str, wrong: Mapping[int, str], whole: bool
) -> None:
    """Write the rejected rows of a file, with their original cells, a reference and the reasons, to a new CSV.

    wrong: the reasons by line. whole: include the valid rows, because no row of the file was loaded. A cell that a
    spreadsheet would read as a formula is prefixed with an apostrophe (CWE-1236), which is removed when the file is
    loaded. The file is accessible only to its owner and replaces an older one in a single rename.
    """
    make_private(target.parent)
    part = target.with_suffix(f".{os.getpid()}.part")  # two runs may write the same file at once
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open_regular(source) as stream, os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="") as out:
        reader = StrictCsv(stream, contract)
        rows = reader.rows_as_they_came(None if whole else wrong.keys())
        _, header = next(rows)
        ours = [position for position, cell in enumerate(header) if normalised(cell) in (CORRECTION_OF, WHAT_IS_WRONG)]
        writer = csv.writer(out, delimiter=reader.header.delimiter)
        writer.writerow([*COLUMNS, *_without(header, ours)])
        for line, cells in rows:
            reference = f"{sha256[:8]}-{line}" if line in wrong else ""
            writer.writerow([reference, wrong.get(line, ""), *_guarded(_without(cells, ours))])
        out.flush()
        os.fsync(out.fileno())
    part.rename(target)


def _without(cells: list[str], positions: list[int]) -> list[str]:
    return [cell for position, cell in enumerate(cells) if position not in positions]


def _guarded(cells: Iterable[str]) -> list[str]:
    return [f"'{cell}" if FORMULA.match(cell) and not re.match(NUMBER, cell) else cell for cell in cells]
