"""Moving house: a whole warehouse from one database into another, SQLite or PostgreSQL, checked table by table.

Belongs here: `python -m student360 move`. Does not belong here: anything that a warehouse does every day.

Each table is copied and compared in one transaction, in the order of its references. Killed anywhere, the command is
run again: tables that are there already are compared and left alone. Nothing is ever deleted, on either side.
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
    """The move cannot begin or go on; says why and what to do. Nothing was lost."""


@dataclass(frozen=True)
class Content:
    """What a table holds: how many rows, and a hash of all of them that does not depend on their order."""

    rows: int = 0
    hash: int = 0

    def with_rows(self, batch: pa.RecordBatch) -> "Content":
        """This content and the rows of a batch. Equal cells are equal text on every engine."""
        cells = [column.cast(pa.string()) for column in batch.columns]
        lines = pc.binary_join_element_wise(*cells, BETWEEN_CELLS, null_handling="replace", null_replacement=NULL)
        hashes = pd.util.hash_array(lines.to_numpy(zero_copy_only=False), categorize=False)
        return Content(self.rows + batch.num_rows, (self.hash + int(hashes.sum(dtype=np.uint64))) % 2**64)

    def __str__(self) -> str:
        return f"{self.rows:>12,} rows  {self.hash:016x}"


def content_of(tx: Transaction, table: str) -> Content:
    """What a table holds, read batch by batch."""
    content = Content()
    for batch in tx.arrow_batches(table):
        content = content.with_rows(batch)
    return content


def tables() -> list[Script]:
    """All tables, each after those that it refers to."""
    return [script for script in scripts().values() if not script.is_view]


def move(source_url: str, target: Warehouse, console: Console) -> int:
    """Copy everything from the warehouse at a URL into another. Returns the number of rows that are there now.

    Raises MoveProblem when there is nothing to move, when the target holds something else, and when what arrived
    is not what was sent.
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
                content, was_there = _copy(reading, writing, table.name)
                if content.rows:
                    writing.enforce_key(table)
                    writing.enforce_references(table)
                writing.refresh_statistics(table.name)
            total += content.rows
            done = "was there, equal" if was_there else "copied, equal"
            console.print(f"  [green]✓[/green] {table.name:<24} {content}  {done}")
    with open_writing(target.engine) as writing:
        writing.execute("DELETE FROM schema_object WHERE name = ?", (MOVING,))
    console.print(f"[bold]Moved:[/bold] {len(tables())} tables, {total:,} rows, all equal by count and content.")
    return total


def _check_ends(source: Warehouse, target: Warehouse) -> None:
    if source.url == target.url:
        raise MoveProblem(
            "Both ends are the same warehouse. Set STUDENT360_WAREHOUSE_URL to where you move to, and give the place "
            "that you come from as FROM."
        )
    if not is_postgres(source.url) and not Path(source.url.removeprefix("sqlite:///")).is_file():
        raise MoveProblem(f"There is no warehouse at {_place(source.url)}.")


def _begin(target: Warehouse, source: Warehouse) -> None:
    """Mark the target as unfinished, so that nobody works with half a warehouse."""
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
                "A move never overwrites: give it a new file, or a new schema in STUDENT360_WAREHOUSE_SCHEMA."
            )
        tx.execute("INSERT INTO schema_object (name, fingerprint) VALUES (?, ?)", (MOVING, _place(source.url)))
    target.forget()


def _moving_from(tx: Transaction) -> str | None:
    place: str | None = tx.value("SELECT fingerprint FROM schema_object WHERE name = ?", (MOVING,))
    return place


def _copy(reading: Transaction, writing: Transaction, table: str) -> tuple[Content, bool]:
    there = content_of(writing, table)
    if there.rows:
        if there != content_of(reading, table):
            raise MoveProblem(
                f"{table} has changed at its old place since the move began. Start again into a new file or schema."
            )
        return there, True
    sent = Content()
    for batch in _batches(reading, table):
        sent = sent.with_rows(batch)
        writing.append(table, pa.Table.from_batches([batch]))
    arrived = content_of(writing, table)
    if arrived != sent:
        raise MoveProblem(f"{table}: {sent} were sent, {arrived} arrived. Nothing of this table was kept.")
    return arrived, False


def _batches(reading: Transaction, table: str) -> Iterator[pa.RecordBatch]:
    return (batch for batch in reading.arrow_batches(table) if batch.num_rows)


def _place(url: str) -> str:
    return f"PostgreSQL {login_of(url)}" if is_postgres(url) else url.removeprefix("sqlite:///")
