"""What all assets share: owners, tags, metadata, and the report of a file's outcome.

Belongs here: what Dagster shows of every asset. Does not belong here: what an asset does.
"""

from collections.abc import Mapping
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetSpec,
    DynamicPartitionsDefinition,
    MetadataValue,
    TableColumn,
    TableColumnDep,
    TableColumnLineage,
    TableRecord,
    TableSchema,
)

from student360.contracts import Contract, Privacy
from student360.ingest.files import now
from student360.instance.event_batches import write_what_waits
from student360.settings import load_settings
from student360.warehouse import ledger
from student360.warehouse.lineage import column_lineage
from student360.warehouse.scripts import Script, scripts
from student360.warehouse.transaction import engine_for
from student360.warehouse.warehouse import Transaction, Warehouse

OWNERS = ["team:district-data"]
LANDING_FILES = AssetKey("landing_files")
LANDING_PARTITIONS = DynamicPartitionsDefinition(name="landing_files")
SHOWN_FILES = 50

landing_files = AssetSpec(
    LANDING_FILES,
    description=(
        "CSV files as the school drops them, one partition per content (feed, effective day, start of its hash). "
        "Names stay in the warehouse's ledger, because a file name can name a person."
    ),
    group_name="raw",
    owners=OWNERS,
    kinds={"csv"},
    partitions_def=LANDING_PARTITIONS,
)


def engine_kind() -> str:
    """The kind of database that holds the tables, for the asset graph: sqlite or postgres."""
    return engine_for(load_settings().warehouse_url).name


def privacy_tags(script: Script) -> dict[str, str]:
    """Tags that say whether a table holds personal data."""
    levels = {column.privacy for column in script.columns}
    level = next((p for p in (Privacy.PII, Privacy.SENSITIVE) if p in levels), Privacy.PUBLIC)
    return {"student360/privacy": level.value} | ({"pii": ""} if level is Privacy.PII else {})


def column_schema(name: str) -> TableSchema:
    """Columns, types, descriptions and privacy tags of a table or view, for Dagster's catalog."""
    return TableSchema(
        columns=[
            TableColumn(
                name=column.name,
                type=column.storage,
                description=column.description,
                tags={"privacy": column.privacy.value},
            )
            for column in scripts()[name].columns
        ]
    )


def feed_schema(contract: Contract) -> TableSchema:
    """The columns of a feed's files, named as in the export, where the column lineage of all tables ends."""
    return TableSchema(
        columns=[
            TableColumn(c.header, type=c.kind.value, description=c.description, tags={"privacy": c.privacy.value})
            for c in contract.columns
        ]
    )


def table_lineage(name: str) -> TableColumnLineage:
    """The columns of other assets that each column of a table or view is derived from, for Dagster's catalog."""
    return TableColumnLineage(
        {
            column: [TableColumnDep(AssetKey(source.table), source.column) for source in sources]
            for column, sources in column_lineage(name).items()
        }
    )


def table_metadata(name: str) -> dict[str, Any]:
    """Definition metadata of a table's or view's asset."""
    return {
        "dagster/column_schema": column_schema(name),
        "dagster/column_lineage": table_lineage(name),
        "dagster/table_name": name,
    }


def files_metadata(tx: Transaction, feed: str) -> Mapping[str, Any]:
    """The table of a feed's newest files with their counts and outcome."""
    table = ledger.file_table(tx, feed, SHOWN_FILES)
    shown = table[["file", *ledger.COUNTS, "outcome", "reason"]]
    records = [TableRecord({str(k): v for k, v in row.items()}) for row in shown.to_dict("records")]
    return {"files": MetadataValue.table(records)} if records else {}


def report_files(context: AssetExecutionContext, warehouse: Warehouse, feed: str) -> None:
    """Show each file whose outcome is committed, once, as a materialisation of its landing_files partition.

    Two runs at once would both add the same partition, and one would fail: the warehouse's lock keeps them apart.
    """
    with warehouse.reading() as tx:
        if not ledger.unreported(tx, feed):
            return
    with warehouse.transaction() as tx:
        unreported = ledger.unreported(tx, feed)
        table = ledger.file_table(tx, limit=10_000)
        rows = table[table["claim_id"].isin(unreported)]
        context.instance.add_dynamic_partitions("landing_files", sorted(set(rows["file"])))
        for row in rows.to_dict("records"):
            shown = {name: row[name] for name in (*ledger.COUNTS, "outcome", "reason")}
            context.log_event(AssetMaterialization(LANDING_FILES, partition=row["file"], metadata=shown))
        write_what_waits(context.instance)
        ledger.note_reported(tx, rows["claim_id"], now().isoformat())
