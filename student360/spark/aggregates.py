"""Run the query of an aggregate (sql/spark) on Spark DataFrames.

Contains how a query finds its tables; not what is computed (`sql/spark/<name>.sql`) nor reading and writing. Sums are
of integers and each rate is one division: a database computes the same figures to the last bit (sql/checks/agg_*.sql).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from student360.warehouse.scripts import Script, columns_named, scripts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def tables_read(script: Script) -> dict[str, list[str]]:
    """The tables and views that the query reads, each with the columns that it names. No others leave the warehouse."""
    (query,) = script.statements("query")
    read: dict[str, list[str]] = {}
    for table in sorted(script.mentions(frozenset(scripts()), "query")):
        named = columns_named(table, query)
        read[table] = [column.name for column in scripts()[table].columns if column.name in named]
    return read


def aggregate(script: Script, tables: Mapping[str, "DataFrame"]) -> "DataFrame":
    """What the query says of the given tables, by name; all of one Spark session."""
    (query,) = script.statements("query")
    for name, rows in tables.items():
        rows.createOrReplaceTempView(name)
    return next(iter(tables.values())).sparkSession.sql(query)
