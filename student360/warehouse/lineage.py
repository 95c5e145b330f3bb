"""Column lineage: which columns of other assets, and which columns of the feeds, a column's value is derived from.

The lineage is read from sql/column_lineage.json, which `make docs` writes: parsing all SQL files takes 3 seconds, and
every run process imports the definitions. What counts as lineage: `student360_tests/site/column_lineage.py`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from student360.contracts import contracts
from student360.settings import SQL

LINEAGE_FILE = SQL / "column_lineage.json"


@dataclass(frozen=True, order=True)
class Source:
    """A column of an asset: of a table, a view, or the files of a feed (raw_<feed>, named as in the export)."""

    table: str
    column: str


@dataclass(frozen=True, order=True)
class Dependency(Source):
    """A column that another one is derived from. row_kind: only rows with this `indicator` are used; empty for all."""

    row_kind: str = ""

    def __str__(self) -> str:
        return f"{self.table}.{self.column}{self.row_kind and '?'}{self.row_kind}"

    @classmethod
    def parse(cls, text: str) -> "Dependency":
        """Parse the result of str()."""
        source, _, row_kind = text.partition("?")
        table, _, column = source.partition(".")
        return cls(table, column, row_kind)


def column_lineage(name: str) -> Mapping[str, tuple[Source, ...]]:
    """Return the columns of other assets that each documented column of a table or view is derived from directly.

    The sources are sorted. A column without sources (a literal, a count of rows, a value of a reference file) has an
    empty tuple. Tables of the ledger are not assets: the result for them is empty.
    """
    return {
        column: tuple(sorted({Source(d.table, d.column) for d in found}))
        for column, found in _dependencies().get(name, {}).items()
    }


def feed_columns(name: str, column: str) -> tuple[Source, ...]:
    """Return the columns of the feeds that a column is derived from, directly or through other assets, sorted.

    The risk measures are rows of one table, distinguished by `indicator`. A value computed from the rows of one
    indicator is traced through those rows only.
    """
    raw = {contract.raw_asset for contract in contracts().values()}
    every = _with_dependencies(Dependency(name, column), set())
    return tuple(sorted({Source(d.table, d.column) for d in every if d.table in raw}))


def _with_dependencies(start: Dependency, seen: set[Dependency]) -> Iterator[Dependency]:
    seen.add(start)
    yield start
    for found in _dependencies().get(start.table, {}).get(start.column, ()):
        if start.row_kind and found.row_kind and start.row_kind != found.row_kind:
            continue
        following = Dependency(found.table, found.column, found.row_kind or start.row_kind)
        if following not in seen:
            yield from _with_dependencies(following, seen)


@cache
def _dependencies() -> Mapping[str, Mapping[str, tuple[Dependency, ...]]]:
    written = json.loads(LINEAGE_FILE.read_text(encoding="utf-8"))
    return {
        table: {column: tuple(map(Dependency.parse, text.split())) for column, text in columns.items()}
        for table, columns in written.items()
    }
