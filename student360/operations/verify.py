"""Consistency checks of ledger, archive and warehouse, for `python -m student360 verify`. Nothing is repaired here."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from student360.contracts import contracts
from student360.ingest.files import content_hash
from student360.settings import Settings
from student360.warehouse import ledger
from student360.warehouse.scripts import scripts, sql_file
from student360.warehouse.warehouse import Transaction, Warehouse

RECOMPUTED = (
    "student_attendance_month",
    "student_month",
    "student_course",
    "student_year_to_date",
    "student_risk",
)
FOUND = "f.rows_loaded + f.rows_updated + f.rows_unchanged + f.rows_rejected + f.rows_waiting"


class _Undo(Exception):
    """Rolls back a transaction whose writes were only for a comparison."""


@dataclass(frozen=True)
class Promise:
    """The result of one consistency check: what must hold, how many items were checked, and the violations."""

    name: str
    looked_at: int
    broken: tuple[str, ...] = ()


def verify(warehouse: Warehouse, settings: Settings) -> list[Promise]:
    """Run all checks. Reads all archived files and all tables; writers are blocked while figures are recomputed."""
    with warehouse.reading() as tx:
        promises = [check(tx, settings) for check in CHECKS]
    return [*promises, _figures(warehouse)]


def _archive(tx: Transaction, settings: Settings) -> Promise:
    drops = tx.query(
        "SELECT d.archived_path, f.sha256, f.status FROM file_drop AS d JOIN ingest_file AS f"
        " ON f.file_id = d.file_id WHERE d.archived_at IS NOT NULL"
    )
    problems = ((drop["sha256"][:8], _archive_problem(drop, settings)) for drop in drops)
    broken = tuple(f"{label}: {problem}" for label, problem in problems if problem)
    return Promise("every loaded file is unchanged in the archive", len(drops), broken)


def _archive_problem(drop: dict[str, str], settings: Settings) -> str:
    path = settings.data_dir / drop["archived_path"]
    if settings.landing in path.parents:
        return ""
    if not path.is_file():
        return "no longer in the archive; restore it from a backup, otherwise it cannot be reprocessed"
    if content_hash(path)[0] != drop["sha256"]:
        return "the archived file was changed; restore it from a backup"
    folder = settings.quarantine if drop["status"] == "quarantined" else settings.processed
    return "" if folder in path.parents else f"is not in the folder {folder.name}"


def _unknown_files(tx: Transaction, settings: Settings) -> Promise:
    files = list(_archived_files(settings))
    broken = tuple(
        f"{path.name[:8]}: not in the ledger; `python -m student360 reprocess --lost` loads it"
        for path in lost_files(tx, settings)
    )
    return Promise("every archived file is in the ledger", len(files), broken)


def lost_files(tx: Transaction, settings: Settings) -> list[Path]:
    """Return archived files that are not in the ledger, for example after a backup was restored."""
    known = set(ledger.drops(tx))
    return [path for path in _archived_files(settings) if "".join(path.name.split("__")[1:2]) not in known]


def _archived_files(settings: Settings) -> Iterator[Path]:
    for folder in (settings.processed, settings.quarantine):
        if folder.is_dir():
            yield from (p for p in folder.rglob("*") if p.is_file() and settings.to_correct not in p.parents)


def _conserved(tx: Transaction, settings: Settings) -> Promise:
    files = tx.query(
        f"SELECT f.sha256, f.rows_read, {FOUND} AS found FROM ingest_file AS f"
        " WHERE f.status IN ('loaded', 'waiting', 'quarantined')"
    )
    counts = ((f["sha256"][:8], f["rows_read"], f["found"]) for f in files)
    broken = tuple(f"{label}: {read} read, {found} found" for label, read, found in counts if read != found)
    return Promise("rows read = loaded + updated + unchanged + rejected + waiting", len(files), broken)


def _rejects(tx: Transaction, settings: Settings) -> Promise:
    files = tx.query(
        "SELECT f.sha256, f.rows_rejected, COUNT(DISTINCT r.line_no) AS listed FROM ingest_file AS f"
        " LEFT JOIN row_reject AS r ON r.file_id = f.file_id WHERE f.status IN ('loaded', 'waiting')"
        " GROUP BY f.file_id, f.sha256, f.rows_rejected"
    )
    counts = ((f["sha256"][:8], f["rows_rejected"], f["listed"]) for f in files)
    broken = tuple(
        f"{label}: {counted} counted, {listed} listed" for label, counted, listed in counts if counted != listed
    )
    return Promise("every rejected row is listed with its reason", len(files), broken)


def _waiting(tx: Transaction, settings: Settings) -> Promise:
    broken, total = [], 0
    for feed, contract in contracts().items():
        counted = tx.count("SELECT COALESCE(SUM(rows_waiting), 0) FROM ingest_file WHERE feed = ?", (feed,))
        staged = ledger.waiting_in_staging(tx, feed, contract.staging_table)
        total += counted
        if counted != staged:
            broken.append(f"{feed}: {counted} counted, {staged} in staging")
    return Promise("every waiting row is in staging", total, tuple(broken))


def _facts(tx: Transaction, settings: Settings) -> Promise:
    broken, total = [], 0
    for script in (s for s in scripts().values() if s.is_fact):
        table, key = script.name, ", ".join(script.primary_key)
        rows = tx.count(f"SELECT COUNT(*) FROM {table}")
        total += rows
        wrong = {
            "more or fewer rows than the ledger counted": rows - tx.count(script.row_count_query),
            "duplicate keys": tx.count(
                f"SELECT COUNT(*) FROM (SELECT 1 AS one FROM {table} GROUP BY {key} HAVING COUNT(*) > 1) AS r"
            ),
            "rows without a loaded file": tx.count(
                f"SELECT COUNT(*) FROM {table} AS t LEFT JOIN ingest_file AS f ON f.file_id = t.file_id"
                " LEFT JOIN ingest_file AS c ON c.file_id = t.confirmed_file_id"
                " WHERE c.file_id IS NULL OR f.file_id IS NULL OR f.status = 'quarantined'"
            ),
            "rows without a student": tx.count(
                f"SELECT COUNT(*) FROM {table} AS t WHERE NOT EXISTS"
                " (SELECT 1 FROM dim_students AS s WHERE s.student_durable_key = t.student_durable_key)"
            ),
        }
        broken += [f"{table}: {count} {what}" for what, count in wrong.items() if count]
    return Promise("every fact is stored exactly once, with its file and student", total, tuple(broken))


def _students(tx: Transaction, settings: Settings) -> Promise:
    wrong = {
        "versions that overlap": tx.count(
            "SELECT COUNT(*) FROM dim_students AS a JOIN dim_students AS b"
            " ON b.student_durable_key = a.student_durable_key AND b.student_key > a.student_key"
            " AND a.valid_from < b.valid_to AND b.valid_from < a.valid_to"
        ),
        "current students with an id of another student": tx.count(
            "SELECT COUNT(*) FROM dim_students AS s LEFT JOIN student_alias AS a ON a.student_id = s.student_id"
            " AND a.student_durable_key = s.student_durable_key WHERE s.is_current = 1 AND a.student_id IS NULL"
        ),
    }
    broken = tuple(f"{count} {what}" for what, count in wrong.items() if count)
    return Promise("the versions of a student do not overlap", tx.count("SELECT COUNT(*) FROM dim_students"), broken)


def _tiers(tx: Transaction, settings: Settings) -> Promise:
    different = tx.count(
        "SELECT COUNT(*) FROM v_student_risk_monitor AS r LEFT JOIN student_risk_tier AS t"
        " ON t.student_durable_key = r.student_durable_key AND t.is_current = 1"
        " WHERE t.risk_tier IS DISTINCT FROM r.risk_tier"
    )
    students = tx.count("SELECT COUNT(*) FROM dim_students WHERE is_current = 1")
    broken = (f"{different} students: run the ingest job",) if different else ()
    return Promise("the last recorded tier of every student is the current tier", students, broken)


def _database(tx: Transaction, settings: Settings) -> Promise:
    with tx.cursor() as cursor:
        return Promise("the database is not damaged", 1, tuple(tx.engine.damage(cursor)))


CHECKS: tuple[Callable[[Transaction, Settings], Promise], ...] = (
    _archive,
    _unknown_files,
    _conserved,
    _rejects,
    _waiting,
    _facts,
    _students,
    _tiers,
    _database,
)


def _figures(warehouse: Warehouse) -> Promise:
    """Compare the incrementally updated figures with figures recomputed from all facts, then roll back."""
    differences: dict[str, int] = {}
    rows = 0
    with suppress(_Undo), warehouse.transaction() as tx:
        for table in RECOMPUTED:
            tx.execute(f"CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}")
        tx.run(sql_file("operations", "recompute"), "everything")
        for table in RECOMPUTED:
            tx.run(scripts()[table], "merge")
            rows += tx.count(f"SELECT COUNT(*) FROM {table}")
            differences[table] = _differences(tx, table, f"kept_{table}")
        raise _Undo
    again = "run `python -m student360 reprocess --all`"
    broken = tuple(f"{table}: {count} rows differ; {again}" for table, count in differences.items() if count)
    return Promise("monthly, course, year-to-date and risk figures equal those recomputed from all facts", rows, broken)


def _differences(tx: Transaction, left: str, right: str) -> int:
    return tx.count(
        f"SELECT COUNT(*) FROM (SELECT * FROM (SELECT * FROM {left} EXCEPT SELECT * FROM {right}) AS a"
        f" UNION ALL SELECT * FROM (SELECT * FROM {right} EXCEPT SELECT * FROM {left}) AS b) AS d"
    )
