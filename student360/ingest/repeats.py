"""Detection of rows of a file that have the same natural key and different values.

Candidate lines are found by hashes, with memory use that does not grow with the file. `loading/stage.py` then compares
the values themselves and decides what happens to the rows. Grouping the rows by key in the database would sort them
again: 6 s for 5 million rows on a 2-core machine, compared with 2 s here.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from student360.contracts import Contract
from student360.ingest.threads import in_order

HASHED = np.dtype([("key", np.uint64), ("values", np.uint64), ("line_no", np.int64)])
ROWS_AT_ONCE = 1_000_000
PARTS_AT_ONCE = 2
MIXER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / the golden ratio; odd, so multiplication modulo 2**64 is injective
RANGES = 256
RANGE_SHIFT = np.uint64(56)


class Repeats:
    """Collects hashes of a file's staged rows chunk by chunk, then returns the lines of rows that may conflict.

    folder: where the hashes are stored, in an unnamed temporary file of 24 bytes per row.
    """

    def __init__(self, contract: Contract, folder: Path) -> None:
        self._key = list(contract.natural_key)
        self._values = list(contract.said_columns)
        self._only_with = contract.told_apart_by_order_without
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._bounds: list[np.ndarray] = []
        self._rows = 0

    def add(self, rows: pd.DataFrame) -> None:
        """Add the rows of a chunk: the contract's value columns and line_no."""
        if not self._key:
            return
        if self._only_with is not None:
            rows = rows[rows[self._only_with].notna()]
        hashed = np.empty(len(rows), HASHED)
        hashed["key"] = _hashes(rows[self._key])
        hashed["values"] = _hashes(rows[self._values])
        hashed["line_no"] = rows["line_no"]
        ranges = (hashed["key"] >> RANGE_SHIFT).astype(np.uint8)
        # np.take is three times as fast as indexing for rows of 24 bytes.
        self._file.write(np.take(hashed, np.argsort(ranges, kind="stable")).view(np.uint8).data)
        ends = np.cumsum(np.bincount(ranges, minlength=RANGES))
        self._bounds.append(self._rows + np.concatenate(([0], ends)))
        self._rows += len(hashed)

    def contradicting_lines(self) -> np.ndarray:
        """Return the line numbers of all rows that share their key with a row of other values (int64, sorted)."""
        self._file.flush()
        at_once = max(1, RANGES * ROWS_AT_ONCE // max(self._rows, 1))
        parts = (self._read(first, min(first + at_once, RANGES)) for first in range(0, RANGES, at_once))
        return np.sort(np.concatenate(list(in_order(_contradicting, parts, PARTS_AT_ONCE))))

    def _read(self, first: int, last: int) -> np.ndarray:
        """Return all rows whose key is in the RANGES from first up to, but not including, last."""
        parts = [np.empty(0, HASHED)]
        for bounds in self._bounds:
            self._file.seek(int(bounds[first]) * HASHED.itemsize)
            parts.append(np.frombuffer(self._file.read(int(bounds[last] - bounds[first]) * HASHED.itemsize), HASHED))
        return np.concatenate(parts)

    def close(self) -> None:
        """Close and thereby delete the temporary file."""
        self._file.close()


def _hashes(columns: pd.DataFrame) -> np.ndarray:
    """Return a hash per row over all columns. Equal values have equal hashes in every chunk."""
    combined = np.zeros(len(columns), np.uint64)
    for name in columns:
        present = columns[name].notna().to_numpy()
        if present.any():
            combined ^= np.where(present, pd.util.hash_pandas_object(columns[name], index=False).to_numpy(), 0)
        combined *= MIXER
    return combined


def _contradicting(rows: np.ndarray) -> np.ndarray:
    """Return the line numbers of rows that share their key with a row of other values."""
    rows = rows[_is_repeated(rows["key"])]
    if not len(rows):
        return np.empty(0, np.int64)
    rows = rows[np.argsort(rows["key"], kind="stable")]
    is_first = np.concatenate(([True], rows["key"][1:] != rows["key"][:-1]))
    group = np.cumsum(is_first) - 1
    differs = rows["values"] != rows["values"][is_first][group]
    return rows["line_no"][np.isin(group, group[differs])] if differs.any() else np.empty(0, np.int64)


def _is_repeated(keys: np.ndarray) -> np.ndarray:
    """Return for each key whether it occurs more than once. Sorting only the keys is faster than sorting the rows."""
    in_order = np.sort(keys)
    repeated = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    if not len(repeated):
        return np.zeros(len(keys), bool)
    place = np.minimum(np.searchsorted(repeated, keys), len(repeated) - 1)
    return repeated[place] == keys
