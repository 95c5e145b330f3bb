"""Contradicting rows of a file are found at any distance and in any number of chunks."""

from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from student360.contracts import contracts
from student360.ingest import repeats
from student360.ingest.repeats import Repeats

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["S1", "S2", "S3"]),
        st.sampled_from([20260105, 20260106]),
        st.sampled_from([None, "math"]),
        st.sampled_from(["present", "absent"]),
    ),
    max_size=40,
)


def staged(rows: list[tuple[str, int, str | None, str]], first_line: int) -> pd.DataFrame:
    """Return a staged chunk of attendance with the dtypes of cleaned values."""
    frame = pd.DataFrame(rows, columns=["student_id", "date_key", "subject", "attendance_status"])
    frame["subject_label"] = frame["subject"]
    texts = ["student_id", "subject", "subject_label", "attendance_status"]
    frame = frame.astype({"date_key": "Int64", **dict.fromkeys(texts, "category")})
    if not frame["subject"].notna().any():
        frame = frame.astype({"subject": "string", "subject_label": "string"})
    absent = pd.Series(None, index=frame.index, dtype="string")
    return frame.assign(period=absent, school_id=absent, line_no=range(first_line, first_line + len(rows)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(rows=ROWS, size=st.integers(1, 12), at_once=st.sampled_from([1, 7, 1_000]))
def test_contradicting_lines_are_those_whose_key_has_several_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[tuple], size: int, at_once: int
) -> None:
    monkeypatch.setattr(repeats, "ROWS_AT_ONCE", at_once)
    found = Repeats(contracts()["attendance"], tmp_path)
    values = defaultdict(set)
    for start in range(0, len(rows), size):
        found.add(staged(rows[start : start + size], start))
    for *key, status in rows:
        values[tuple(key)].add(status)
    expected = [line for line, (*key, _) in enumerate(rows) if len(values[tuple(key)]) > 1]
    assert found.contradicting_lines().tolist() == expected
    found.close()
    assert not list(tmp_path.iterdir()), "temporary files are left"


def test_rows_distinguished_by_their_order_never_contradict_each_other(tmp_path: Path) -> None:
    contract = contracts()["performance"]
    column = contract.told_apart_by_order_without
    rows = pd.DataFrame({name: pd.Series([1, 2], dtype="Int64") for name in contract.value_columns})
    rows = rows.assign(line_no=[2, 3], **dict.fromkeys(contract.natural_key, 7))
    for value, lines in ((7, [2, 3]), (None, [])):
        found = Repeats(contract, tmp_path)
        found.add(rows.assign(**{str(column): pd.Series([value, value], dtype="Int64")}))
        assert found.contradicting_lines().tolist() == lines
        found.close()
