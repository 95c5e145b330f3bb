"""The raw layer: one asset per feed, which claims the feed's files and registers them in the ledger.

The work is done in `loading/receive.py`.
"""

from dagster import AssetExecutionContext, AssetsDefinition, Config, MaterializeResult, asset

from student360.contracts import Contract
from student360.loading.receive import receive
from student360.orchestration.assets.common import LANDING_FILES, OWNERS, feed_schema, files_metadata, report_files
from student360.settings import load_settings
from student360.warehouse.warehouse import Warehouse


class ReceiveConfig(Config):
    """Run config of a raw asset.

    ready: tickets of the files that the sensor found complete. If None, the asset waits for the settle time.
    """

    ready: list[str] | None = None


def raw_asset(contract: Contract) -> AssetsDefinition:
    """Return the asset raw_<feed>: claims and fingerprints the feed's files and registers them in the ledger."""

    @asset(
        name=contract.raw_asset,
        group_name="raw",
        description=f"{contract.description} The original files, registered in the ledger by content hash.",
        deps=[LANDING_FILES],
        owners=OWNERS,
        kinds={"csv", "python"},
        tags={"student360/privacy": "pii", "pii": ""},
        metadata={"dagster/column_schema": feed_schema(contract), "dagster/table_name": "ingest_file"},
        io_manager_key="claimed_files_io_manager",
    )
    def _raw(context: AssetExecutionContext, config: ReceiveConfig, warehouse: Warehouse) -> MaterializeResult:
        receive(warehouse, load_settings(), contract, context.run.run_id, config.ready)
        report_files(context, warehouse, contract.feed)
        with warehouse.reading() as tx:
            metadata = files_metadata(tx, contract.feed)
        return MaterializeResult(metadata=metadata)

    return _raw
