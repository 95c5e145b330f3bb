"""A Spark data source that reads the warehouse over ADBC, without a JDBC driver or jar.

It splits a table into key ranges, which workers stream as Arrow batches. The workers import this module, so it must not
import Dagster.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from student360.warehouse.scripts import scripts
from student360.warehouse.transaction import engine_for, open_reading

ROWS_PER_PARTITION = 500_000
MOST_PARTITIONS = 64
SPARK_TYPES = {"integer": "bigint", "bigint": "bigint", "real": "double", "text": "string", "date": "string"}


@dataclass
class KeyRange(InputPartition):
    """Rows with first <= key < last; all rows if key is None."""

    key: str | None = None
    first: int = 0
    last: int = 0


class WarehouseReader(DataSourceReader):
    """Reads one table, with one key range per partition."""

    def __init__(self, url: str, table: str, columns: Collection[str]) -> None:
        self._url = url
        self._table = table
        self._columns = columns

    def partitions(self) -> list[KeyRange]:
        """Return ranges of the primary key's first column (days or integers) with about as many keys in each."""
        script = scripts()[self._table]
        key = script.leading_key
        if key is None:
            return [KeyRange()]
        with open_reading(engine_for(self._url)) as tx:
            rows = tx.value(script.row_count_query) or tx.count(f"SELECT COUNT(*) FROM {self._table}")
            if rows <= ROWS_PER_PARTITION:
                return [KeyRange()]
            ends = tx.query(f"SELECT MIN({key}) AS low, MAX({key}) AS high FROM {self._table}")[0]
            low, high = int(ends["low"]), int(ends["high"]) + 1
            keys: Sequence[int] = range(low, high)
            if script.is_fact and key == script.day_column:
                keys = tx.numbers(
                    f"SELECT date_key FROM dim_dates WHERE date_key >= {low} AND date_key < {high} ORDER BY 1"
                )
        step = -(-len(keys) // min(MOST_PARTITIONS, -(-rows // ROWS_PER_PARTITION)))
        firsts = [*keys[::step], high]
        return [KeyRange(key, first, last) for first, last in pairwise(firsts)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a range as Arrow batches."""
        if not isinstance(partition, KeyRange):
            raise TypeError("the partition is not a KeyRange")
        source = self._table
        if partition.key is not None:
            source += f" WHERE {partition.key} >= {partition.first:d} AND {partition.key} < {partition.last:d}"
        with open_reading(engine_for(self._url)) as tx:
            yield from tx.arrow_batches(source, self._columns)


class WarehouseSource(DataSource):
    """The data source `spark.read.format("student360").option("url", ...).option("table", ...)`.

    Option `columns`: comma-separated names; all columns by default. Only these columns are read from the warehouse.
    """

    @classmethod
    def name(cls) -> str:
        return "student360"

    def schema(self) -> str:
        """Return the selected columns and their types as a Spark DDL string."""
        columns = scripts()[self.options["table"]].columns
        named = self.options.get("columns")
        wanted = named.split(",") if named else [column.name for column in columns]
        return ", ".join(f"{c.name} {SPARK_TYPES[c.storage]}" for c in columns if c.name in wanted)

    def reader(self, schema: StructType) -> WarehouseReader:
        return WarehouseReader(self.options["url"], scripts()[self.options["table"]].name, schema.names)
