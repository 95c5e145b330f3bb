"""Reads the reference files that an analyst edits (data/reference/*.csv) and expands the calendar to one row per day.

The files are validated in `reference_checks.py` and merged by `sql/core`.
"""

import hashlib
import io
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import pandas as pd

from student360.contracts import contracts
from student360.ingest.dates import EARLIEST, LATEST
from student360.rules.reference_checks import (
    CALENDAR_COLUMNS,
    HEADER_LINE,
    Mistake,
    ReferenceProblem,
    mistakes_in,
    unreadable,
)
from student360.settings import Settings
from student360.warehouse.scripts import Script, scripts

FIRST_MONTH_OF_SCHOOL_YEAR = 7
SAME_FILE = {"dim_school_closures": "dim_dates"}


def reference_file(name: str) -> str:
    """Return the name of a table's reference file, without .csv."""
    return SAME_FILE.get(name, name)


def reference_path(name: str, settings: Settings) -> Path:
    """Return the path of a table's reference file."""
    return settings.reference_dir / f"{reference_file(name)}.csv"


def _active_name(file: str, settings: Settings) -> str:
    """Return the configured rule set or language for the files that contain several; empty for other files."""
    return {"risk_rules": settings.rule_set, "risk_texts": settings.language}.get(file, "")


def reference_text(name: str, settings: Settings) -> str:
    """Return the content of a table's reference file; empty if there is no calendar file.

    Raises ReferenceProblem if another file is missing or a file cannot be read.
    """
    path = reference_path(name, settings)
    if not path.exists():
        if path.stem == "dim_dates":
            return ""
        raise ReferenceProblem(path.name, [Mistake(HEADER_LINE, "(file)", "", "the file is missing")])
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ReferenceProblem(path.name, [unreadable(type(error).__name__)]) from None


def check_reference(name: str, text: str, settings: Settings) -> None:
    """Validate the content of a table's reference file. Raises ReferenceProblem with all mistakes."""
    file = reference_file(name)
    active = _active_name(file, settings)
    known = _known_names(settings) if active else ()
    mistakes = _mistakes(file, text, active, known) if text else ()
    if mistakes:
        raise ReferenceProblem(f"{file}.csv", mistakes)


@lru_cache
def _mistakes(file: str, text: str, active: str, known: tuple[tuple[str, frozenset[str]], ...]) -> tuple[Mistake, ...]:
    return tuple(mistakes_in(file, _parsed(file, text), active, dict(known)))


@lru_cache
def reference_rows(name: str, text: str) -> pd.DataFrame | None:
    """Return the content of a reference file as rows for a table; None if it is empty.

    Columns are text with None for blank cells; the calendar is expanded to one row per day (`calendar`). The content
    must have passed `check_reference`.
    """
    file = reference_file(name)
    if file == "dim_dates":
        events = _parsed(file, text or ",".join(CALENDAR_COLUMNS))
        return calendar(events) if name == "dim_dates" else school_closures(events)
    return _parsed(file, text) if text else None


@lru_cache
def _parsed(file: str, text: str) -> pd.DataFrame:
    try:
        frame = pd.read_csv(io.StringIO(text), dtype="str", keep_default_na=False, skip_blank_lines=False)
    except ValueError as error:
        raise ReferenceProblem(f"{file}.csv", [unreadable(str(error).partition("\n")[0])]) from None
    stripped = frame.apply(lambda column: column.astype("object").str.strip())
    return stripped.replace({"": None})


def _known_names(settings: Settings) -> tuple[tuple[str, frozenset[str]], ...]:
    """Return the indicators and grade bands that one reference file defines and another may refer to."""
    wanted = {"indicator": ("risk_indicators", "indicator"), "grade_band": ("dim_grade_levels", "grade_band")}
    found: dict[str, frozenset[str]] = {}
    for name, (file, column) in wanted.items():
        path = settings.reference_dir / f"{file}.csv"
        rows = pd.read_csv(path, dtype="str") if path.exists() else pd.DataFrame()
        found[name] = frozenset(rows[column].dropna()) if column in rows else frozenset()
    return tuple(found.items())


def reference_digest(script: Script, settings: Settings) -> str:
    """Return a hash of a table's reference file and of the SQL that merges it."""
    path = reference_path(script.name, settings)
    rules = path.read_bytes() if path.exists() else b""
    return hashlib.sha256(rules + _active_name(script.name, settings).encode() + script.text.encode()).hexdigest()


def rules_digest(settings: Settings) -> str:
    """Return a hash of all reference files and of the settings that affect figures."""
    digest = hashlib.sha256(f"{settings.rule_set}|{settings.day_rule}|{settings.attendance_sent}".encode())
    for path in sorted(settings.reference_dir.glob("*.csv")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def stale_rules(known: Mapping[str, str], settings: Settings) -> list[str]:
    """Return the tables of sql/core that no feed loads and whose reference file or SQL changed since the last merge.

    known: the warehouse's settings by name; `rules:<table>` is the digest that was merged last.
    """
    loaded = {contract.loads for contract in contracts().values()}
    return [
        script.name
        for script in scripts().values()
        if script.layer == "core"
        and script.name not in loaded
        and known.get(f"rules:{script.name}") != reference_digest(script, settings)
    ]


def calendar(events: pd.DataFrame) -> pd.DataFrame:
    """Return every day from 1990 to 2059, and the unknown day 0, as rows of dim_dates.

    events: first_date, last_date (ISO text, inclusive), event, name and school_id; events of a single school are
    ignored (see `school_closures`). A school_year is identified by the year of its last day; days outside of it are not
    instructional. no_school closes days, school_day opens days (e.g. a make-up Saturday). Without events, school years
    run from July to June and Monday to Friday are instructional.
    """
    days = pd.Series(pd.date_range(EARLIEST, LATEST, freq="D"))
    part = days.dt
    iso = part.isocalendar()
    frame = pd.DataFrame(
        {
            "date_key": part.year * 10_000 + part.month * 100 + part.day,
            "full_date": part.date,
            "day_number": (days - pd.Timestamp("1970-01-01")).dt.days,
            "day_of_week": part.dayofweek + 1,
            "week_key": iso["year"].astype("int64") * 100 + iso["week"].astype("int64"),
            "month_key": part.year * 100 + part.month,
            "school_year": part.year + (part.month >= FIRST_MONTH_OF_SCHOOL_YEAR),
            "term": pd.Series(None, index=days.index, dtype="object"),
            "is_instructional": (part.dayofweek < 5).astype("int64"),
            "is_closed": 0,
        }
    ).astype({"day_number": "int64", "school_year": "int64"})
    everywhere = events[events["school_id"].isna()] if "school_id" in events else events
    order = {"school_year": 0, "term": 1, "no_school": 2, "school_day": 3}
    for event in everywhere.sort_values("event", key=lambda names: names.map(order)).to_dict("records"):
        inside = days.between(pd.Timestamp(event["first_date"]), pd.Timestamp(event["last_date"])).to_numpy()
        match event["event"]:
            case "school_year":
                year = pd.Timestamp(event["last_date"]).year
                frame.loc[inside, "school_year"] = year
                frame.loc[(frame["school_year"] == year) & ~inside, "is_instructional"] = 0
            case "term":
                frame.loc[inside, "term"] = event["name"]
            case "no_school":
                frame.loc[inside, ["is_instructional", "is_closed"]] = [0, 1]
            case "school_day":
                frame.loc[inside, ["is_instructional", "is_closed"]] = [1, 0]
    unknown_day = {"date_key": 0, "month_key": 0, "school_year": 0, "is_instructional": 0, "is_closed": 0}
    first_row = pd.DataFrame([unknown_day]).reindex(columns=frame.columns).astype({"term": "object"})
    nullable = dict.fromkeys(("day_number", "day_of_week", "week_key"), "Int64")
    return pd.concat([first_row.astype(nullable), frame.astype(nullable)], ignore_index=True)


def school_closures(events: pd.DataFrame) -> pd.DataFrame:
    """Return the days on which a single school is closed: date_key (int64) and school_id (text)."""
    own = events[events["school_id"].notna()] if "school_id" in events else events.iloc[:0]
    closed = [
        pd.DataFrame(
            {
                "date_key": pd.date_range(event["first_date"], event["last_date"]).strftime("%Y%m%d").astype("int64"),
                "school_id": event["school_id"],
            }
        )
        for event in own.to_dict("records")
    ]
    empty = pd.DataFrame({"date_key": pd.Series(dtype="int64"), "school_id": pd.Series(dtype="str")})
    return pd.concat(closed, ignore_index=True) if closed else empty
