"""The rules that an analyst edits: data/reference/*.csv read as text, the calendar spelt out day by day.

Belongs here: reading and checking reference files. Does not belong here: merging them (`sql/core`).
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from student360.contracts import contracts
from student360.ingest.dates import EARLIEST, LATEST
from student360.settings import Settings
from student360.warehouse.scripts import Script, scripts

FIRST_MONTH_OF_SCHOOL_YEAR = 7
CALENDAR_COLUMNS = ("first_date", "last_date", "event", "name")
CALENDAR_EVENTS = ("school_year", "term", "no_school")


class ReferenceProblem(Exception):
    """A reference file cannot be used; says which, where and why."""


def read_reference(path: Path) -> pd.DataFrame:
    """A reference CSV as text columns; blank cells are None. Raises ReferenceProblem."""
    try:
        frame = pd.read_csv(path, dtype="str", keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ReferenceProblem(f"{path.name}: {error}") from None
    key = frame.columns[0]
    if path.stem.startswith("dim_") and path.stem != "dim_dates" and frame[key].duplicated().any():
        line = int(np.flatnonzero(frame[key].duplicated())[0]) + 2
        raise ReferenceProblem(f"{path.name}, line {line}: {key} stands twice")
    return frame.astype("object").replace({"": None})


def reference_digest(script: Script, settings: Settings) -> str:
    """A hash of what data/reference says for a table and of how it is merged."""
    path = settings.reference_dir / f"{script.name}.csv"
    rules = path.read_bytes() if path.exists() else b""
    return hashlib.sha256(rules + script.text.encode()).hexdigest()


def rules_digest(settings: Settings) -> str:
    """A hash of all reference files and of the settings that views know."""
    digest = hashlib.sha256(f"{settings.rule_set}|{settings.as_of_date}".encode())
    for path in sorted(settings.reference_dir.glob("*.csv")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def stale_rules(known: Mapping[str, str], settings: Settings) -> list[str]:
    """The tables of sql/core that no feed loads and whose rules changed since they were merged.

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


def reference_frame(name: str, settings: Settings) -> pd.DataFrame | None:
    """What data/reference says for a table; None if there is nothing to say."""
    path = settings.reference_dir / f"{name}.csv"
    if name == "dim_dates":
        events = read_reference(path) if path.exists() else pd.DataFrame(columns=list(CALENDAR_COLUMNS))
        return calendar(events)
    return read_reference(path) if path.exists() else None


def calendar(events: pd.DataFrame) -> pd.DataFrame:
    """Every day from 1990 to 2059, and the unknown day 0, as rows of dim_dates.

    events: first_date, last_date (ISO text, inclusive), event (school_year, term or no_school) and name. A school
    year is named by the year its last day is in. Without events a school year runs from July to June and school is
    from Monday to Friday. Raises ReferenceProblem for an unknown event or a date that cannot be read.
    """
    unknown = set(events["event"].dropna()) - set(CALENDAR_EVENTS)
    if unknown:
        raise ReferenceProblem(f"dim_dates.csv: unknown event {', '.join(sorted(unknown))}")
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
        }
    ).astype({"day_number": "int64", "school_year": "int64"})
    for event in events.to_dict("records"):
        try:
            first, last = pd.Timestamp(event["first_date"]), pd.Timestamp(event["last_date"])
        except ValueError:
            raise ReferenceProblem(f"dim_dates.csv: {event['event']}: dates must be yyyy-mm-dd") from None
        inside = days.between(first, last).to_numpy()
        match event["event"]:
            case "school_year":
                frame.loc[inside, "school_year"] = last.year
            case "term":
                frame.loc[inside, "term"] = event["name"]
            case "no_school":
                frame.loc[inside, "is_instructional"] = 0
    unknown_day = {"date_key": 0, "month_key": 0, "school_year": 0, "is_instructional": 0}
    first_row = pd.DataFrame([unknown_day]).reindex(columns=frame.columns).astype({"term": "object"})
    nullable = dict.fromkeys(("day_number", "day_of_week", "week_key"), "Int64")
    return pd.concat([first_row.astype(nullable), frame.astype(nullable)], ignore_index=True)
