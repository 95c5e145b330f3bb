"""The sides that Student 360 is compared with: the minimum work of any loader (the floor), and a pandas script."""

from itertools import chain
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi
import adbc_driver_sqlite.dbapi
import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy
from pyarrow import csv

from student360.spark.aggregates import tables_read
from student360.warehouse import postgres, sqlite
from student360.warehouse.scripts import scripts
from student360.warehouse.warehouse import Warehouse

RAW_TO_FACTS = (
    "CREATE TABLE facts (student_id TEXT NOT NULL, date TEXT NOT NULL, status TEXT NOT NULL,"
    " PRIMARY KEY (student_id, date))",
    "INSERT INTO facts SELECT student_id, date, MIN(CASE WHEN LOWER(TRIM(status)) IN ('absent', 'a', 'absnt', '❌')"
    " THEN 'Absent' ELSE 'Present' END) FROM raw_attendance WHERE status IS NOT NULL AND student_id IS NOT NULL"
    " GROUP BY student_id, date",
)
# The risk view of the original project, reading each fact once: attendance has priority, then the mean of the exam
# scores, then the mean homework completion.
ORIGINAL_VIEW = """
    SELECT
        s.student_id, s.full_name, s.grade_level, a.attendance_rate, p.exam_score, p.homework_completion,
        CASE
            WHEN a.attendance_rate < 80 THEN 'High Risk: Attendance'
            WHEN p.exam_score < 60 THEN 'High Risk: Academics'
            WHEN p.homework_completion < 50 THEN 'Medium Risk'
            ELSE 'Low Risk'
        END AS risk
    FROM dim_students AS s
    LEFT JOIN (
        SELECT
            f.student_durable_key,
            100.0 * SUM(CASE WHEN c.category = 'ABSENT' THEN 0 ELSE 1 END) / COUNT(*) AS attendance_rate
        FROM fact_attendance AS f
        JOIN dim_attendance_codes AS c ON c.attendance_code_key = f.attendance_code_key
        GROUP BY f.student_durable_key
    ) AS a ON a.student_durable_key = s.student_durable_key
    LEFT JOIN (
        SELECT
            f.student_durable_key, AVG(f.percent_bp / 100.0) AS exam_score,
            AVG(f.homework_bp / 100.0) AS homework_completion
        FROM fact_performance AS f
        GROUP BY f.student_durable_key
    ) AS p ON p.student_durable_key = s.student_durable_key
    WHERE s.is_current = 1
"""
NUMBERED = ("Date", "Student_ID", "Attendance_Status")
KEYED = scripts()["fact_attendance"].without_references
FLOOR_TABLE = "floor_attendance"
FACT_COLUMNS = [column.name for column in KEYED.columns]


def _connect(engine: str, target: str) -> Any:
    if engine == "postgres":
        return adbc_driver_postgresql.dbapi.connect(target, autocommit=True)
    return adbc_driver_sqlite.dbapi.connect(target, autocommit=True)


def floor(engine: str, target: str, file: Path) -> int:
    """Do the minimum work of any loader: parse as text, number the values, sort, insert into the keyed fact table.

    Returns the number of facts.
    """
    as_text = {name: pa.dictionary(pa.int32(), pa.string()) for name in _header(file)}
    options = csv.ConvertOptions(column_types=as_text, strings_can_be_null=False)
    rows = csv.read_csv(file, convert_options=options).unify_dictionaries()
    integer = pa.int32() if engine == "postgres" else pa.int64()
    day, student, code = (rows[name].combine_chunks().indices.cast(integer) for name in NUMBERED)
    line = pa.array(range(2, len(rows) + 2), integer)
    key = pc.add(pc.multiply(day.cast(pa.int64()), 10_000_000), student.cast(pa.int64()))
    order = pc.sort_indices(key)
    key = key.take(order)
    is_new = pc.not_equal(key, pa.concat_arrays([pa.array([-1]), key.slice(0, len(key) - 1)]))
    order = order.filter(is_new)
    day, student, code, line = (column.take(order) for column in (day, student, code, line))
    one, nothing = pa.repeat(pa.scalar(1, integer), len(order)), pa.repeat(pa.scalar(0, integer), len(order))
    no_period = pa.repeat("", len(order))
    facts = pa.table([day, student, nothing, no_period, code, nothing, one, line, one], names=list(FACT_COLUMNS))
    with _connect(engine, target) as connection, connection.cursor() as cursor:
        if engine == "sqlite":
            for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"):
                cursor.execute(statement)
                cursor.fetchall()
        fragments = (sqlite if engine == "sqlite" else postgres).FRAGMENTS
        cursor.execute(KEYED.statements("schema", fragments)[0].replace(KEYED.name, FLOOR_TABLE))
        cursor.execute("BEGIN")
        cursor.adbc_ingest(FLOOR_TABLE, facts, mode="append")
        cursor.execute("COMMIT")
    return len(facts)


def _header(file: Path) -> list[str]:
    return list(pd.read_csv(file, nrows=0).columns)


def pandas_and_script(engine: str, target: str, file: Path) -> int:
    """Load as the original project does: pandas, to_sql, then a SQL script; no rejects, ledger or lineage.

    Returns the number of facts.
    """
    url = f"sqlite:///{target}" if engine == "sqlite" else target.replace("postgresql://", "postgresql+psycopg2://", 1)
    database = sqlalchemy.create_engine(url)
    frame = pd.read_csv(file)
    frame = frame.rename(columns={"Student_ID": "student_id", "Date": "date", "Attendance_Status": "status"})
    frame["date"] = pd.to_datetime(frame["date"], format="mixed").dt.strftime("%Y-%m-%d")
    frame[["student_id", "date", "status"]].to_sql(
        "raw_attendance", database, index=False, if_exists="replace", chunksize=100_000
    )
    with database.begin() as connection:
        for statement in RAW_TO_FACTS:
            connection.exec_driver_sql(statement)
        return int(connection.exec_driver_sql("SELECT COUNT(*) FROM facts").scalar_one())


def aggregates_by_duckdb(warehouse: Warehouse, queries: list[str]) -> int:
    """Read the tables of the aggregates into DuckDB in this process and run the queries. Returns the number of rows."""
    tables: dict[str, set[str]] = {}
    for script in (script for script in scripts().values() if script.layer == "spark"):
        for table, columns in tables_read(script).items():
            tables.setdefault(table, set()).update(columns)
    with duckdb.connect() as database:
        with warehouse.reading() as tx:
            for table in sorted(tables):
                batches = tx.arrow_batches(table, tables[table])
                first = next(batches)
                database.register("batches", pa.RecordBatchReader.from_batches(first.schema, chain([first], batches)))
                database.execute(f"CREATE TABLE {table} AS SELECT * FROM batches")
        return sum(len(database.execute(query).fetchall()) for query in queries)
