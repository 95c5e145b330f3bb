"""Compute the monthly attendance of many students with DuckDB, part by part, for example after a file of several years.

Contains the choice between database and DuckDB, and the division into parts; not how a month is computed (see the
section `query` of sql/marts/student_attendance_month.sql, the same text that the database runs).

The database looks up each fact by day and student, which is fast for a day's file. For the 5 million facts of a term on
SQLite this takes 33 s; reading them in storage order and computing with DuckDB takes 12 s.
"""

import logging
import math
from collections.abc import Iterator
from functools import partial

import pyarrow as pa

from student360.crash_points import CrashPoint, passing
from student360.ingest.threads import in_order
from student360.loading.bulk_duckdb import computed_by_duckdb, rows_read
from student360.loading.memory import give_back
from student360.settings import Settings
from student360.warehouse.scripts import Script, scripts, sql_file
from student360.warehouse.transaction import Transaction

MANY_MONTHS = 100_000
FACTS_AT_ONCE = 500_000
PARTS_AT_ONCE = 2
MEMORY = "100MB"
log = logging.getLogger(__name__)

Tables = dict[str, pa.Table]


def refresh_months(tx: Transaction, months: Script, settings: Settings) -> None:
    """Compute the months of students that a load touched: with the database, or with DuckDB if there are many."""
    bulk = sql_file("bulk", months.name)
    tx.run(months, "choose_months")
    if tx.count(bulk.statements("many")[0]) < MANY_MONTHS:
        tx.run(months, "count")
    else:
        tx.run(bulk, "recount_all")
        counted = partial(computed_by_duckdb, months.statements("query"), settings.staged, MEMORY)
        for rows in in_order(counted, _parts(tx, months, bulk), PARTS_AT_ONCE):
            tx.append("counted_in_parts", rows, copy_of=months.name)
            passing(CrashPoint.MID_LOAD)
        give_back()
        tx.run(bulk, "add_parts")
        tx.refresh_statistics(months.name)
    tx.run(months, "carry_forward")
    tx.run(months, "clean_up")


def _parts(tx: Transaction, months: Script, bulk: Script) -> Iterator[Tables]:
    """Yield the tables that the query reads, for one month and as many students as fit into memory.

    All facts of a month and student are in the same part.
    """
    (query,) = months.statements("query")
    read = months.mentions(frozenset(scripts()), "query")
    shared = {name: tx.arrow_table(name) for name in read - {"dim_students", "fact_attendance"}}
    shared["kept"] = tx.arrow_table(f"{months.name} WHERE 1 = 0")
    month_keys = tx.numbers("SELECT DISTINCT month_key FROM touched ORDER BY month_key")
    for number, month in enumerate(month_keys, start=1):
        days = ", ".join(map(str, tx.numbers("SELECT date_key FROM dim_dates WHERE month_key = ?", (month,))))
        facts = tx.count(f"SELECT COUNT(*) FROM fact_attendance WHERE date_key IN ({days})")
        how_many = {"how_many": str(max(1, math.ceil(facts / FACTS_AT_ONCE))), "month": str(month)}
        for part in tx.query(bulk.statements("parts", how_many)[0]):
            these = f"student_durable_key BETWEEN {part['first_student']:d} AND {part['last_student']:d}"
            yield shared | {
                "touched": tx.arrow(f"SELECT * FROM touched WHERE month_key = {month:d} AND {these}"),
                "dim_students": rows_read(tx, f"dim_students WHERE {these}", query),
                "fact_attendance": rows_read(tx, f"fact_attendance WHERE date_key IN ({days}) AND {these}", query),
            }
        log.info("computed the attendance of month %d: %d of %d months", month, number, len(month_keys))
