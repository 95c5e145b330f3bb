"""Run queries on many rows with DuckDB, which is faster at this than the warehouse's database.

Contains the memory limit, the folder for temporary files and the input tables; not the queries (see `sql/`: the same
text that the database runs) nor the choice between database and DuckDB (see the callers).
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
def duckdb_connection(folder: Path, memory: str, threads: int) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Open an empty in-memory DuckDB with integer division, as in the warehouse.

    folder: for temporary files that do not fit into memory; created private. Raises WarehouseError for any error of
    DuckDB, with only the error's type, because its messages quote values.
    """
    import duckdb

    make_private(folder)
    with TemporaryDirectory(dir=folder) as temporary:
        try:
            with duckdb.connect(
                config={"temp_directory": temporary, "memory_limit": memory, "threads": threads}
            ) as connection:
                connection.execute("SET preserve_insertion_order = false")
                connection.execute("SET integer_division = true")
                yield connection
        except duckdb.Error as error:
            raise WarehouseError(f"DuckDB failed: {type(error).__name__}") from None


def rows_read(tx: Transaction, source: str, query: str) -> pa.Table:
    """Return a table, or '<table> WHERE ...', with only the columns that a query names (see `columns_named`)."""
    return tx.arrow_table(source, columns_named(source.split(maxsplit=1)[0], query))


def computed_by_duckdb(
    statements: Sequence[str], folder: Path, memory: str, tables: Mapping[str, pa.Table]
) -> pa.Table:
    """Run statements on the given tables with DuckDB in one thread. Return the result of the last, a query.

    Raises WarehouseError.
    """
    with duckdb_connection(folder, memory, threads=1) as connection:
        for name, rows in tables.items():
            connection.register(name, rows)
        *before, query = statements
        for statement in before:
            connection.execute(statement)
        return connection.sql(query).to_arrow_table()
