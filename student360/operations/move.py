"""Copy a warehouse from one database to another, SQLite or PostgreSQL, for `python -m student360 move`.

Each table is copied and compared in one transaction, in the order of the foreign keys. If the command is killed, run it
again: tables that exist in the target are only compared. No rows are deleted in either database.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from student360.settings import warehouse_url
from student360.urls import is_postgres, login_of
from student360.warehouse.errors import WarehouseError
from student360.warehouse.scripts import Script, scripts
from student360.warehouse.transaction import Transaction, open_reading, open_writing
from student360.warehouse.warehouse import MOVING, Warehouse

NULL = "\0"
BETWEEN_CELLS = "\x1f"


class MoveProblem(Exception):
    """The move cannot start or continue. The message says why and what to do. No data was lost."""


@dataclass(frozen=True)
class Content:
    """The content of a table: the number of rows, and a hash of all rows that does not depend on their order."""

    rows: int = 0
    hash: int = 0

    def with_rows(self, batch: pa.RecordBatch) -> "Content":
        """Return this content plus the rows of a batch. Cells are hashed as text, which is equal on every engine."""
        cells = [column.cast(pa.string()) for column in batch.columns]
        lines = pc.binary_join_element_wise(*cells, BETWEEN_CELLS, null_handling="replace", null_replacement=NULL)
        hashes = pd.util.hash_array(lines.to_numpy(zero_copy_only=False), categorize=False)
        return Content(self.rows + batch.num_rows, (self.hash + int(hashes.sum(dtype=np.uint64))) % 2**64)

    def __str__(self) -> str:
        return f"{self.rows:>12,} rows  {self.hash:016x}"


def content_of(tx: Transaction, table: str) -> Content:
    """Return the content of a table, read batch by batch."""
    content = Content()
    for batch in tx.arrow_batches(table):
        content = content.with_rows(batch)
    return content


def tables() -> list[Script]:
    """Return all tables, each after those that its foreign keys refer to."""
    return [script for script in scripts().values() if not script.is_view]


def move(source_url: str, target: Warehouse, console: Console) -> int:
    """Copy all tables from the warehouse at a URL into another. Returns the number of rows in the target.

    Raises MoveProblem if there is no source warehouse, if the target contains other data, or if a copied table differs
    from its source.
    """
    source = Warehouse(url=warehouse_url(source_url))
    _check_ends(source, target)
    source.prepare()
    _begin(target, source)
    console.print(f"From {_place(source.url)}\nto   {_place(target.url)}")
    total = 0
    with open_reading(source.engine) as reading:
        for table in tables():
            with open_writing(target.engine) as writing:
                content, was_present = _copy(reading, writing, table.name)
                if content.rows:
                    writing.enforce_key(table)
                    writing.enforce_references(table)
                writing.refresh_statistics(table.name)
            total += content.rows
            done = "already present, identical" if was_present else "copied, identical"
            console.print(f"  [green]✓[/green] {table.name:<24} {content}  {done}")
    with open_writing(target.engine) as writing:
        writing.execute("DELETE FROM schema_object WHERE name = ?", (MOVING,))
    console.print(
        f"[bold]Moved:[/bold] {len(tables())} tables, {total:,} rows, all identical by row count and content hash."
    )
    return total


def _check_ends(source: Warehouse, target: Warehouse) -> None:
    if source.url == target.url:
        raise MoveProblem(
            "Source and target are the same warehouse. Set STUDENT360_WAREHOUSE_URL to the target, and pass the URL of "
            "the source as FROM."
        )
    if not is_postgres(source.url) and not Path(source.url.removeprefix("sqlite:///")).is_file():
        raise MoveProblem(f"There is no warehouse at {_place(source.url)}.")


def _begin(target: Warehouse, source: Warehouse) -> None:
    """Mark the target as incomplete, so that it cannot be used before the move is finished."""
    try:
        target.prepare()
    except WarehouseError:
        with open_reading(target.engine) as tx:
            if _moving_from(tx) != _place(source.url):
                raise
        return
    with open_writing(target.engine) as tx:
        full = [table.name for table in tables() if tx.query(f"SELECT 1 AS one FROM {table.name} LIMIT 1")]
        if full:
            raise MoveProblem(
                f"The warehouse at {_place(target.url)} is not empty ({', '.join(full[:3])}, ...). "
                "A move never overwrites data: use a new file, or set STUDENT360_WAREHOUSE_SCHEMA to a new schema."
            )
        tx.execute("INSERT INTO schema_object (name, fingerprint) VALUES (?, ?)", (MOVING, _place(source.url)))
    target.forget()


def _moving_from(tx: Transaction) -> str | None:
    place: str | None = tx.value("SELECT fingerprint FROM schema_object WHERE name = ?", (MOVING,))
    return place


def _copy(reading: Transaction, writing: Transaction, table: str) -> tuple[Content, bool]:
    """Copy a table unless the target has it already. Returns its content and whether it was in the target already."""
    present = content_of(writing, table)
    if present.rows:
        if present != content_of(reading, table):
            raise MoveProblem(
                f"{table} has changed in the source since the move began. Start again with a new file or schema."
            )
        return present, True
    sent = Content()
    for batch in _batches(reading, table):
        sent = sent.with_rows(batch)
        writing.append(table, pa.Table.from_batches([batch]))
    arrived = content_of(writing, table)
    if arrived != sent:
        raise MoveProblem(f"{table}: {sent} were sent, {arrived} arrived. The copy of this table was rolled back.")
    return arrived, False


def _batches(reading: Transaction, table: str) -> Iterator[pa.RecordBatch]:
    return (batch for batch in reading.arrow_batches(table) if batch.num_rows)


def _place(url: str) -> str:
    return f"PostgreSQL {login_of(url)}" if is_postgres(url) else url.removeprefix("sqlite:///")
