"""DuckDB beside the warehouse: for what is computed from very many rows at once, where it is the faster one.

Belongs here: how much memory it may take, where the rest lies meanwhile, what it reads. Does not belong here: what it
computes (the SQL files, the same text that the database runs), when that pays.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa

from student360.ingest.files import make_private
from student360.warehouse.errors import WarehouseError
from student360.warehouse.scripts import columns_named
from student360.warehouse.transaction import Transaction

if TYPE_CHECKING:
    import duckdb


@contextmanager
def duckdb_beside(folder: Path, memory: str, threads: int) -> Iterator["duckdb.DuckDBPyConnection"]:
    """An empty DuckDB, in which whole numbers divide without rest, as in the warehouse.

    folder: a private one, where what does not fit its memory lies meanwhile. Raises WarehouseError for any error of
    DuckDB, by its kind alone: it quotes values.
    """
    import duckdb

    make_private(folder)
    with TemporaryDirectory(dir=folder) as aside:
        try:
            with duckdb.connect(
                config={"temp_directory": aside, "memory_limit": memory, "threads": threads}
            ) as connection:
                connection.execute("SET preserve_insertion_order = false")
                connection.execute("SET integer_division = true")
                yield connection
        except duckdb.Error as error:
            raise WarehouseError(f"DuckDB, which computes from many rows: {type(error).__name__}") from None


def rows_read(tx: Transaction, source: str, query: str) -> pa.Table:
    """A table, or '<table> WHERE ...', with those of its columns that a query names, by an alias where it has one."""
    return tx.arrow_table(source, columns_named(source.split(maxsplit=1)[0], query))


def computed_beside(statements: Sequence[str], folder: Path, memory: str, tables: Mapping[str, pa.Table]) -> pa.Table:
    """What the last of some statements gives, computed by DuckDB with one thread from tables alone.

    Raises WarehouseError.
    """
    with duckdb_beside(folder, memory, threads=1) as connection:
        for name, rows in tables.items():
            connection.register(name, rows)
        *before, query = statements
        for statement in before:
            connection.execute(statement)
        return connection.sql(query).to_arrow_table()
