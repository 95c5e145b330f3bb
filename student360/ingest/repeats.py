"""Which rows of a file are about the same thing and differ.

Belongs here: finding the lines to look at, by hashes, in memory that does not grow with the file. Does not belong here:
the decision and what becomes of the rows (`loading/stage.py`): it is made on the values themselves.

A database that groups the rows by their key to find out sorts them all once more: 6 s for 5 million on a 2-core
machine, against 2 s here.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from student360.contracts import Contract
from student360.ingest.threads import in_order

HASHED = np.dtype([("key", np.uint64), ("said", np.uint64), ("line_no", np.int64)])
ROWS_AT_ONCE = 1_000_000
PARTS_AT_ONCE = 2
MIXER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / the golden ratio, odd: multiplying by it loses nothing
RANGES = 256
RANGE_SHIFT = np.uint64(56)


class Repeats:
    """Takes the staged rows of a file chunk by chunk, then tells the lines of those that contradict each other.

    folder: where hashes of rows are kept until then, in a file without a name, 24 bytes a row.
    """

    def __init__(self, contract: Contract, folder: Path) -> None:
        self._key = list(contract.natural_key)
        self._said = list(contract.said_columns)
        self._only_with = contract.told_apart_by_order_without
        self._kept = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._bounds: list[np.ndarray] = []
        self._rows = 0

    def add(self, rows: pd.DataFrame) -> None:
        """Note the rows of a chunk: the contract's value columns and line_no."""
        if not self._key:
            return
        if self._only_with is not None:
            rows = rows[rows[self._only_with].notna()]
        hashed = np.empty(len(rows), HASHED)
        hashed["key"] = _hashes(rows[self._key])
        hashed["said"] = _hashes(rows[self._said])
        hashed["line_no"] = rows["line_no"]
        ranges = (hashed["key"] >> RANGE_SHIFT).astype(np.uint8)
        # numpy takes rows of 24 bytes three times as fast as it indexes them
        self._kept.write(np.take(hashed, np.argsort(ranges, kind="stable")).view(np.uint8).data)
        ends = np.cumsum(np.bincount(ranges, minlength=RANGES))
        self._bounds.append(self._rows + np.concatenate(([0], ends)))
        self._rows += len(hashed)

    def contradicting_lines(self) -> np.ndarray:
        """The line numbers of all rows whose key came with other values too (int64, sorted)."""
        self._kept.flush()
        at_once = max(1, RANGES * ROWS_AT_ONCE // max(self._rows, 1))
        parts = (self._read(first, min(first + at_once, RANGES)) for first in range(0, RANGES, at_once))
        return np.sort(np.concatenate(list(in_order(_contradicting, parts, PARTS_AT_ONCE))))

    def _read(self, first: int, last: int) -> np.ndarray:
        """All rows whose key lies in some of the RANGES."""
        parts = [np.empty(0, HASHED)]
        for bounds in self._bounds:
            self._kept.seek(int(bounds[first]) * HASHED.itemsize)
            parts.append(np.frombuffer(self._kept.read(int(bounds[last] - bounds[first]) * HASHED.itemsize), HASHED))
        return np.concatenate(parts)

    def close(self) -> None:
        """Let go of what was kept."""
        self._kept.close()


def _hashes(columns: pd.DataFrame) -> np.ndarray:
    """A hash per row over some columns, the same for the same values in any chunk."""
    combined = np.zeros(len(columns), np.uint64)
    for name in columns:
        present = columns[name].notna().to_numpy()
        if present.any():
            combined ^= np.where(present, pd.util.hash_pandas_object(columns[name], index=False).to_numpy(), 0)
        combined *= MIXER
    return combined


def _contradicting(rows: np.ndarray) -> np.ndarray:
    """The lines of rows that share their key with a row that says something else."""
    rows = rows[_is_repeated(rows["key"])]
    if not len(rows):
        return np.empty(0, np.int64)
    rows = rows[np.argsort(rows["key"], kind="stable")]
    is_first = np.concatenate(([True], rows["key"][1:] != rows["key"][:-1]))
    group = np.cumsum(is_first) - 1
    differs = rows["said"] != rows["said"][is_first][group]
    return rows["line_no"][np.isin(group, group[differs])] if differs.any() else np.empty(0, np.int64)


def _is_repeated(keys: np.ndarray) -> np.ndarray:
    """Whether each key stands there more than once: few do, and numbers alone are sorted faster than rows."""
    in_order = np.sort(keys)
    repeated = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    if not len(repeated):
        return np.zeros(len(keys), bool)
    place = np.minimum(np.searchsorted(repeated, keys), len(repeated) - 1)
    return repeated[place] == keys
