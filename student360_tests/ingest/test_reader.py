"""The strict CSV reader counts every row and never guesses."""

import codecs
import csv
import io
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from student360.contracts import contracts
from student360.ingest.problems import BadFile
from student360.ingest.reader import StrictCsv

HOMEWORK = contracts()["homework"]
ATTENDANCE = contracts()["attendance"]
HEADER = "Student_ID,Date,Attendance_Status\n"

cell = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12).filter(
    lambda text: "Student_ID" not in text
)
QUOTING: st.SearchStrategy[Literal[0, 1]] = st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
rows = st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=40)


def read(data: bytes, block_bytes: int = 2**16) -> tuple[list[list[str]], list[tuple[int, str]], int]:
    """Return the accepted rows as text, (line, reason code) of rejected rows, and the number of rows read."""
    good: list[list[str]] = []
    rejected: list[tuple[int, str]] = []
    count = 0
    for chunk in StrictCsv(io.BytesIO(data), ATTENDANCE, block_bytes):
        good += chunk.cells.drop(columns="line_no").astype("object").to_numpy().tolist()
        rejected += list(zip(chunk.rejects["line_no"], chunk.rejects["reason_code"], strict=True))
        count += chunk.rows_read
    return good, rejected, count


def written(table: list[tuple[str, str, str]], quoting: Literal[0, 1]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=quoting, lineterminator="\n").writerows(table)
    return (HEADER + buffer.getvalue()).encode()


@settings(max_examples=300, deadline=None)
@given(rows, QUOTING, st.sampled_from([64, 257, 2**16]))
def test_files_written_by_the_csv_module_are_read_back_unchanged(
    table: list[tuple[str, str, str]], quoting: Literal[0, 1], block_bytes: int
) -> None:
    good, rejected, count = read(written(table, quoting), block_bytes)
    expected = [list(row) for row in table if any(part.strip() for part in row) or quoting == csv.QUOTE_ALL]
    blank = [row for row in good if not any(part.strip() for part in row)]
    assert [row for row in good if row not in blank] == [row for row in expected if any(p.strip() for p in row)]
    assert rejected == []
    assert count == len(good)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([64, 2**16]))
def test_any_bytes_raise_bad_file_or_every_row_is_counted(noise: bytes, block_bytes: int) -> None:
    try:
        good, rejected, count = read(HEADER.encode() + noise, block_bytes)
    except BadFile as problem:
        assert str(problem)
    else:
        assert count == len(good) + len(rejected)


def test_rejected_rows_have_correct_line_numbers_after_quoted_line_breaks() -> None:
    data = HEADER + 'S1,2026-01-05,"Pre\nsent"\n\nS2,2026-01-05\nS3,2026-01-05,Present,more\nS4,2026-01-05,A\n'
    good, rejected, count = read(data.encode())
    assert rejected == [(5, "missing_cell"), (6, "extra_cell")]
    assert [row[0] for row in good] == ["S1", "S4"]
    assert count == 4


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(codecs.BOM_UTF8 + HEADER.encode() + b"S1,2026-01-05,P\n", ["S1"], id="B01 UTF-8 with BOM"),
        pytest.param((HEADER + "S1,2026-01-05,P\n").encode("utf-16"), ["S1"], id="B02 UTF-16 with BOM"),
        pytest.param(HEADER.encode() + b'S1,2026-01-05,"5" disk\n'.replace(b'"5"', b'5"'), ["S1"], id="B12 lone quote"),
        pytest.param(HEADER.replace("\n", "\r\n").encode() + b"S1,2026-01-05,P\r\n", ["S1"], id="B14 CRLF"),
        pytest.param(
            HEADER.replace("\n", "\r").encode() + b"S1,2026-01-05,P\rS2,2026-01-05,A", ["S1", "S2"], id="B14 CR"
        ),
        pytest.param(
            HEADER.encode() + b"S1,2026-01-05,P,\nS2,2026-01-05,A,,\n", ["S1", "S2"], id="B16 trailing commas"
        ),
        pytest.param(b"Student_ID;Date;Attendance_Status\nS1;2026-01-05;P\n", ["S1"], id="B09 semicolons"),
        pytest.param(b"Date,Attendance_Status,Student_ID\n2026-01-05,P,S1\n", ["S1"], id="B22 reordered"),
        pytest.param(b" student id ,DATE,Status\nS1,2026-01-05,P\n", ["S1"], id="B23 B24 aliases and case"),
        pytest.param(HEADER.encode() + b"\n  \nS1,2026-01-05,P\n\n", ["S1"], id="B30 blank lines"),
        pytest.param(HEADER.encode() + b"S1,2026-01-05,P", ["S1"], id="B38 no final newline"),
        pytest.param(HEADER.encode(), [], id="B28 header only"),
        pytest.param(HEADER.encode() + HEADER.encode() + b"S1,2026-01-05,P\n", ["S1"], id="B33 repeated header"),
    ],
)
def test_harmless_variations_are_accepted(data: bytes, expected: list[str]) -> None:
    ids = []
    for chunk in StrictCsv(io.BytesIO(data), ATTENDANCE):
        ids += chunk.cells["student_id"].to_list()
    assert ids == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(HEADER.encode() + b"S1,2026-01-05,Jos\xe9\n", "encoding", id="B03 cp1252"),
        pytest.param((HEADER + "S1,2026-01-05,P\n").encode("utf-16-le"), "encoding", id="B02 UTF-16 without BOM"),
        pytest.param(HEADER.encode() + b"S1,2026-01-05,P\n" + bytes(64), "nul_bytes", id="B07 NUL tail"),
        pytest.param(HEADER.encode() + b'S1,2026-01-05,"P\nS2,2026-01-05,P\n', "quote", id="B10 unclosed quote"),
        pytest.param(HEADER.encode() + b'S1,"2026-01-05"x,P\n', "quote", id="B11 text after a closing quote"),
        pytest.param(HEADER.encode() + b"S1,2026-01-05,P,x\nS2,2026-01-05,P,y\n", "column_count", id="B16 extra cells"),
        pytest.param(b"Student_ID,Date\nS1,2026-01-05\n", "missing_column", id="B18 missing column"),
        pytest.param(b"Student_ID,Date,Attendance_Status,Status\n", None, id="own name wins over an alias"),
        pytest.param(b"Student_ID,Date,Status,Code\n", "duplicate_column", id="B21 duplicate column"),
        pytest.param(b"Student_ID,Date,,Attendance_Status\n", "blank_header", id="B25 blank header"),
        pytest.param(b"", "empty_file", id="B26 empty"),
        pytest.param(b"\n  \n", "empty_file", id="B27 white space only"),
        pytest.param(b"S1,2026-01-05,P\n", "no_header", id="B29 no header"),
        pytest.param(b"Report of the day\n" + HEADER.encode(), "no_header", id="B31 title line"),
        pytest.param(b"PK\x03\x04" + bytes(30), "binary", id="B34 a zip"),
    ],
)
def test_a_bad_file_is_refused_with_a_reason_code(data: bytes, reason: str | None) -> None:
    if reason is None:
        list(StrictCsv(io.BytesIO(data), ATTENDANCE))
        return
    with pytest.raises(BadFile) as caught:
        list(StrictCsv(io.BytesIO(data), ATTENDANCE))
    assert caught.value.reason_code == reason


def test_the_error_for_a_misspelled_column_suggests_the_correct_name() -> None:
    with pytest.raises(BadFile, match="is it the column 'attendance_statu'"):
        list(StrictCsv(io.BytesIO(b"Student_ID,Date,Attendance_Statu\n"), ATTENDANCE))
