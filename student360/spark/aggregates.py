"""Run the query of an aggregate (sql/spark) on Spark DataFrames.

Contains the mapping of tables to DataFrames; not the queries (see `sql/spark/<name>.sql`) nor reading and writing. Sums
are of integers and each rate is one division, so a database computes exactly the same figures (sql/checks/agg_*.sql).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from student360.warehouse.scripts import Script, columns_named, scripts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def tables_read(script: Script) -> dict[str, list[str]]:
    """Return the tables and views that the query reads, each with the columns that it uses. Only these are exported."""
    (query,) = script.statements("query")
    read: dict[str, list[str]] = {}
    for table in sorted(script.mentions(frozenset(scripts()), "query")):
        named = columns_named(table, query)
        read[table] = [column.name for column in scripts()[table].columns if column.name in named]
    return read


def aggregate(script: Script, tables: Mapping[str, "DataFrame"]) -> "DataFrame":
    """Return the result of the query on the given tables, by name, which must be of one Spark session."""
    (query,) = script.statements("query")
    for name, rows in tables.items():
        rows.createOrReplaceTempView(name)
    return next(iter(tables.values())).sparkSession.sql(query)
