"""Reports for the terminal: files, required actions, risk tiers, reasons and trends. They show no students' names."""

from collections.abc import Mapping, Sequence
from datetime import date

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from student360.ingest.files import left_alone
from student360.loading.refresh import refused_rules
from student360.operations.reprocess import Again
from student360.operations.verify import Promise
from student360.rules.reference import reference_file
from student360.settings import Settings
from student360.warehouse.ledger import COUNTS, file_table, to_do
from student360.warehouse.scripts import scripts
from student360.warehouse.warehouse import Warehouse

TIERS = ("HIGH", "MODERATE", "WATCH", "ON_TRACK", "INSUFFICIENT_DATA")
TIER_STYLE = {"HIGH": "bold red", "MODERATE": "yellow", "WATCH": "cyan", "ON_TRACK": "green"}


def _table(title: str, frame: pd.DataFrame, numeric: tuple[str, ...] = ()) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in frame.columns:
        table.add_column(str(column), justify="right" if column in numeric else "left", overflow="fold")
    for row in frame.astype("object").where(frame.notna(), "").itertuples(index=False):
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else escape(_printable(cell)) for cell in row))
    return table


def _printable(cell: object) -> str:
    """Return a cell with unprintable characters replaced: file names could contain terminal escape sequences."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(cell))


def files_report(warehouse: Warehouse, limit: int = 20) -> Table:
    """Return the newest files: rows read, loaded, updated, unchanged, rejected and waiting, outcome and reason."""
    with warehouse.reading() as tx:
        files = file_table(tx, limit=limit)
    counts = [*COUNTS, *(["rows_withdrawn"] if files["rows_withdrawn"].any() else [])]
    shown = files[["name", *counts, "outcome", "reason"]].rename(columns=lambda name: name.removeprefix("rows_"))
    if not shown["reason"].any():
        shown = shown.drop(columns="reason")
    return _table("Files", shown, tuple(name.removeprefix("rows_") for name in counts))


def to_do_report(warehouse: Warehouse, settings: Settings) -> Table | None:
    """Return the files that require an action by a person, and the action; None if there are none."""
    with warehouse.reading() as tx:
        waiting = to_do(tx)
        refused = [
            (
                f"data/reference/{reference_file(script.name)}.csv",
                f"not accepted: {mistake}",
                "Correct the file. Until then its last valid version applies.",
            )
            for script in scripts().values()
            if script.has_rules and script.name == reference_file(script.name)
            for mistake in refused_rules(tx, script)[:5]
        ]
    left = [(each.name, "in landing, but not picked up", each.why) for each in left_alone(settings.landing)]
    waiting = pd.concat([waiting, pd.DataFrame(left + refused, columns=["file", "what", "what_to_do"])])
    if waiting.empty:
        return None
    return _table("Action required", waiting.rename(columns={"what_to_do": "what to do"}))


def promises_report(promises: Sequence[Promise]) -> Table:
    """Return each consistency check, the number of items checked, and the violations."""
    table = Table(title="Consistency of ledger, archive and warehouse", title_justify="left", header_style="bold")
    for column in ("", "check", "items checked", "violations"):
        table.add_column(column, justify="right" if column == "items checked" else "left", overflow="fold")
    for promise in promises:
        mark = "[red]✗[/red]" if promise.broken else "[green]✓[/green]"
        table.add_row(mark, promise.name, f"{promise.looked_at:,}", escape("\n".join(promise.broken)))
    return table


def reprocessed_report(again: Sequence[Again]) -> Table:
    """Return the reloaded files with their outcomes before and after."""
    files = pd.DataFrame([(file.name, file.before, file.after) for file in again], columns=["file", "before", "after"])
    return _table("Reloaded files", files)


def tiers_report(warehouse: Warehouse) -> Table:
    """Return the number of current students in each risk tier."""
    found = warehouse.frame("SELECT risk_tier, COUNT(*) AS students FROM v_student_risk_monitor GROUP BY risk_tier")
    return _tiers({str(row["risk_tier"]): int(row["students"]) for row in found.to_dict("records")})


def _tiers(counts: Mapping[str, int]) -> Table:
    total = sum(counts.values()) or 1
    table = Table(title="Students per risk tier", title_justify="left", header_style="bold")
    for column in ("tier", "students", "share"):
        table.add_column(column, justify="left" if column == "tier" else "right")
    for tier in TIERS:
        count = counts.get(tier, 0)
        table.add_row(tier, f"{count:,}", f"{100 * count / total:.1f} %", style=TIER_STYLE.get(tier, ""))
    return table


def reasons_report(warehouse: Warehouse, limit: int = 10) -> Table:
    """Return the students with the highest risk scores, by id, with all reasons."""
    rows = warehouse.frame(
        "SELECT student_id, grade_level AS grade, risk_tier AS tier, risk_score AS score, reasons"
        f" FROM v_student_risk_monitor ORDER BY risk_score DESC, student_id LIMIT {limit:d}"
    )
    return _table(f"The {limit} highest-risk students, with reasons", rows, ("score",))


def movers_report(warehouse: Warehouse, limit: int = 10) -> Table | None:
    """Return the students, by id, whose tier got worse in the last week; None if there are none."""
    rows = warehouse.frame(
        'SELECT student_id, tier_before AS "a week ago", risk_tier AS now, since, reasons FROM v_risk_movers'
        f" WHERE direction = 'WORSE' ORDER BY since DESC, student_id LIMIT {limit:d}"
    )
    return None if rows.empty else _table("Got worse in the last week", rows)


def homerooms_report(warehouse: Warehouse, limit: int = 15) -> Table:
    """Return the homerooms with the most students at risk, with their students per tier."""
    rows = warehouse.frame(
        'SELECT school_id AS school, homeroom, students, high, moderate, watch, got_worse AS "got worse"'
        f" FROM v_homerooms ORDER BY high DESC, moderate DESC, school_id, homeroom LIMIT {limit:d}"
    )
    return _table(
        "Homerooms with the most students at risk", rows, ("students", "high", "moderate", "watch", "got worse")
    )


def looking_back_report(day: date, again: pd.DataFrame, said: pd.DataFrame) -> list[Table]:
    """Return the tiers of a day as recomputed today, and the students whose tier recorded on that day differs.

    again: the result of `risk_as_of`; said: the result of `risk_said_on`.
    """
    tables = [
        _tiers({str(tier): int(n) for tier, n in again["risk_tier"].value_counts().items()} if len(again) else {})
    ]
    if said.empty:
        return tables
    both = again.merge(said, on="student_id", suffixes=("_now", "_then"))
    other = both[both["risk_tier_now"] != both["risk_tier_then"]]
    if len(other):
        shown = other[["student_id", "risk_tier_then", "reasons_then", "risk_tier_now", "reasons_now"]].head(20)
        names = {
            "risk_tier_then": "recorded then",
            "reasons_then": "reasons then",
            "risk_tier_now": "recomputed today",
            "reasons_now": "reasons today",
        }
        tables.append(
            _table(
                f"{len(other):,} students with another tier on {day} when recomputed today", shown.rename(columns=names)
            )
        )
    return tables


def trend_report(warehouse: Warehouse, table: str, value: str, weight: str, title: str) -> Table | None:
    """Return a Spark aggregate as grade levels by month, in percent; None if Spark has not run yet."""
    rows = warehouse.frame(
        f"SELECT t.grade_level, COALESCE(MIN(g.sort_order), 99) AS sort_order, t.month_key,"
        f" SUM(t.{value} * t.{weight}) / SUM(t.{weight}) AS percent FROM {table} AS t"
        " LEFT JOIN (SELECT grade_level, MIN(sort_order) AS sort_order FROM dim_grade_levels GROUP BY grade_level) AS g"
        " ON g.grade_level = t.grade_level GROUP BY t.grade_level, t.month_key"
    )
    if rows.empty:
        return None
    rows["month"] = [f"{key // 100}-{key % 100:02}" if key else "undated" for key in rows["month_key"]]
    by_month = rows.pivot_table(index=["sort_order", "grade_level"], columns="month", values="percent")
    shown = by_month.round(1).astype("str").replace("nan", "").reset_index().drop(columns="sort_order")
    return _table(title, shown.rename(columns={"grade_level": "grade level"}), tuple(by_month.columns))


def print_report(warehouse: Warehouse, settings: Settings, console: Console) -> None:
    """Print all reports of `status`."""
    console.print(files_report(warehouse))
    needed = to_do_report(warehouse, settings)
    if needed is not None:
        console.print(needed)
    console.print(tiers_report(warehouse), reasons_report(warehouse))
    worse = movers_report(warehouse)
    if worse is not None:
        console.print(worse)
    for table, value, weight, title in (
        ("agg_attendance_trend", "attendance_rate", "records", "Attendance rate by grade level, % (Spark)"),
        ("agg_score_trend", "average_score", "scores", "Average score by grade level, % (Spark)"),
    ):
        trend = trend_report(warehouse, table, value, weight, title)
        if trend is not None:
            console.print(trend)
