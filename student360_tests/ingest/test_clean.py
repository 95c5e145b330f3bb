"""Cells are converted to the type in the contract. A cell that cannot be converted is rejected with a reason."""

from datetime import date

import pandas as pd
import pytest

from student360.contracts import Column, Kind, contracts
from student360.contracts.performance import judge_scores
from student360.ingest.clean import Reading, clean_values
from student360.ingest.dates import FEW_TEXTS, DateOrder
from student360.ingest.problems import CELL_REASONS

READING = Reading(DateOrder.UNKNOWN, date(2026, 1, 31))


def cleaned(kind: Kind, text: str, nullable: bool = False) -> object:
    """Return the value, or the reason code in parentheses."""
    column = Column("x", kind, "", nullable=nullable, not_in_future=True)
    result = clean_values(pd.Series([text], dtype="object"), column, READING)
    reason = result.reasons.iloc[0]
    if pd.notna(reason):
        assert reason in CELL_REASONS
        return f"({reason})"
    value = result.values.iloc[0]
    return None if pd.isna(value) else value


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Kind.IDENTIFIER, "00123", "00123"),
        (Kind.IDENTIFIER, " S1\u00a0", "S1"),
        (Kind.IDENTIFIER, '="00123"', "00123"),
        (Kind.IDENTIFIER, "1e5", "1e5"),
        (Kind.IDENTIFIER, "1.23E+05", "(bad_id)"),
        (Kind.IDENTIFIER, "S 1", "(bad_id)"),
        (Kind.IDENTIFIER, "S\u200b1", "(bad_id)"),
        (Kind.IDENTIFIER, "'; DROP TABLE x;--", "(bad_id)"),
        (Kind.IDENTIFIER, "", "(missing_value)"),
        (Kind.NAME, "Null", "Null"),
        (Kind.NAME, "NA", "NA"),
        (Kind.NAME, "  Ana   O'Neil ", "Ana O'Neil"),
        (Kind.NAME, "Le\u0301a", "L\u00e9a"),
        (Kind.NAME, "A\0nn", "(control_char)"),
        (Kind.CODE, " Done ", "done"),
        (Kind.CODE, "✔\ufe0f", "✔"),
        (Kind.CODE, "N/A", "(missing_value)"),
        (Kind.DAY, "2026-01-05", 20260105),
        (Kind.DAY, "2026-03-05", "(date_range)"),
        (Kind.DAY, "1066-01-05", "(date_range)"),
        (Kind.DAY, "01/02/2026", "(date_ambiguous)"),
        (Kind.NUMBER, "105", 105.0),
        (Kind.NUMBER, "-5", -5.0),
        (Kind.NUMBER, "1.234,56", "(number_format)"),
        (Kind.NUMBER, "1,234", "(number_format)"),
        (Kind.NUMBER, "NaN", "(number_format)"),
        (Kind.NUMBER, "inf", "(number_format)"),
        (Kind.NUMBER, "1e400", "(number_format)"),
        (Kind.NUMBER, "1_000", "(number_format)"),
        (Kind.NUMBER, "٣", "(number_format)"),
        (Kind.NUMBER, "absent", "(number_format)"),
        (Kind.PERCENT, "100%", 100.0),
        (Kind.PERCENT, "90 %", 90.0),
        (Kind.PERCENT, "ninety", "(percent_format)"),
        (Kind.YES_NO, "Yes", 1),
        (Kind.YES_NO, "❌", 0),
        (Kind.YES_NO, "maybe", "(yes_no)"),
        (Kind.TEXT, "x" * 100_001, "(too_long)"),
        (Kind.TEXT, "=cmd|'/C calc'!A0", "=cmd|'/C calc'!A0"),
    ],
)
def test_a_cell_is_converted_or_rejected(kind: Kind, text: str, expected: object) -> None:
    assert cleaned(kind, text) == expected


@pytest.mark.parametrize("kind", list(Kind))
def test_an_empty_cell_is_null_if_the_column_is_nullable_and_rejected_otherwise(kind: Kind) -> None:
    assert cleaned(kind, "  ", nullable=True) is None
    assert cleaned(kind, "  ") == "(missing_value)"


def test_impossible_scores_keep_their_raw_value_and_are_excluded_from_averages() -> None:
    chunk = pd.DataFrame(
        {
            "exam_score": [88.0, 105.0, -1.0, None, 45.0],
            "max_score": [None, None, None, None, 50.0],
            "homework_completion": [90.0, -5.0, 100.0, None, 101.0],
        }
    )
    judged = judge_scores(chunk)
    assert judged["exam_score"].tolist()[:3] == [88.0, 105.0, -1.0]
    assert judged["percent_bp"].fillna(-1).tolist() == [8800, -1, -1, -1, 9000]
    assert judged["quality_flag"].tolist() == ["ok", "score_above_max", "score_below_zero", "score_missing", "ok"]
    assert judged["homework_bp"].fillna(-1).tolist() == [9000, -1, 10000, -1, -1]


def test_the_values_of_every_column_can_be_cleaned() -> None:
    for contract in contracts().values():
        for column in contract.columns:
            texts = pd.Series(["x"], dtype="object")
            assert len(clean_values(texts, column, READING).values) == 1


@pytest.mark.parametrize("kind", list(Kind))
def test_cached_values_are_converted_like_uncached_ones(kind: Kind) -> None:
    texts = ["2026-01-05", "13/01/2026", "Done", "", "N/A", "7", "95 %", "yes", "A\0nn", "S 1", "Grade 3"]
    column = Column("x", kind, "", nullable=False, not_in_future=True)
    many = pd.Series(texts + [f"x{number}" for number in range(FEW_TEXTS)], dtype="object")
    among_many = clean_values(many, column, READING)
    for reading in (READING, Reading(DateOrder.DAY_FIRST, date(2025, 1, 1)), READING):
        few = clean_values(pd.Series(texts, dtype="object"), column, reading)
    pd.testing.assert_series_equal(few.values, among_many.values.iloc[: len(texts)])
    pd.testing.assert_series_equal(few.reasons, among_many.reasons.iloc[: len(texts)])
