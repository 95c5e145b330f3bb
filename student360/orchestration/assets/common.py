"""Owners, tags and metadata shared by all assets, and the reporting of file outcomes to Dagster."""

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
        "CSV files as sent by the school, one partition per content (feed, effective day, prefix of its hash). File "
        "names are only in the ledger of the warehouse, because a file name can contain a person's name."
    ),
    group_name="raw",
    owners=OWNERS,
    kinds={"csv"},
    partitions_def=LANDING_PARTITIONS,
)


def engine_kind() -> str:
    """Return the kind of the warehouse database for the asset graph: sqlite or postgres."""
    return engine_for(load_settings().warehouse_url).name


def privacy_tags(script: Script) -> dict[str, str]:
    """Return the tags for the highest privacy level of a table's columns."""
    levels = {column.privacy for column in script.columns}
    level = next((p for p in (Privacy.PII, Privacy.SENSITIVE) if p in levels), Privacy.PUBLIC)
    return {"student360/privacy": level.value} | ({"pii": ""} if level is Privacy.PII else {})


def column_schema(name: str) -> TableSchema:
    """Return columns, types, descriptions and privacy tags of a table or view, for Dagster's catalog."""
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
    """Return the columns of a feed's files, named as in the export. The column lineage of all tables ends at them."""
    return TableSchema(
        columns=[
            TableColumn(c.header, type=c.kind.value, description=c.description, tags={"privacy": c.privacy.value})
            for c in contract.columns
        ]
    )


def table_lineage(name: str) -> TableColumnLineage:
    """Return the columns of other assets that each column of a table is derived from, for Dagster's catalog."""
    return TableColumnLineage(
        {
            column: [TableColumnDep(AssetKey(source.table), source.column) for source in sources]
            for column, sources in column_lineage(name).items()
        }
    )


def table_metadata(name: str) -> dict[str, Any]:
    """Return the definition metadata of a table's or view's asset."""
    return {
        "dagster/column_schema": column_schema(name),
        "dagster/column_lineage": table_lineage(name),
        "dagster/table_name": name,
    }


def files_metadata(tx: Transaction, feed: str) -> Mapping[str, Any]:
    """Return a table of a feed's newest files with their row counts and outcomes, as asset metadata."""
    table = ledger.file_table(tx, feed, SHOWN_FILES)
    shown = table[["file", *ledger.COUNTS, "outcome", "reason"]]
    records = [TableRecord({str(k): v for k, v in row.items()}) for row in shown.to_dict("records")]
    return {"files": MetadataValue.table(records)} if records else {}


def report_files(context: AssetExecutionContext, warehouse: Warehouse, feed: str) -> None:
    """Report each file with a committed outcome once, as a materialization of its landing_files partition.

    The warehouse transaction serializes concurrent runs; otherwise two runs could add the same partition, and one of
    them would fail.
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
        ledger.note_reported(tx, rows["claim_id"], now().isoformat())
