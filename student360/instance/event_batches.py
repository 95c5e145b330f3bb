"""Dagster's events of a step, written together.

Belongs here: which events wait for others of their step, and how many are written at once. Does not belong here: what
an event is and which tables know of it: that is Dagster's, whose own storage reads what is written here.

A step of twenty assets tells of some fifty events within a tenth of a second. Written one by one they were a third of
the time in steps of a run that has nothing to do. Outputs, materialisations and results of checks wait for the end of
their step, or for anything else that their process has to say or asks of the log, whichever comes first. So a step's
begin and end, a line of progress and an error are there at once. A process that is killed takes with it what waits: a
step that has not ended, which is run again. Who is about to note elsewhere that something was told writes it first.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from dagster import AssetKey, DagsterEventType, DagsterInstance
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.base import AssetRecord
from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageTable
from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

PLANNED_TOGETHER = 500
OF_ASSETS = {DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED}
OF_CHECKS = {DagsterEventType.ASSET_CHECK_EVALUATION, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED}
WAIT_FOR_OTHERS = {
    DagsterEventType.STEP_INPUT,
    DagsterEventType.STEP_OUTPUT,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_CHECK_EVALUATION,
}
UPSERT: Mapping[str, Callable[[Table], Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
TOGETHER = OF_ASSETS | OF_CHECKS | WAIT_FOR_OTHERS | {DagsterEventType.STEP_SUCCESS}


def write_what_waits(instance: DagsterInstance) -> None:
    """Have the event log written up to here, whether it is one that lets events wait or another."""
    log = instance.event_log_storage
    if isinstance(log, WritesStepsTogether):
        log.write_what_waits()


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class WritesStepsTogether(SqlEventLogStorage):
    """An event log that writes the events of a step with few statements; whoever reads through it reads all of them."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self._waiting: list[EventLogEntry] = []
        super().__init__(*arguments, **more)  # type: ignore[no-untyped-call]
        # Dagster's own switch: what a run plans to do comes to `store_event_batch` together.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(PLANNED_TOGETHER))

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event, with those that wait; or let it wait, when it is one of a step that goes on.

        A step goes on in the main thread of its process; what any other thread says is stored at once.
        """
        type_ = event.dagster_event_type if event.is_dagster_event else None
        is_of_a_step = event.run_id and event.step_key and _on_main_thread()
        if is_of_a_step and type_ in WAIT_FOR_OTHERS:
            self._waiting.append(event)
        elif is_of_a_step and type_ is DagsterEventType.STEP_SUCCESS:
            self.store_event_batch([*self._taken(), event])
        else:
            self.write_what_waits()
            super().store_event(event)

    def write_what_waits(self) -> None:
        """Write what the main thread has said; called before it reads anything."""
        if self._waiting and _on_main_thread():
            self.store_event_batch(self._taken())

    def dispose(self) -> None:
        """Write what waits, and close."""
        self.write_what_waits()
        super().dispose()

    def _taken(self) -> list[EventLogEntry]:
        events, self._waiting = self._waiting, []
        return events

    def get_asset_records(self, asset_keys: Sequence[AssetKey] | None = None) -> Sequence[AssetRecord]:
        """What is known of assets. Results of checks, each of which asks for its asset, are no part of it and wait."""
        if not _on_main_thread() or any(event.dagster_event_type in OF_ASSETS for event in self._waiting):
            return super().get_asset_records(asset_keys)
        events = self._taken()
        try:
            return super().get_asset_records(asset_keys)
        finally:
            self._waiting = events

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of steps: the rows that `store_event` would write for each, with a statement for all."""
        if any(event.dagster_event_type not in TOGETHER for event in events):
            super().store_event_batch(events)
            return
        for run_id, of_run in groupby(events, lambda event: event.run_id):
            told = list(of_run)
            if self.is_run_sharded:
                with self.run_connection(run_id) as connection:
                    self._insert(connection, told)
                told = [event for event in told if event.dagster_event_type in OF_ASSETS | OF_CHECKS]
                if not told:
                    continue
            with self.index_connection() as connection:
                stored = list(zip(self._insert(connection, told), told, strict=True))
            for kind in OF_ASSETS:
                self._tell_assets([(id_, event) for id_, event in stored if event.dagster_event_type is kind])
            for id_, event in stored:
                if event.dagster_event_type in OF_CHECKS:
                    self.store_asset_check_event(event, id_)

    def _insert(self, connection: Connection, events: Sequence[EventLogEntry]) -> list[int]:
        ids = SqlEventLogStorageTable.insert().returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
        return list(connection.execute(ids, [self._event_to_row(event) for event in events]).scalars())

    def _tell_assets(self, stored: Sequence[tuple[int, EventLogEntry]]) -> None:
        """Bring the assets' own rows up to date with the last of some events of one kind, and their tags.

        In the order of their keys, as Dagster does: two processes that lock the same rows do not wait for each other.
        """
        if not stored:
            return
        has_columns = self.has_asset_key_index_cols()
        told = {_asset(event): self._get_asset_entry_values(event, id_, has_columns) for id_, event in stored}
        with self.index_transaction() as connection:
            self._store_asset_event_tags(connection, [event for _, event in stored], [id_ for id_, _ in stored])
            upsert = UPSERT[connection.dialect.name](AssetKeyTable)
            new = {name: upsert.excluded[name] for name in next(iter(told.values()))}
            connection.execute(
                upsert.on_conflict_do_update(index_elements=[AssetKeyTable.c.asset_key], set_=new),
                [{AssetKeyTable.c.asset_key.name: asset, **told[asset]} for asset in sorted(told)],
            )


def _asset(event: EventLogEntry) -> str:
    key = event.get_dagster_event().asset_key
    assert key is not None
    return key.to_string()
