"""The date order is derived from evidence in the file, never guessed."""

from datetime import date

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from student360.ingest.dates import DateOrder, Evidence, date_key, evidence, parse_dates

days = st.dates(min_value=date(1990, 1, 1), max_value=date(2059, 12, 31))


def parsed(texts: list[str], order: DateOrder) -> list[str | None]:
    frame = parse_dates(pd.Series(texts, dtype="object"), order)
    pairs = zip(frame["value"], frame["reason"], strict=True)
    return [reason if isinstance(reason, str) else value.date().isoformat() for value, reason in pairs]


@given(st.lists(days, min_size=1, max_size=30))
def test_iso_dates_are_read_with_any_date_order(chosen: list[date]) -> None:
    for order in DateOrder:
        assert parsed([day.isoformat() for day in chosen], order) == [day.isoformat() for day in chosen]


@given(st.lists(days, min_size=1, max_size=30), st.booleans())
def test_ambiguous_dates_are_read_only_if_the_column_proves_their_order(chosen: list[date], month_first: bool) -> None:
    texts = [f"{day:%m/%d/%Y}" if month_first else f"{day:%d/%m/%Y}" for day in chosen]
    order = evidence(pd.Series(texts, dtype="object")).order
    proven = any(day.day > 12 for day in chosen)
    assert (order is not DateOrder.UNKNOWN) == proven
    for day, result in zip(chosen, parsed(texts, order), strict=True):
        same_either_way = day.day == day.month
        assert result == (day.isoformat() if proven or same_either_way else "date_ambiguous")


def test_a_column_with_contradictory_dates_keeps_only_unambiguous_dates() -> None:
    texts = ["13/01/2026", "01/13/2026", "02/03/2026"]
    order = evidence(pd.Series(texts, dtype="object")).order
    assert order is DateOrder.CONTRADICTORY
    assert parsed(texts, order) == ["2026-01-13", "2026-01-13", "date_ambiguous"]


def test_text_that_is_not_a_date_is_rejected() -> None:
    texts = ["2026-02-30", "45000", "20260102", "5/5/26", "soon", "2026-01-02T10:00:00", "2026-01-02 00:00:00"]
    assert parsed(texts, DateOrder.MONTH_FIRST) == [
        "date_invalid",
        "date_format",
        "date_format",
        "date_format",
        "date_format",
        "date_format",
        "2026-01-02",
    ]


def test_evidence_is_combined_over_chunks() -> None:
    none, day_first = Evidence(), Evidence(first_above_12=True)
    assert (none | day_first).order is DateOrder.DAY_FIRST
    assert (day_first | Evidence(second_above_12=True)).order is DateOrder.CONTRADICTORY
    assert date_key(date(2026, 1, 31)) == 20260131
