"""Conversion of text cells to typed values, with one cleaner per kind of column.

Contains pure functions over the distinct values of a column, because most columns of a file with millions of rows have
few distinct values. Rows and rejects are built in `staging.py`.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from student360.contracts import Column, Kind
from student360.ingest.dates import EARLIEST, EARLIEST_BIRTH, FEW_TEXTS, LATEST, DateOrder, parse_dates

MISSING_TOKENS = ("", "-", "n/a", "na", "null", "none", "#n/a")
MAX_CELL = 100_000
CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
INVISIBLE = r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
NUMBER = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)$"
IDENTIFIER = r"^[\w.\-]{1,64}$"
PLAIN_IDENTIFIER = r"^[A-Za-z0-9_.\-]{1,64}$"
SCIENTIFIC = r"^[0-9]+\.[0-9]+[eE]\+[0-9]+$"
YES_NO = {
    **dict.fromkeys(("yes", "y", "true", "t", "1", "✓", "✔", "✅"), 1),
    **dict.fromkeys(("no", "n", "false", "f", "0", "❌", "✗"), 0),
}


@dataclass(frozen=True)
class Reading:
    """The input of cleaning that is not in the contract: the date order and the latest valid day."""

    order: DateOrder
    latest: date


@dataclass(frozen=True)
class Cleaned:
    """The typed distinct values of a column, and for each the reason why it is rejected, or None."""

    values: pd.Series
    reasons: pd.Series


def clean_values(texts: pd.Series, column: Column, reading: Reading) -> Cleaned:
    """Convert the distinct texts of a column. Returns values and reasons with the same index.

    A missing value is null and, if the column is not nullable, has the reason missing_value. Results for at most 32
    texts are cached: files of a burst repeat the same days and codes, and pandas takes 10 ms per column regardless of
    its length.
    """
    if len(texts) <= FEW_TEXTS:
        return _clean_few(tuple(texts), column, reading)
    if column.kind is Kind.IDENTIFIER:
        return _clean_identifiers(texts, column, reading)
    return _clean(texts, column, reading)


def _clean_identifiers(texts: pd.Series, column: Column, reading: Reading) -> Cleaned:
    """Clean identifiers, of which a block has tens of thousands.

    Nearly all of them need no change; Arrow finds those that do. 50,000 identifiers take 15 ms instead of 90.
    """
    plain = pc.match_substring_regex(pa.array(texts, pa.string()), PLAIN_IDENTIFIER).to_numpy(zero_copy_only=False)
    if plain.all():
        return Cleaned(texts, _no_reasons(texts))
    others = _clean(texts[~plain], column, reading)
    values, reasons = texts.copy(), _no_reasons(texts)
    values[~plain], reasons[~plain] = others.values, others.reasons
    return Cleaned(values, reasons)


@lru_cache(maxsize=512)
def _clean_few(texts: tuple[str, ...], column: Column, reading: Reading) -> Cleaned:
    return _clean(pd.Series(texts, dtype="object"), column, reading)


def _clean(texts: pd.Series, column: Column, reading: Reading) -> Cleaned:
    tidy = _tidied(texts)
    cleaned = CLEANERS[column.kind](tidy, column, reading)
    missing = _missing(tidy, column.kind)
    reasons = cleaned.reasons.mask(missing, None if column.nullable else "missing_value")
    values = cleaned.values.mask(missing | reasons.notna())
    reasons = reasons.mask(texts.str.contains(CONTROL, regex=True), "control_char")
    return Cleaned(values, reasons.mask(texts.str.len() > MAX_CELL, "too_long"))


def _tidied(texts: pd.Series) -> pd.Series:
    """Normalize texts to NFC and strip white space, including NBSP."""
    return texts.astype("object").str.normalize("NFC").str.strip()


def _missing(tidy: pd.Series, kind: Kind) -> pd.Series:
    if kind in (Kind.NAME, Kind.TEXT, Kind.IDENTIFIER):
        return tidy == ""
    return tidy.str.lower().isin(MISSING_TOKENS)


def _no_reasons(tidy: pd.Series) -> pd.Series:
    return pd.Series(None, index=tidy.index, dtype="object")


def _reasons_where(bad: pd.Series, reason: str) -> pd.Series:
    return _no_reasons(bad).mask(bad, reason)


def _identifier(tidy: pd.Series, column: Column, reading: Reading) -> Cleaned:
    text = tidy.str.replace(r'^="(.*)"$', r"\1", regex=True)
    bad = ~text.str.match(IDENTIFIER) | text.str.match(SCIENTIFIC) | text.str.contains(INVISIBLE, regex=True)
    return Cleaned(text, _reasons_where(bad, "bad_id"))


def _text(tidy: pd.Series, column: Column, reading: Reading) -> Cleaned:
    return Cleaned(tidy, _no_reasons(tidy))


def _name(tidy: pd.Series, column: Column, reading: Reading) -> Cleaned:
    text = tidy.str.replace(INVISIBLE, "", regex=True).str.replace(r"\s+", " ", regex=True)
    return Cleaned(text, _no_reasons(tidy))


def _code(tidy: pd.Series, column: Column, reading: Reading) -> Cleaned:
    text = tidy.str.replace("\ufe0f", "").str.replace(r"\s+", " ", regex=True)
    return Cleaned(text.map(str.casefold), _no_reasons(tidy))


def _date(tidy: pd.Series, column: Column, reading: Reading) -> Cleaned:
    parsed = parse_dates(tidy, reading.order)
    earliest = EARLIEST if column.kind is Kind.DAY else EARLIEST_BIRTH
    latest = reading.latest if column.not_in_future else LATEST
    outside = (parsed["value"] < pd.Timestamp(earliest)) | (parsed["value"] > pd.Timestamp(latest))
    return Cleaned(parsed["value"], parsed["reason"].mask(outside, "date_range"))


def _day(tidy: pd.Series, column: Column, reading: Reading) -> Cleaned:
    dates = _date(tidy, column, reading)
    day = dates.values.dt
    keys = (day.year * 10_000 + day.month * 100 + day.day).astype("Int64")
    return Cleaned(keys, dates.reasons)


def _number(tidy: pd.Series, column: Column, reading: Reading) -> Cleaned:
    bad = ~tidy.str.match(NUMBER)
    values = pd.to_numeric(tidy.mask(bad), errors="coerce").astype("float64")
    bad |= np.isinf(values)
    return Cleaned(values.mask(bad), _reasons_where(bad, "number_format"))


def _percent(tidy: pd.Series, column: Column, reading: Reading) -> Cleaned:
    numbers = _number(tidy.str.replace(r"\s*%$", "", regex=True), column, reading)
    return Cleaned(numbers.values, numbers.reasons.mask(numbers.reasons.notna(), "percent_format"))


def _yes_no(tidy: pd.Series, column: Column, reading: Reading) -> Cleaned:
    values = tidy.str.replace("\ufe0f", "").str.lower().map(YES_NO).astype("Int64")
    return Cleaned(values, _reasons_where(values.isna(), "yes_no"))


CLEANERS: dict[Kind, Callable[[pd.Series, Column, Reading], Cleaned]] = {
    Kind.IDENTIFIER: _identifier,
    Kind.NAME: _name,
    Kind.TEXT: _text,
    Kind.LABEL: _name,
    Kind.CODE: _code,
    Kind.DAY: _day,
    Kind.DATE: _date,
    Kind.NUMBER: _number,
    Kind.PERCENT: _percent,
    Kind.YES_NO: _yes_no,
}


def label_key(label: str) -> str:
    """Return the key that a label is matched by: 'Math ' and 'MATH' have the same key."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", label)).strip().casefold()
