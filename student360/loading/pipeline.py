"""Run all steps from the landing folder to the risk monitor in one process, in the order of the asset graph.

Used where Dagster is not: `python -m student360 reprocess` and tests. The steps are in the other modules.
"""

from collections.abc import Collection

from student360.contracts import Contract, contracts
from student360.loading.merge import merge_feed
from student360.loading.receive import archive_finished, receive
from student360.loading.refresh import refresh_marts, refresh_reference_tables
from student360.loading.stage import ClaimedFiles
from student360.settings import Settings
from student360.warehouse.scripts import in_order
from student360.warehouse.warehouse import Warehouse


def load_all(warehouse: Warehouse, settings: Settings, run_id: str) -> None:
    """Load the files that are ready and refresh all tables, as the ingest job does."""
    for contract in contracts().values():
        receive(warehouse, settings, contract, run_id)
    load_received(warehouse, settings, run_id)
    archive_finished(warehouse, settings)


def load_received(warehouse: Warehouse, settings: Settings, run_id: str, feeds: Collection[str] | None = None) -> None:
    """Stage and merge the received files of the given feeds (all by default), then refresh the marts."""
    chosen = [contract for contract in contracts().values() if feeds is None or contract.feed in feeds]
    for contract in chosen:
        stage_feed(warehouse, contract, settings, run_id)
    loaders = {contract.loads: contract for contract in contracts().values()}
    for table in in_order("core"):
        if table.name in loaders:
            merge_feed(warehouse, loaders[table.name], settings, run_id)
        else:
            refresh_reference_tables(warehouse, [table], settings)
    refresh_marts(warehouse, in_order("marts"), settings)


def stage_feed(warehouse: Warehouse, contract: Contract, settings: Settings, run_id: str) -> None:
    """Stage the received files of a feed in one transaction."""
    with warehouse.transaction() as tx:
        for frame in ClaimedFiles(contract, warehouse, settings, run_id):
            tx.append(contract.staging_table, frame)
