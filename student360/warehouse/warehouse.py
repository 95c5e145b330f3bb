"""The Warehouse resource: opens transactions and keeps the schema up to date.

Contains the engine-neutral interface of the assets to the database; not how statements are run (see `transaction.py`),
what is specific to an engine (see `sqlite.py`, `postgres.py`), the ledger (see `ledger.py`) nor SQL (see `sql/`).
"""

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import pandas as pd
from dagster import ConfigurableResource, DagsterInstance, InitResourceContext

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


# Dagster copies the resource for every asset and IO manager; the copies share these.
_OPEN = threading.local()
_PREPARED: set[str] = set()
_IDLE: dict[str, list[Any]] = {}
DESCRIPTIONS = "(descriptions)"
MOVING = "(moving from)"
DAGSTER_STATEMENT_MS = 600_000


def keep_connections_open(instance: DagsterInstance) -> None:
    """Let Dagster's own storage on PostgreSQL keep its connection, as its webserver does; nothing to do for SQLite.

    Otherwise it opens one for each of the several statements that an event takes.
    """
    instance.optimize_for_webserver(statement_timeout=DAGSTER_STATEMENT_MS, pool_recycle=3600, max_overflow=20)


def _joinable() -> dict[str, Transaction]:
    """Return the open transactions of this thread, by URL."""
    if not hasattr(_OPEN, "by_url"):
        _OPEN.by_url = {}
    by_url: dict[str, Transaction] = _OPEN.by_url
    return by_url


class Warehouse(ConfigurableResource):
    """The warehouse at a URL. `with warehouse.transaction() as tx` is the only way to write.

    A transaction opened inside another one of the same thread joins it, so that a step is one transaction.
    """

    url: str  # without a password: see student360/urls.py

    @property
    def engine(self) -> Engine:
        """The database engine of the URL."""
        return engine_for(self.url)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[Self]:
        """Keep connections open for the duration of a run and reuse them for its transactions.

        Opening a connection takes 3 ms (8 ms on PostgreSQL), and a run has about 40 reading and 20 writing
        transactions. No transaction stays open between them, and no connection after the run.
        """
        if self.url in _IDLE:
            yield self
            return
        _IDLE[self.url] = []
        if context.instance is not None:
            keep_connections_open(context.instance)
        try:
            yield self
        finally:
            for connection in _IDLE.pop(self.url):
                connection.close()

    @contextmanager
    def transaction(self, *, references_by_row: bool = True) -> Iterator[Transaction]:
        """Open a writing transaction: committed at the end of the block, rolled back on any exception.

        references_by_row: whether the database checks foreign keys for each row; otherwise the caller checks them.
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
        """Open a transaction that sees one snapshot of the warehouse; never waits for a writer."""
        self.prepare()
        with open_reading(self.engine, _IDLE.get(self.url)) as transaction:
            yield transaction

    def frame(self, query: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """Return the rows of a query as a DataFrame."""
        with self.reading() as tx:
            return tx.frame(query, parameters)

    def row_count(self, table: str) -> int:
        """Return the number of rows of a table or view."""
        with self.reading() as tx:
            return int(tx.value(f"SELECT COUNT(*) FROM {table}"))

    def prepare(self) -> None:
        """Bring tables and views up to date with the SQL files. Takes a few milliseconds if nothing changed.

        If anything changed, all views are created again. Raises WarehouseError if the definition of an existing table
        changed, because data is never deleted to fit new code.
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
        """Check the tables and views again at the next use."""
        _PREPARED.discard(self.url)


def _descriptions() -> str:
    documented = [(script.name, script.description, script.columns) for script in scripts().values()]
    return hashlib.sha256(repr(documented).encode()).hexdigest()


def _fingerprint(script: Script) -> str:
    """Return a hash of a table's or view's definition without comments.

    Double braces are replaced by single ones, which the SQL files had when the first warehouses were created.
    """
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
            f"the move from {known[MOVING]} to this warehouse is not finished: run `python -m student360 move` again."
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
