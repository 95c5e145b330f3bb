"""A Spark data source that reads the warehouse over ADBC: no JDBC driver, no jar.

Belongs here: splitting a table into key ranges and streaming each as Arrow batches from a worker. Does not belong
here: anything of Dagster; workers import this module.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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
    """Rows with first <= key < last; everything where there is no key."""

    key: str | None = None
    first: int = 0
    last: int = 0


class WarehouseReader(DataSourceReader):
    """Reads one table, a key range per partition."""

    def __init__(self, url: str, table: str, key: str | None) -> None:
        self._url = url
        self._table = table
        self._key = key

    def partitions(self) -> list[KeyRange]:
        """Ranges of about equal width of the first column of the primary key."""
        if self._key is None:
            return [KeyRange()]
        with open_reading(engine_for(self._url)) as tx:
            size = tx.query(
                f"SELECT COUNT(*) AS rows, MIN({self._key}) AS low, MAX({self._key}) AS high FROM {self._table}"
            )[0]
        if size["rows"] <= ROWS_PER_PARTITION:
            return [KeyRange()]
        low, high = int(size["low"]), int(size["high"]) + 1
        step = -(-(high - low) // min(MOST_PARTITIONS, -(-size["rows"] // ROWS_PER_PARTITION)))
        return [KeyRange(self._key, first, first + step) for first in range(low, high, step)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of a range as Arrow batches."""
        if not isinstance(partition, KeyRange):
            raise TypeError("not one of our key ranges")
        source = self._table
        if partition.key is not None:
            source += f" WHERE {partition.key} >= {partition.first:d} AND {partition.key} < {partition.last:d}"
        with open_reading(engine_for(self._url)) as tx:
            yield from tx.arrow_batches(source)


class WarehouseSource(DataSource):
    """`spark.read.format("student360").option("url", ...).option("table", ...)`."""

    @classmethod
    def name(cls) -> str:
        return "student360"

    def schema(self) -> str:
        """Column names and types as the warehouse declares them."""
        columns = scripts()[self.options["table"]].columns
        return ", ".join(f"{column.name} {SPARK_TYPES[column.storage]}" for column in columns)

    def reader(self, schema: StructType) -> WarehouseReader:
        table = scripts()[self.options["table"]]
        return WarehouseReader(self.options["url"], table.name, table.leading_key)
