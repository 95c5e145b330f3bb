"""The Warehouse resource: when a transaction begins and ends, and the schema it finds.

Belongs here: what the assets ask of a database, whatever the engine. Does not belong here: running statements
(`transaction.py`), what only one engine does (`sqlite.py`), the ledger (`ledger.py`), SQL (`sql/`).
"""

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import pandas as pd
from dagster import ConfigurableResource, InitResourceContext

from student360.warehouse.errors import WarehouseError
from student360.warehouse.scripts import Script, scripts
from student360.warehouse.transaction import (
    Engine,
    Transaction,
    engine_for,
    open_reading,
    open_writing,
)

__all__ = ["Transaction", "Warehouse", "WarehouseError"]


# Dagster gives every asset and IO manager a copy of the resource; these are shared by the copies.
_OPEN = threading.local()
_PREPARED: set[str] = set()
_IDLE: dict[str, list[Any]] = {}
DESCRIPTIONS = "(descriptions)"
MOVING = "(moving from)"


def _joinable() -> dict[str, Transaction]:
    """The open transactions of this thread, by URL."""
    if not hasattr(_OPEN, "by_url"):
        _OPEN.by_url = {}
    by_url: dict[str, Transaction] = _OPEN.by_url
    return by_url


class Warehouse(ConfigurableResource):
    """The warehouse at a URL. `with warehouse.transaction() as tx` is the only way to write.

    A transaction opened inside another of the same thread joins it, so that a step is one unit of work.
    """

    url: str  # without a password: see student360/urls.py

    @property
    def engine(self) -> Engine:
        """The engine that the URL names."""
        return engine_for(self.url)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[Self]:
        """For the time of a run, transactions take turns on connections that stay open: to open one costs 3 ms, on
        PostgreSQL 8, and a run reads some 40 times and writes 20. Between two of them no transaction is open, and at
        the run's end no connection."""
        if self.url in _IDLE:
            yield self
            return
        _IDLE[self.url] = []
        try:
            yield self
        finally:
            for connection in _IDLE.pop(self.url):
                connection.close()

    @contextmanager
    def transaction(self, *, references_by_row: bool = True) -> Iterator[Transaction]:
        """A writing transaction: committed at the end of the block, rolled back by any exception.

        references_by_row: whether the database checks each row's references as it comes; else whoever writes does.
        """
        current = _joinable().get(self.url)
        if current is not None:
            yield current
            return
        self.prepare()
        with open_writing(self.engine, references_by_row, _IDLE.get(self.url)) as transaction:
            _joinable()[self.url] = transaction
            try:
                yield transaction
            finally:
                del _joinable()[self.url]

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A consistent view of the warehouse for reading; never waits for a writer."""
        self.prepare()
        with open_reading(self.engine, _IDLE.get(self.url)) as transaction:
            yield transaction

    def frame(self, query: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """The rows of a query as a DataFrame."""
        with self.reading() as tx:
            return tx.frame(query, parameters)

    def row_count(self, table: str) -> int:
        """How many rows a table or view has."""
        with self.reading() as tx:
            return int(tx.value(f"SELECT COUNT(*) FROM {table}"))

    def prepare(self) -> None:
        """Bring tables and views up to date with the SQL files; a few milliseconds when nothing changed.

        Views are made anew when their text changed. A table that was made by another text raises
        WarehouseError: no data is ever thrown away to fit new code.
        """
        if self.url in _PREPARED:
            return
        wanted = {name: _fingerprint(script) for name, script in scripts().items()}
        wanted[DESCRIPTIONS] = _descriptions()
        with open_reading(self.engine) as tx:
            known = _known_objects(tx)
        if known != wanted:
            with open_writing(self.engine) as tx:
                with tx.cursor() as cursor:
                    tx.engine.make_home(cursor)
                _migrate(tx, _known_objects(tx), wanted)
        _PREPARED.add(self.url)

    def forget(self) -> None:
        """Look at the tables and views again at the next use."""
        _PREPARED.discard(self.url)


def _descriptions() -> str:
    told = [(script.name, script.description, script.columns) for script in scripts().values()]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _fingerprint(script: Script) -> str:
    """A hash of a table's definition without comments. Braces are single, as when the first warehouses were made."""
    code = "".join(line.split("--")[0].strip() + "\n" for line in script.sections["schema"].splitlines())
    return hashlib.sha256(code.replace("{{ ", "{").replace(" }}", "}").encode()).hexdigest()


def _known_objects(tx: Transaction) -> dict[str, str]:
    if not tx.columns("schema_object"):
        return {}
    return {row["name"]: row["fingerprint"] for row in tx.query("SELECT name, fingerprint FROM schema_object")}


def _migrate(tx: Transaction, known: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    everything = scripts()
    if MOVING in known:
        raise WarehouseError(
            f"a move from {known[MOVING]} into this warehouse is not finished: run `python -m student360 move` again."
        )
    if not known:
        tx.execute("CREATE TABLE IF NOT EXISTS schema_object (name TEXT PRIMARY KEY NOT NULL, fingerprint TEXT)")
    changed_tables = [
        name for name in known if name in everything and known[name] != wanted[name] and not everything[name].is_view
    ]
    if changed_tables:
        raise WarehouseError(
            f"these tables were made by another version of Student 360: {', '.join(sorted(changed_tables))}. "
            "See 'Upgrading' in docs/how-to/operate.md."
        )
    for name in reversed(everything):
        if everything[name].is_view:
            tx.execute(f"DROP VIEW IF EXISTS {name}")
    for name, script in everything.items():
        if script.is_view or name not in known:
            tx.create(script)
    with tx.cursor() as cursor:
        tx.engine.describe(cursor, everything.values())
    tx.execute("DELETE FROM schema_object")
    tx.append("schema_object", pd.DataFrame({"name": list(wanted), "fingerprint": list(wanted.values())}))
