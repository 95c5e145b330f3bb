"""Compute the risk tiers of many students with DuckDB, part by part, for example when a new day begins.

Contains the choice between database and DuckDB, and DuckDB's input tables; not how a tier is computed (see sql/marts,
the same text that the database runs).
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial

import pyarrow as pa

from student360.crash_points import CrashPoint, passing
from student360.ingest.threads import in_order
from student360.loading.bulk_duckdb import computed_by_duckdb, rows_read
from student360.loading.memory import give_back
from student360.settings import Settings
from student360.warehouse.scripts import Script, scripts, sql_file
from student360.warehouse.templates import Names
from student360.warehouse.transaction import Transaction

MANY_STUDENTS = 8_000
STUDENTS_AT_ONCE = 10_000
PARTS_AT_ONCE = 2
MEMORY = "150MB"
IN_DUCKDB = {"home": "temp"}
NULL = "NULL"


def refresh_risk(tx: Transaction, risk: Script, settings: Settings) -> None:
    """Compute the tiers of the students in `to_judge`: with the database, or with DuckDB if there are many."""
    tx.run(risk, "choose_students")
    students = tx.count("SELECT COUNT(*) FROM to_judge")
    if students < MANY_STUDENTS:
        tx.run(risk, "judge")
    else:
        bulk = sql_file("bulk", risk.name)
        windows = _windows(tx, bulk)
        tx.run(bulk, "older_months", windows)
        statements = [*risk.statements("levels", IN_DUCKDB), *risk.statements("judged", IN_DUCKDB)]
        judged = partial(computed_by_duckdb, statements, settings.staged, MEMORY)
        how_many = max(PARTS_AT_ONCE, math.ceil(students / STUDENTS_AT_ONCE))
        parts = _parts(tx, bulk, windows, how_many, "\n".join(statements))
        for rows in in_order(judged, parts, PARTS_AT_ONCE):
            tx.append(risk.name, rows)
            passing(CrashPoint.MID_LOAD)
        give_back()
    tx.run(risk, "clean_up")


def _windows(tx: Transaction, bulk: Script) -> Names:
    """Return the windows of the rules (v_risk_windows) as SQL literals by column, with their months and days."""
    (row,) = tx.query(bulk.statements("windows")[0])
    windows = {name: NULL if value is None else value for name, value in row.items()}
    for name in ("month_keys", "homework_days"):
        windows[name] = ", ".join(map(str, tx.numbers(bulk.statements(name, windows)[0]))) or NULL
    return windows


def _parts(
    tx: Transaction, bulk: Script, windows: Names, how_many: int, query: str
) -> Iterator[Mapping[str, pa.Table]]:
    """Yield the tables that the query reads, for one part of the students at a time."""
    shared: dict[str, pa.Table] = {}
    for part in tx.query(bulk.statements("parts", {"how_many": how_many})[0]):
        students = bulk.statements("students_of_part", part)[0]
        if_due = f"AND student_durable_key IN ({students})" if _are_scattered(**part) else ""
        own = defaultdict(list)
        for statement in bulk.statements("read", {**windows, **part, "if_due": if_due}):
            source = statement.removeprefix("SELECT * FROM ")
            own[source.split(maxsplit=1)[0]].append(rows_read(tx, source, query))
        shared = shared or {name: rows_read(tx, name, query) for name in _read(query) - own.keys()}
        yield shared | {name: pa.concat_tables(rows) for name, rows in own.items()} | {"to_judge": tx.arrow(students)}


def _are_scattered(first_student: int, last_student: int, students: int) -> bool:
    """Return whether at least half of the keys between the first and last student are of students not in the part.

    Then the students are listed, so that rows of others are not read. Otherwise only the range of keys is given, for
    which PostgreSQL needs a third less time.
    """
    return last_student - first_student >= 2 * students


def _read(query: str) -> set[str]:
    """Return the tables and views that a query reads and does not define itself."""
    defined = re.findall(r"(\w+) AS (?:MATERIALIZED )?\(", query)
    return set(re.findall(r"\w+", query)) & scripts().keys() - set(defined)
