"""DuckDB beside the warehouse: for what is computed from very many rows at once, where it is the faster one.

Belongs here: how much memory it may take, and where the rest lies meanwhile. Does not belong here: what it computes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from student360.ingest.files import make_private
from student360.warehouse.errors import WarehouseError

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
