"""What the rules say of very many students, as when a day has passed: judged by DuckDB, some students at a time.

Belongs here: when that pays, and what DuckDB is given. Does not belong here: how a student is judged (sql/marts, the
same text that the database runs).
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial

import pyarrow as pa

from student360.crash_points import CrashPoint, passing
from student360.ingest.threads import in_order
from student360.loading.duck import computed_beside, rows_read, words
from student360.loading.memory import give_back
from student360.settings import Settings
from student360.warehouse.scripts import Script, queries, scripts
from student360.warehouse.transaction import Transaction

MANY_STUDENTS = 20_000
STUDENTS_AT_ONCE = 10_000
PARTS_AT_ONCE = 2
MEMORY = "150MB"
IN_DUCKDB = {"home": "temp"}


def judge(tx: Transaction, script: Script, settings: Settings) -> None:
    """Judge the students who are due again: by the database, or by DuckDB where there are many."""
    tx.run(script, "who", queries())
    students = tx.count("SELECT COUNT(*) FROM to_judge")
    if students < MANY_STUDENTS:
        tx.run(script, "judge", queries())
    else:
        tx.run(script, "look_back")
        statements = script.statements("beside", {**queries(), **IN_DUCKDB})
        judged = partial(computed_beside, statements, settings.staged, MEMORY)
        parts = _parts(tx, script, math.ceil(students / STUDENTS_AT_ONCE), "\n".join(statements))
        for rows in in_order(judged, parts, PARTS_AT_ONCE):
            tx.append(script.name, rows)
            passing(CrashPoint.MID_LOAD)
        give_back()
    tx.run(script, "let_go")


def _parts(tx: Transaction, script: Script, how_many: int, query: str) -> Iterator[Mapping[str, pa.Table]]:
    """What the query reads, for some students after the others."""
    shared: dict[str, pa.Table] = {}
    for students in tx.query(script.statements("parts", {"how_many": str(how_many)})[0]):
        some = {name: str(number) for name, number in students.items()}
        due = script.statements("these", some)[0]
        if_due = f"AND student_durable_key IN ({due})" if _are_scattered(**students) else ""
        read = script.statements("read", some | {"if_due": if_due})
        own = defaultdict(list)
        for source in (statement.removeprefix("SELECT * FROM ") for statement in read):
            own[source.split(maxsplit=1)[0]].append(rows_read(tx, source, query))
        shared = shared or {name: rows_read(tx, name, query) for name in _read(query) - own.keys()}
        yield shared | {name: pa.concat_tables(rows) for name, rows in own.items()} | {"to_judge": tx.arrow(due)}


def _are_scattered(first_student: int, last_student: int, students: int) -> bool:
    """Whether most keys between the first student and the last are of others, whose rows had better not be read.

    Else a range of keys is all that is said: PostgreSQL takes a third less time for it.
    """
    return last_student - first_student >= 2 * students


def _read(query: str) -> frozenset[str]:
    """The tables and views that a query reads and does not itself define."""
    defined = re.findall(r"(\w+) AS (?:MATERIALIZED )?\(", query)
    return words(query) & scripts().keys() - set(defined)
