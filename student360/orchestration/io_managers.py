"""The IO managers: pass values between assets.

They read claimed files as pandas chunks, and read and write pandas and Spark DataFrames in the warehouse. Assets that
are SQL transformations use the `Warehouse` resource directly.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
from dagster import (
    ConfigurableIOManager,
    InputContext,
    OutputContext,
    ResourceDependency,
)

from student360.contracts import contracts
from student360.loading.stage import ClaimedFiles
from student360.settings import load_settings
from student360.spark.session import Spark
from student360.warehouse.scripts import scripts
from student360.warehouse.warehouse import Warehouse


class WarehouseIOManager(ConfigurableIOManager):
    """Stores an asset's value in the table of the same name, in one transaction.

    Stores a pandas DataFrame, an iterable of them (so that memory use does not grow with the table) or a Spark
    DataFrame. Asset metadata `write_mode`: `replace` (default; readers see either the old or the new rows) or `append`.

    Loads the table as the input's metadata `load_as` requests: `pandas` (default), `pandas_batches` (an iterator) or
    `spark`. Input metadata `columns`: the columns to load, all by default.
    """

    warehouse: ResourceDependency[Warehouse]
    spark: ResourceDependency[Spark]

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        if obj is None:
            return
        table = context.asset_key.path[-1]
        written = 0
        frames = _frames(obj)
        with self.warehouse.transaction() as tx:
            if (context.definition_metadata or {}).get("write_mode", "replace") == "replace":
                tx.execute(f"DELETE FROM {scripts()[table].name}")
            for frame in frames:
                written += tx.append(table, frame)
        context.add_output_metadata({"dagster/row_count": written})

    def load_input(self, context: InputContext) -> Any:
        requested = context.definition_metadata or {}
        script = scripts()[context.asset_key.path[-1]]
        columns = requested.get("columns") or [column.name for column in script.columns]
        match requested.get("load_as", "pandas"):
            case "spark":
                return self.spark.read(self.warehouse.url, script.name, columns)
            case "pandas_batches":
                return self._pandas_batches(script.name, columns)
        batches = list(self._pandas_batches(script.name, columns))
        return pd.concat(batches, ignore_index=True)

    def _pandas_batches(self, table: str, columns: Collection[str]) -> Iterator[pd.DataFrame]:
        with self.warehouse.reading() as tx:
            for batch in tx.arrow_batches(table, columns):
                yield batch.to_pandas()


def _frames(obj: Any) -> Iterable[pd.DataFrame | pa.Table]:
    if isinstance(obj, pd.DataFrame):
        return [obj]
    if type(obj).__module__.startswith("pyspark."):
        return [obj.toArrow()]
    frames: Iterable[pd.DataFrame | pa.Table] = obj
    return frames


class ClaimedFilesIOManager(ConfigurableIOManager):
    """Loads the claimed files of a raw asset as chunks of typed rows. The files themselves are the storage."""

    warehouse: ResourceDependency[Warehouse]

    def handle_output(self, context: OutputContext, obj: None) -> None:
        """Store nothing: the raw asset has already registered the files in the ledger."""

    def load_input(self, context: InputContext) -> ClaimedFiles:
        feed = context.asset_key.path[-1].removeprefix("raw_")
        return ClaimedFiles(contracts()[feed], self.warehouse, load_settings(), context.step_context.run_id)
