"""Parsing of dates, and detection of the order of day and month in a column.

ISO dates are always parsed. For other forms the order of day and month is the feed's setting, or is proven by the file
itself if a number above 12 occurs in one position and never in the other. The order is never guessed.
"""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache

import pandas as pd

EARLIEST, LATEST = date(1990, 1, 1), date(2059, 12, 31)
EARLIEST_BIRTH = date(1900, 1, 1)
FEW_TEXTS = 32
YEAR_FIRST = re.compile(r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?)?")
YEAR_LAST = re.compile(r"(?P<a>\d{1,2})(?P<s>[-/.])(?P<b>\d{1,2})(?P=s)(?P<y>\d{4})(?: 0?0:00(?::00)?)?")


class DateOrder(StrEnum):
    """The position of the month in a date such as 03/04/2026."""

    MONTH_FIRST = "month_first"
    DAY_FIRST = "day_first"
    UNKNOWN = "unknown"
    CONTRADICTORY = "contradictory"


@dataclass(frozen=True)
class Evidence:
    """Evidence in the values of a column about its date order; `is_needed` if any of them is not in ISO form."""

    first_above_12: bool = False
    second_above_12: bool = False
    is_needed: bool = False

    def __or__(self, other: "Evidence") -> "Evidence":
        return Evidence(
            self.first_above_12 or other.first_above_12,
            self.second_above_12 or other.second_above_12,
            self.is_needed or other.is_needed,
        )

    @property
    def order(self) -> DateOrder:
        if self.first_above_12 and self.second_above_12:
            return DateOrder.CONTRADICTORY
        if self.first_above_12:
            return DateOrder.DAY_FIRST
        return DateOrder.MONTH_FIRST if self.second_above_12 else DateOrder.UNKNOWN


def evidence(texts: pd.Series) -> Evidence:
    """Return what distinct date texts (str) prove about the date order. Results for few texts are cached."""
    return _evidence_of_few(tuple(texts)) if len(texts) <= FEW_TEXTS else _evidence(texts)


@lru_cache(maxsize=512)
def _evidence_of_few(texts: tuple[str, ...]) -> Evidence:
    return _evidence(pd.Series(texts, dtype="object"))


def _evidence(texts: pd.Series) -> Evidence:
    parts = texts.str.strip().str.extract(f"^{YEAR_LAST.pattern}$")[["a", "b"]].dropna().astype(int)
    return Evidence(
        first_above_12=bool(parts["a"].between(13, 31).any()),
        second_above_12=bool(parts["b"].between(13, 31).any()),
        is_needed=len(parts) > 0,
    )


def parse_dates(texts: pd.Series, order: DateOrder) -> pd.DataFrame:
    """Parse distinct date texts into a frame with `value` (datetime64[ns], NaT if invalid) and `reason`.

    reason is None or a code of problems.CELL_REASONS: date_format, date_ambiguous, date_invalid, date_range.
    """
    text = texts.astype("object").str.strip()
    iso = text.str.extract(f"^{YEAR_FIRST.pattern}$")
    other = text.str.extract(f"^{YEAR_LAST.pattern}$")
    first, second = pd.to_numeric(other["a"]), pd.to_numeric(other["b"])
    # In a column with contradictory orders, a date is still certain if one of its numbers is above 12.
    month_first = (order is DateOrder.MONTH_FIRST) | ((order is DateOrder.CONTRADICTORY) & (second > 12))
    unsettled = order in (DateOrder.UNKNOWN, DateOrder.CONTRADICTORY)
    ambiguous = other["y"].notna() & unsettled & (first <= 12) & (second <= 12) & (first != second)
    month = pd.to_numeric(iso["m"]).fillna(first.where(month_first, second))
    day = pd.to_numeric(iso["d"]).fillna(second.where(month_first, first))
    year = pd.to_numeric(iso["y"].where(iso["y"].notna(), other["y"]))
    value = pd.to_datetime(pd.DataFrame({"year": year, "month": month, "day": day}), errors="coerce").where(~ambiguous)
    reason = pd.Series(None, index=texts.index, dtype="object")
    reason[value.isna()] = "date_invalid"
    reason[(year < EARLIEST_BIRTH.year) | (year > LATEST.year)] = "date_range"
    reason[ambiguous] = "date_ambiguous"
    reason[year.isna()] = "date_format"
    return pd.DataFrame({"value": value.astype("datetime64[ns]"), "reason": reason})


def date_key(day: date) -> int:
    """Return a day as an integer key: 2026-01-31 is 20260131."""
    return day.year * 10_000 + day.month * 100 + day.day
