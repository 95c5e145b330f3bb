"""Bad inputs cause no exceptions: every row is counted, and every rejection has a reason."""

import io
import random
import tempfile
from datetime import date
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from student360.contracts import Contract, contracts
from student360.ingest.clean import Reading
from student360.ingest.dates import DateOrder
from student360.ingest.problems import BadFile
from student360.ingest.reader import StrictCsv
from student360.ingest.staging import stage_chunk
from student360.settings import PROJECT
from student360_tests.conftest import IN_FULL
from student360_tests.trust.bad_inputs import ATTENDANCE, CASES, HOMEWORK, MESSAGES, SCORES, STUDENTS
from student360_tests.trust.report import bad_inputs_page
from student360_tests.trust.try_bad_inputs import all_cases, try_all

HEADERS = {
    "attendance": ATTENDANCE,
    "students": STUDENTS,
    "performance": SCORES,
    "homework": HOMEWORK,
    "communication": MESSAGES,
}
CHARACTERS = ['"', ",", "\n", "\r", "\r\n", ";", "\t", "\0", "\ufeff", "'", "é", "\u200b", " ", "-", "1", "x"]
EXAMPLES = 300


@pytest.mark.parametrize(
    ("engine", "together"),
    [
        pytest.param("sqlite", False, id="sqlite-alone"),
        pytest.param("sqlite", True, id="sqlite-all at once"),
        pytest.param("postgres", False, id="postgres-alone", marks=IN_FULL),
        pytest.param("postgres", True, id="postgres-all at once"),
    ],
)
@pytest.mark.timeout(900)
def test_every_bad_input_has_the_expected_outcome(engine: str, together: bool, tmp_path: Path) -> None:
    results = try_all(engine, together, tmp_path)
    wrong = [f"{result.case.id} {result.case.what}: {result.problem}" for result in results if result.problem]
    assert not wrong, "\n".join(wrong)
    assert {result.case.id[:3] for result in results} == {f"B{number:02}" for number in range(1, 81)}


def test_the_page_of_bad_inputs_is_up_to_date() -> None:
    page = PROJECT / "docs" / "reference" / "bad-inputs.md"
    assert page.read_text() == bad_inputs_page(all_cases()), "run `make docs`"


def read(content: bytes, feed: str) -> tuple[int, int, int]:
    """Return (rows read, accepted, rejected) of a file. Raises BadFile if the whole file is refused."""
    contract = contracts()[feed]
    readings = {column.name: Reading(DateOrder.UNKNOWN, date(2026, 2, 2)) for column in contract.columns}
    total = accepted = rejected = 0
    for chunk in StrictCsv(io.BytesIO(content), contract):
        staged = stage_chunk(chunk, contract, readings)
        total += chunk.rows_read
        accepted += len(staged.rows)
        rejected += staged.rejects["line_no"].nunique()
        assert set(staged.rows["line_no"]).isdisjoint(staged.rejects["line_no"])
        assert staged.rejects["reason"].notna().all()
    return total, accepted, rejected


def assert_conserved(content: bytes, feed: str) -> None:
    try:
        total, accepted, rejected = read(content, feed)
    except BadFile as problem:
        assert len(str(problem)) > 20
        return
    assert total == accepted + rejected


@given(content=st.binary(max_size=400), feed=st.sampled_from(sorted(HEADERS)))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_bytes_give_rows_or_a_reason(content: bytes, feed: str) -> None:
    assert_conserved(content, feed)
    assert_conserved(HEADERS[feed].encode() + content, feed)


@st.composite
def damaged_files(draw: st.DrawFn) -> tuple[bytes, str]:
    """Generate a valid file in which some characters are inserted, removed or doubled, or which is truncated."""
    feed = draw(st.sampled_from(sorted(HEADERS)))
    good = {
        "attendance": "S1,2026-01-05,Present\n",
        "students": 'S1,"Costa, Ana",2014-01-02,Grade 3,555\n',
        "performance": 'S1,Math,70,50,"fine, ""really"""\n',
        "homework": "S1,Math,A 1,2026-01-05,Done,good,Yes\n",
        "communication": 'S1,2026-01-05,Teacher-to-Parent,"Dear\nfamily"\n',
    }[feed]
    text = list(HEADERS[feed] + good * draw(st.integers(1, 6)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(text) - 1))
        match draw(st.sampled_from(("insert", "remove", "double", "cut"))):
            case "insert":
                text.insert(place, draw(st.sampled_from(CHARACTERS)))
            case "remove" if len(text) > 1:
                text.pop(place)
            case "double":
                text.insert(place, text[place])
            case "cut":
                text = text[: max(place, 1)]
    return "".join(text).encode(), feed


@given(file=damaged_files())
@settings(max_examples=2 * EXAMPLES, deadline=None)
def test_a_damaged_file_loses_no_row_silently(file: tuple[bytes, str]) -> None:
    assert_conserved(*file)


@given(file=damaged_files(), block=st.integers(1, 64))
@settings(max_examples=EXAMPLES, deadline=None)
def test_block_boundaries_do_not_change_the_rows(file: tuple[bytes, str], block: int) -> None:
    """The rows and their line numbers do not depend on the size of the blocks that are read."""
    content, feed = file
    at_once, in_blocks = (lines_of(content, contracts()[feed], size) for size in (2**20, block))
    if isinstance(at_once, str) or isinstance(in_blocks, str):
        return
    assert at_once == in_blocks


def lines_of(content: bytes, contract: Contract, block: int) -> list[tuple[str, ...]] | str:
    found: list[tuple[str, ...]] = []
    try:
        for chunk in StrictCsv(io.BytesIO(content), contract, block):
            found += [tuple(map(str, row)) for row in chunk.cells.astype("object").itertuples(index=False)]
            found += [tuple(map(str, row[:3])) for row in chunk.rejects.itertuples(index=False)]
    except BadFile as problem:
        return problem.reason_code
    return sorted(found)


# The strict CSV reader of DuckDB as an independent reference.


def duckdb_rows(content: bytes, width: int, delimiter: str = ",") -> tuple[int, int]:
    """Return (accepted rows, rejected rows) of DuckDB's strict CSV reader."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as file, duckdb.connect() as connection:
        file.write(content)
        file.flush()
        columns = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(width))
        accepted = connection.execute(
            f"SELECT COUNT(*) FROM (SELECT c0 FROM read_csv(?, columns={{{columns}}}, delim=?, header=true,"
            " auto_detect=false, quote='\"', escape='\"', strict_mode=true, store_rejects=true, null_padding=false))",
            [file.name, delimiter],
        ).fetchall()[0][0]
        rejected = connection.execute("SELECT COUNT(DISTINCT line) FROM reject_errors").fetchall()[0][0]
        return int(accepted), int(rejected)


@pytest.mark.parametrize("seed", range(40))
def test_duckdb_accepts_and_rejects_the_same_number_of_rows(seed: int) -> None:
    """Compare the counts for files with rows that are too long, too short, quoted or contain line breaks."""
    rng = random.Random(seed)
    rows = {
        "good": 'S{n},2026-01-05,Teacher-to-Parent,"Dear family, call"\n',
        "quoted": 'S{n},2026-01-05,Teacher-to-Parent,"He said ""no""\nand left"\n',
        "plain": "S{n},2026-01-05,Teacher-to-Parent,fine\n",
        "short": "S{n},2026-01-05\n",
        "long": "S{n},2026-01-05,Teacher-to-Parent,fine,too much\n",
    }
    content = MESSAGES + "".join(rng.choice(list(rows.values())).format(n=n) for n in range(60))
    chunks = list(StrictCsv(io.BytesIO(content.encode()), contracts()["communication"]))
    ours = (sum(len(chunk.cells) for chunk in chunks), sum(chunk.rejects["line_no"].nunique() for chunk in chunks))
    assert ours == duckdb_rows(content.encode(), 4)


def test_duckdb_also_rejects_files_with_wrong_quotes() -> None:
    for case in CASES:
        if "quote" in case.codes:
            try:
                _, rejected = duckdb_rows(case.content, 3)
            except duckdb.Error:
                continue
            assert rejected, case.id
