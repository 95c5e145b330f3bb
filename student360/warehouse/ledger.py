"""The ledger: which files arrived when, and the outcome of each of their rows.

Contains the reading and writing of ingest_file, file_drop and row_reject; not files on disk (see `ingest/files.py`) nor
the order of the loading steps (see `loading/`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from student360.contracts import LoadMode
from student360.ingest.problems import BadFile
from student360.warehouse.transaction import Transaction

COUNTS = ("rows_read", "rows_loaded", "rows_updated", "rows_unchanged", "rows_rejected", "rows_waiting")
FINAL = ("loaded", "waiting", "quarantined")


@dataclass(frozen=True)
class Arrival:
    """A claimed file to register in the ledger."""

    claim_id: str
    sha256: str
    feed: str | None
    name: str
    size: int
    received_at: datetime
    effective_date_key: int
    effective_from: str
    load_mode: LoadMode
    rows_say_their_day: bool


@dataclass(frozen=True)
class LedgerFile:
    """A file content in the ledger, with the drop that delivered it first.

    parquet_name: where the rows of a large file are staged (loading/large_files.py).
    """

    file_id: int
    sha256: str
    feed: str | None
    first_name: str
    received_at: datetime
    status: str
    claim_id: str
    effective_date_key: int
    load_mode: LoadMode
    archived_path: str | None
    parquet_name: str | None

    def age(self) -> tuple[int, int]:
        """Return the sort key that orders files from the oldest effective day to the newest."""
        return (self.effective_date_key, self.file_id)


@dataclass(frozen=True)
class Drop:
    """The ledger's record of a claimed file's content."""

    status: str
    sha256: str
    feed: str | None
    file_id: int
    archived_path: str | None

    @property
    def is_final(self) -> bool:
        return self.status in FINAL


def enter(tx: Transaction, arrival: Arrival, run_id: str) -> bool:
    """Register a drop. Return whether its content must be loaded; a known content is recorded as a duplicate.

    If a known content arrives with a newer effective day, that day is stored for it. If other exports of the feed are
    effective between the two days, the content reverts their values, so it is loaded again as an export of that day.
    """
    at = arrival.received_at.isoformat()
    known = _newest_of_content(tx, arrival.sha256)
    if known is not None and _reverts_others(tx, known, arrival):
        known = None
    file_id = known["file_id"] if known else 1 + int(tx.value("SELECT COALESCE(MAX(file_id), 0) FROM ingest_file"))
    if known is None:
        _insert(tx, file_id, arrival, run_id)
        if arrival.feed is None:
            quarantine(tx, file_id, BadFile("unknown_dataset"), at, run_id)
    elif _is_newer(arrival, known):
        for table in ("ingest_file", "load_scope"):
            tx.execute(
                f"UPDATE {table} SET effective_date_key = ? WHERE file_id = ?", (arrival.effective_date_key, file_id)
            )
    tx.execute(
        "INSERT INTO file_drop (claim_id, file_id, seen_name, outcome, dropped_at) VALUES (?, ?, ?, ?, ?)",
        (arrival.claim_id, file_id, arrival.name, "first" if known is None else "duplicate", at),
    )
    return known is None


def _newest_of_content(tx: Transaction, sha256: str) -> dict[str, Any] | None:
    found = tx.query(
        "SELECT file_id, effective_date_key, status FROM ingest_file WHERE sha256 = ? ORDER BY file_id DESC LIMIT 1",
        (sha256,),
    )
    return found[0] if found else None


def _is_newer(arrival: Arrival, known: Mapping[str, Any]) -> bool:
    return (
        arrival.rows_say_their_day
        and arrival.effective_from == "name"
        and known["status"] != "quarantined"
        and arrival.effective_date_key > known["effective_date_key"]
    )


def _reverts_others(tx: Transaction, known: Mapping[str, Any], arrival: Arrival) -> bool:
    return _is_newer(arrival, known) and bool(
        tx.value(
            "SELECT COUNT(*) FROM ingest_file WHERE feed = ? AND status <> 'quarantined' AND file_id <> ?"
            " AND effective_date_key BETWEEN ? AND ?",
            (arrival.feed, known["file_id"], known["effective_date_key"], arrival.effective_date_key),
        )
    )


def _insert(tx: Transaction, file_id: int, arrival: Arrival, run_id: str) -> None:
    tx.execute(
        "INSERT INTO ingest_file (file_id, sha256, feed, first_name, bytes, received_at, effective_date_key,"
        " effective_from, load_mode, status, run_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'received', ?)",
        (
            file_id,
            arrival.sha256,
            arrival.feed,
            arrival.name,
            arrival.size,
            arrival.received_at.isoformat(),
            arrival.effective_date_key,
            arrival.effective_from,
            arrival.load_mode,
            run_id,
        ),
    )


def quarantine(tx: Transaction, file_id: int, problem: BadFile, at: str, run_id: str, rows_read: int = 0) -> None:
    """Set the status of a file to quarantined. All rows that were read count as rejected."""
    tx.execute(
        "UPDATE ingest_file SET status = 'quarantined', reason_code = ?, reason = ?, rows_read = ?,"
        " rows_rejected = ?, run_id = ?, committed_at = ? WHERE file_id = ?",
        (problem.reason_code, str(problem), rows_read, rows_read, run_id, at, file_id),
    )


def waiting_in_staging(tx: Transaction, feed: str, staging_table: str) -> int:
    """Return how many rows of a feed's staging table wait for their student.

    The staging table is not read if no file of the feed has waiting rows.
    """
    waiting = f"SELECT file_id FROM ingest_file WHERE feed = '{feed}' AND status = 'waiting'"
    return tx.count(f"SELECT COUNT(*) FROM {staging_table} WHERE EXISTS ({waiting}) AND file_id IN ({waiting})")


def files(tx: Transaction, feed: str, *statuses: str) -> list[LedgerFile]:
    """Return the files of a feed that have one of the given statuses, in order of arrival."""
    marks = ", ".join("?" for _ in statuses)
    rows = tx.query(
        "SELECT f.file_id, f.sha256, f.feed, f.first_name, f.received_at, f.status, d.claim_id,"
        " f.effective_date_key, f.load_mode, d.archived_path, s.parquet_name"
        " FROM ingest_file AS f JOIN file_drop AS d ON d.file_id = f.file_id AND d.outcome = 'first'"
        " LEFT JOIN staged_file AS s ON s.file_id = f.file_id"
        f" WHERE f.feed = ? AND f.status IN ({marks}) ORDER BY f.file_id",
        (feed, *statuses),
    )
    return [
        LedgerFile(
            **row | {"received_at": datetime.fromisoformat(row["received_at"]), "load_mode": LoadMode(row["load_mode"])}
        )
        for row in rows
    ]


def newest_columns(tx: Transaction, feed: str) -> list[str]:
    """Return the names of the columns of a feed's newest file that was not quarantined."""
    found = tx.value(
        "SELECT columns_found FROM ingest_file WHERE feed = ? AND columns_found IS NOT NULL"
        " AND status IN ('staged', 'loaded', 'waiting') ORDER BY file_id DESC LIMIT 1",
        (feed,),
    )
    return str(found or "").split()


def drops(tx: Transaction, only_unarchived: bool = False) -> dict[str, Drop]:
    """Return all drops by claim id, or only those without a recorded archive path."""
    condition = " WHERE d.archived_at IS NULL" if only_unarchived else ""
    rows = tx.query(
        "SELECT d.claim_id, f.status, f.sha256, f.feed, f.file_id, d.archived_path FROM file_drop AS d"
        f" JOIN ingest_file AS f ON f.file_id = d.file_id{condition}"
    )
    return {row.pop("claim_id"): Drop(**row) for row in rows}


def take_back(tx: Transaction, file_id: int, *tables: str) -> None:
    """Delete the rows of a file from the given tables."""
    for table in tables:
        tx.execute(f"DELETE FROM {table} WHERE file_id = ?", (file_id,))


def refused_rows(tx: Transaction, file_id: int) -> dict[int, str]:
    """Return the columns and reasons of each rejected row of a file, by line."""
    rows = tx.query(
        "SELECT line_no, STRING_AGG(CASE WHEN column_name = '(row)' THEN reason ELSE column_name || ': ' || reason END,"
        " ' ' ORDER BY column_name) AS wrong FROM row_reject WHERE file_id = ? GROUP BY line_no",
        (file_id,),
    )
    return {row["line_no"]: row["wrong"] for row in rows}


def note_to_correct(tx: Transaction, file_id: int, path: str) -> None:
    """Record the path of the CSV with a file's rejected rows."""
    tx.execute("UPDATE ingest_file SET to_correct = ? WHERE file_id = ?", (path, file_id))


def note_action(tx: Transaction, operator: str, action: str, about: str, at: str) -> None:
    """Record a manual action of an operator."""
    tx.execute(
        "INSERT INTO operator_action (action_no, at, operator, action, about)"
        " SELECT COALESCE(MAX(action_no), 0) + 1, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT)"
        " FROM operator_action",
        (at, operator, action, about),
    )


def note_archived(tx: Transaction, claim_id: str, path: str, at: str) -> None:
    """Record where the file of a claim was archived."""
    tx.execute("UPDATE file_drop SET archived_path = ?, archived_at = ? WHERE claim_id = ?", (path, at, claim_id))


def unreported(tx: Transaction, feed: str) -> set[str]:
    """Return the claims of a feed, and of files of unknown feed, with a committed outcome that is not yet reported."""
    rows = tx.query(
        "SELECT d.claim_id FROM file_drop AS d JOIN ingest_file AS f ON f.file_id = d.file_id"
        " WHERE d.reported_at IS NULL AND (f.feed = ? OR f.feed IS NULL)"
        " AND f.status IN ('loaded', 'waiting', 'quarantined')",
        (feed,),
    )
    return {row["claim_id"] for row in rows}


def note_reported(tx: Transaction, claim_ids: Iterable[str], at: str) -> None:
    """Record that the outcomes of these claims were reported to the landing_files asset."""
    for claim_id in claim_ids:
        tx.execute("UPDATE file_drop SET reported_at = ? WHERE claim_id = ?", (at, claim_id))


def settings(tx: Transaction) -> dict[str, str]:
    """Return all stored settings by name."""
    return {row["name"]: row["value"] for row in tx.query("SELECT name, value FROM setting")}


def setting(tx: Transaction, name: str) -> str | None:
    """Return a stored setting; None if it was never written."""
    value: str | None = tx.value("SELECT value FROM setting WHERE name = ?", (name,))
    return value


def setting_changed(tx: Transaction, name: str, value: str) -> bool:
    """Store a setting that views or later runs need. Return whether its value changed."""
    if setting(tx, name) == value:
        return False
    tx.execute(
        "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )
    return True


def file_table(tx: Transaction, feed: str | None = None, limit: int = 1000) -> pd.DataFrame:
    """Return the newest drops with their counts and outcome, newest first.

    Columns: file (a name without personal data), name (as dropped, for operators only), feed, the counts, outcome
    (loaded, waiting, duplicate, quarantined, ...), reason (or warnings), rows_withdrawn. The counts of a duplicate are
    0.
    """
    condition = "" if feed is None else "WHERE f.feed = ?"
    rows = tx.frame(
        "SELECT f.file_id, f.sha256, f.feed, f.effective_date_key, d.claim_id, d.seen_name AS name, f.rows_read,"
        " f.rows_loaded, f.rows_updated, f.rows_unchanged, f.rows_rejected, f.rows_waiting,"
        " CASE WHEN d.outcome = 'duplicate' THEN 'duplicate' ELSE f.status END AS outcome,"
        " COALESCE(f.reason, f.warnings, '') AS reason, f.rows_withdrawn, d.dropped_at FROM file_drop AS d"
        f" JOIN ingest_file AS f ON f.file_id = d.file_id {condition}"
        f" ORDER BY d.dropped_at DESC, f.file_id DESC, d.claim_id LIMIT {limit:d}",
        () if feed is None else (feed,),
    )
    if rows.empty:
        return pd.DataFrame(
            columns=["file", "name", "feed", *COUNTS, "rows_withdrawn", "outcome", "reason", "claim_id"]
        )
    rows.loc[rows["outcome"] == "duplicate", [*COUNTS, "rows_withdrawn"]] = 0
    rows.loc[rows["outcome"] == "duplicate", "reason"] = ""
    rows["feed"] = rows["feed"].fillna("unknown")
    named = zip(rows["feed"], rows["effective_date_key"], rows["sha256"], strict=True)
    rows["file"] = [partition_name(*file) for file in named]
    return rows


def to_do(tx: Transaction) -> pd.DataFrame:
    """Return the files that require an action by a person: file (as dropped), what, what_to_do. May be empty."""
    return tx.frame(
        "SELECT f.first_name AS file, CAST(COUNT(DISTINCT r.line_no) AS TEXT) || ' rejected rows' AS what,"
        " 'Correct ' || COALESCE(MAX(f.to_correct), 'the rows') || ' and drop the file into landing.' AS what_to_do"
        " FROM row_reject AS r JOIN ingest_file AS f ON f.file_id = r.file_id"
        " WHERE r.resent_file_id IS NULL AND f.status <> 'quarantined' GROUP BY f.file_id, f.first_name"
        " UNION ALL SELECT first_name, 'not loaded', reason FROM ingest_file WHERE status = 'quarantined'"
        " UNION ALL SELECT first_name, CAST(rows_waiting AS TEXT) || ' rows of students who are not in any roster yet',"
        " 'Drop a roster that contains these students.' FROM ingest_file WHERE rows_waiting > 0"
        " UNION ALL SELECT first_name, 'rows missing from this file were not withdrawn',"
        " 'Check the file. If it is correct, run: python -m student360 withdraw ' || SUBSTR(sha256, 1, 8)"
        " FROM ingest_file WHERE sweep = 'held'"
        " UNION ALL SELECT f.first_name,"
        " 'line ' || CAST(w.line_no AS TEXT) || ': known student id with a different name and date of birth',"
        " 'Ask the school who the student is; see Identity in docs/how-to/send-files.md.' FROM identity_warning AS w"
        " JOIN ingest_file AS f ON f.file_id = w.file_id WHERE w.settled_by_file_id IS NULL ORDER BY 1, 2"
    )


def partition_name(feed: str, effective_date_key: int, sha256: str) -> str:
    """Return a name for a file without personal data: feed, effective day and the first 8 digits of its hash."""
    return f"{feed}-{effective_date_key}-{sha256[:8]}"
