"""The strict CSV reader: reads bytes and yields chunks of text cells, accounting for every line.

Handles encoding, quotes, row boundaries, cell counts and line numbers. All cells are text; `clean.py` converts them.

A block in which every row is one line, as in nearly all blocks, is parsed by Arrow alone, which reports the lines with
too few or too many cells. Any other block is first split with numpy: the positions of quotes, delimiters and line ends
determine the boundaries and cell counts of all rows at once, so that only rows of the right width are passed to Arrow.
The first method takes a third of the time of the second; csv.reader takes four times as long as the second.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from student360.contracts import Contract
from student360.ingest.headers import match_header, normalised, sniff_delimiter
from student360.ingest.problems import BadFile
from student360.ingest.threads import in_order

BLOCK_BYTES = 8 * 2**20
PARSED_AT_ONCE = 2
MAX_LINE_BYTES = 2**20
MAX_COLUMNS = 1_000
MAGIC_NUMBERS = (b"PK\x03\x04", b"%PDF", b"\x1f\x8b", b"MZ", b"\x7fELF", b"\xd0\xcf\x11\xe0", b"\x89PNG")
csv.field_size_limit(2 * (BLOCK_BYTES + MAX_LINE_BYTES))  # larger than this module's own limits, which apply first
QUOTE, NEWLINE = 0x22, 0x0A
OTHER, CORRECTION_OF, WHAT_IS_WRONG = "other:", "correction_of", "what_is_wrong"
Reject = tuple[int, str, str, str, str | None]
PAST_THE_BOM = 0  # the state of a utf-8-sig decoder after the first bytes
LONGEST_CHARACTER = 4  # bytes in UTF-8


@dataclass
class Chunk:
    """Some rows of a file.

    cells: a category (text) column per matched column plus line_no. A column that is not in the contract is named
    `other:<name>`; correction_of exists only in correction files. rejects: line_no, column_name, reason_code, value and
    correction_of of the rows that cannot be parsed.
    """

    cells: pd.DataFrame
    rejects: pd.DataFrame
    rows_read: int
    rows_blank: int


@dataclass
class Header:
    """The layout of a file: delimiter, number of columns, and matched columns as {position: name}.

    cells: the header's cells. others: columns that are not in the contract, {position: name}. correction: in a
    correction file the position of the column that identifies the rejected row that a row corrects.
    """

    delimiter: str
    width: int
    columns: dict[int, str]
    cells: list[str] = field(default_factory=list)
    others: dict[int, str] = field(default_factory=dict)
    correction: int | None = None

    @property
    def wanted(self) -> dict[int, str]:
        """All columns that are read, as {position: name in a chunk}."""
        others = {position: OTHER + name for position, name in self.others.items()}
        correction = {} if self.correction is None else {self.correction: CORRECTION_OF}
        return self.columns | others | correction


@dataclass
class Cut:
    """A block split into rows, with lines counted from 0.

    cells: the rows of the right width. lines: the line that each of them begins on. odd: line and text of every other
    row. blank: the number of blank rows.
    """

    cells: pd.DataFrame
    lines: np.ndarray
    odd: list[tuple[int, bytes]]
    blank: int


REJECT_COLUMNS = ("line_no", "column_name", "reason_code", "value", CORRECTION_OF)


def no_rejects() -> pd.DataFrame:
    """Return an empty frame of rejects."""
    return pd.DataFrame({name: pd.Series(dtype="object") for name in REJECT_COLUMNS})


def first_line(data: bytes) -> str:
    """Return the header line from the first bytes of a file. For recognition only: invalid bytes are replaced."""
    encoding = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    text = data.decode(encoding, errors="replace").lstrip()
    return re.split(r"[\r\n]", text, maxsplit=1)[0]


class StrictCsv:
    """A CSV file read by contract. Iteration yields chunks and raises BadFile if the file is not a valid CSV.

    stream: the open file; it is read once per iteration and not closed. only: the columns to read; all by default.
    """

    def __init__(
        self,
        stream: BinaryIO,
        contract: Contract,
        block_bytes: int = BLOCK_BYTES,
        only: Collection[str] | None = None,
    ) -> None:
        self._stream = stream
        self._contract = contract
        self._block_bytes = block_bytes
        self._only = only
        self.header = Header(",", 0, {})
        self.ends_with_newline = True

    def __iter__(self) -> Iterator[Chunk]:
        surplus_rows = rows = 0
        with closing(in_order(self._parse, self._numbered_blocks(), PARSED_AT_ONCE)) as parsed:
            for chunk, surplus in parsed:
                surplus_rows += surplus
                rows += chunk.rows_read
                yield chunk
        if rows and surplus_rows == rows:
            raise BadFile("column_count")

    def _numbered_blocks(self) -> Iterator[tuple[bytes, int]]:
        """Read the header, then yield blocks of rows, each with the number of its first line."""
        self._stream.seek(0)
        line_no = 1
        header_read = False
        for block in self._row_blocks():
            if not header_read:
                block, line_no = self._read_header(block, line_no)
                header_read = True
            if block:
                yield block, line_no
                line_no += _line_feeds(block)
        if not header_read:
            raise BadFile("empty_file")

    def rows_as_they_came(self, lines: Collection[int] | None) -> Iterator[tuple[int, list[str]]]:
        """Yield the header (as line 0), then the rows that begin on the given lines (all if None), with raw cells."""
        wanted = None if lines is None else np.sort(np.fromiter(lines, dtype=np.int64))

        def chosen(numbered_block: tuple[bytes, int]) -> list[tuple[int, list[str]]]:
            block, line_no = numbered_block
            starts, ends, first_lines = _row_bounds(block, self.header.delimiter)
            numbers = line_no + first_lines
            rows = np.arange(len(numbers)) if wanted is None else _found_in(numbers, wanted)
            rows = rows[~_blank_rows(block, starts[rows], ends[rows])]
            return [(int(numbers[row]), self._cells_of(block[starts[row] : ends[row]])) for row in rows]

        header_yielded = False
        with closing(in_order(chosen, self._numbered_blocks(), PARSED_AT_ONCE)) as parts:
            for rows in parts:
                if not header_yielded:
                    yield 0, self.header.cells
                    header_yielded = True
                yield from rows

    def _correction_in(self, cells: list[str]) -> str | None:
        place = self.header.correction
        return None if place is None or place >= len(cells) else cells[place].strip() or None

    def _cells_of(self, row: bytes) -> list[str]:
        return next(csv.reader(io.StringIO(row.decode(), newline=""), delimiter=self.header.delimiter))

    # blocks ------------------------------------------------------------------------------------------------

    def _text_blocks(self) -> Iterator[bytes]:
        """Yield the file as UTF-8 with LF line ends. A BOM is removed; UTF-16 with a BOM is converted."""
        start = self._stream.read(4)
        if start.startswith(MAGIC_NUMBERS):
            raise BadFile("binary")
        utf16 = start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        decoder = codecs.getincrementaldecoder("utf-16" if utf16 else "utf-8-sig")("strict")
        self._stream.seek(0)
        held_return = b""
        line_no = 1
        while True:
            raw = self._stream.read(self._block_bytes)
            try:
                block = held_return + _recoded(raw, decoder, utf16)
            except UnicodeDecodeError as error:
                line = line_no + error.object[: error.start].count(b"\n")
                raise BadFile("encoding", f"First seen in line {line}.") from None
            held_return = b""
            if raw and block.endswith(b"\r"):
                block, held_return = block[:-1], b"\r"
            if b"\r" in block:
                block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            if line_no == 1 and not utf16 and b"\0" in block[:4]:
                raise BadFile("encoding")
            if b"\0" in block and b"\0\0\0\0" in block:  # searching for one byte is 40 times as fast as for four
                raise BadFile("nul_bytes")
            line_no += _line_feeds(block)
            if block:
                yield block
            if not raw:
                return

    def _row_blocks(self) -> Iterator[bytes]:
        """Yield blocks that end at the end of a row. A line feed is added to the last one if it has none."""
        held = b""
        for block in self._text_blocks():
            held += block
            end = _last_row_end(held)
            if end:
                yield held[:end]
                held = held[end:]
            elif len(held) > 2 * MAX_LINE_BYTES + self._block_bytes:
                raise BadFile("line_too_long")
        held = held.rstrip(b"\x1a")
        if held:
            self.ends_with_newline = False
            yield held + b"\n"

    def _read_header(self, block: bytes, line_no: int) -> tuple[bytes, int]:
        body = block.lstrip(b"\n \t")
        line_no += block[: len(block) - len(body)].count(b"\n")
        if not body.strip():
            raise BadFile("empty_file")
        line, _, rest = body.partition(b"\n")
        delimiter = sniff_delimiter(line.decode(), self._contract)
        cells = next(csv.reader([line.decode()], delimiter=delimiter))
        while len(cells) > 1 and not cells[-1].strip():
            cells.pop()
        if len(cells) > MAX_COLUMNS:
            raise BadFile("limits", f"It has {len(cells)} columns; {MAX_COLUMNS} are allowed.")
        columns = match_header(cells, self._contract)
        unknown = {position: cell.strip() for position, cell in enumerate(cells) if position not in columns}
        correction = next((p for p, cell in unknown.items() if normalised(cell) == CORRECTION_OF), None)
        if correction is not None:
            unknown = {p: cell for p, cell in unknown.items() if normalised(cell) not in (CORRECTION_OF, WHAT_IS_WRONG)}
        if self._only is not None:
            columns = {position: name for position, name in columns.items() if name in self._only}
            unknown, correction = {}, None
        self.header = Header(delimiter, len(cells), columns, cells, unknown, correction)
        return rest, line_no + 1

    # rows --------------------------------------------------------------------------------------------------

    def _parse(self, numbered_block: tuple[bytes, int]) -> tuple[Chunk, int]:
        """Parse a block, given with the number of its first line.

        Returns its chunk and the number of rows with too many non-empty cells.
        """
        block, line_no = numbered_block
        cut = self._cut_by_lines(block) or self._cut_by_rows(block)
        rejects = []
        rescued: list[list[str]] = []
        rescued_lines: list[int] = []
        surplus = 0
        for line, row in cut.odd:
            cells = self._cells_of(row)
            extra = cells[self.header.width :]
            if extra and not any(cell.strip() for cell in extra):
                rescued.append(cells[: self.header.width])
                rescued_lines.append(line_no + line)
                continue
            surplus += bool(extra)
            reason = "extra_cell" if extra else "missing_cell"
            text = row.decode().rstrip("\n")
            rejects.append((line_no + line, "(row)", reason, text, self._correction_in(cells)))
        cells_frame = cut.cells
        cells_frame["line_no"] = line_no + cut.lines
        if rescued:
            cells_frame = self._with_rescued(cells_frame, rescued, rescued_lines)
        cells_frame, repeated = self._without_repeated_headers(cells_frame)
        rejects += repeated
        reject_frame = pd.DataFrame(rejects, columns=list(REJECT_COLUMNS)) if rejects else no_rejects()
        chunk = Chunk(cells_frame, reject_frame, len(cut.lines) + len(cut.odd), cut.blank)
        return chunk, surplus

    def _cut_by_lines(self, block: bytes) -> "Cut | None":
        """Split a block in which every row is one line and every quote is regular. Returns None for any other block."""
        data = np.frombuffer(block, np.uint8)
        line_ends = _places(data, NEWLINE)
        if self.header.width == 1 or line_ends[0] == 0 or (np.diff(line_ends) == 1).any():
            return None
        if not _quotes_are_regular(data, _places(data, QUOTE), ord(self.header.delimiter)):
            return None
        refused: list[int] = []

        def refuse(row: arrow_csv.InvalidRow) -> str:
            refused.append(row.number - 1)
            return "skip"

        table = self._arrow_table(block, refuse)
        lines = len(line_ends)
        if table.num_rows + len(refused) != lines:
            return None
        if not refused:
            return Cut(self._frame(table), np.arange(lines), [], 0)
        rows = [(line, block[line_ends[line - 1] + 1 if line else 0 : line_ends[line] + 1]) for line in refused]
        odd = [(line, row) for line, row in rows if row.strip()]
        return Cut(self._frame(table), np.delete(np.arange(lines), refused), odd, len(rows) - len(odd))

    def _cut_by_rows(self, block: bytes) -> "Cut":
        """Split any block, including rows of several lines, lone quotes and blank lines."""
        starts, ends, widths, lines = _rows(block, self.header.delimiter)
        blank = _blank_rows(block, starts, ends)
        good = (widths == self.header.width) & ~blank
        data = b"".join(block[start:end] for start, end in _runs(starts[good], ends[good]))
        table = self._arrow_table(data) if data else self._arrow_table(b"").slice(0, 0)
        if table.num_rows != good.sum():
            raise BadFile("quote")
        odd = [(int(lines[row]), block[starts[row] : ends[row]]) for row in np.flatnonzero(~good & ~blank)]
        return Cut(self._frame(table), lines[good], odd, int(blank.sum()))

    def _arrow_table(self, data: bytes, refuse: Callable[[arrow_csv.InvalidRow], str] | None = None) -> pa.Table:
        """Parse rows as dictionary-encoded text. refuse: handler of rows of another width, an error by default."""
        names = [f"c{position}" for position in range(self.header.width)]
        text = pa.dictionary(pa.int32(), pa.string())
        return arrow_csv.read_csv(
            pa.BufferReader(data or b"\n"),
            read_options=arrow_csv.ReadOptions(
                column_names=names, block_size=max(len(data) + 1, 4096), use_threads=refuse is None
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self.header.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=refuse,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, text),
                include_columns=[f"c{position}" for position in self.header.wanted],
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )

    def _frame(self, table: pa.Table) -> pd.DataFrame:
        return table.rename_columns(list(self.header.wanted.values())).to_pandas()

    def _with_rescued(self, cells: pd.DataFrame, rows: list[list[str]], lines: list[int]) -> pd.DataFrame:
        """Insert the rows whose surplus cells were all empty into the frame, ordered by line_no."""
        extra = pd.DataFrame(rows, dtype="object")
        wanted = self.header.wanted
        extra = extra[list(wanted)].rename(columns=wanted)
        extra["line_no"] = lines
        both = pd.concat([cells.astype(dict.fromkeys(wanted.values(), "object")), extra])
        both = both.sort_values("line_no", kind="stable", ignore_index=True)
        return both.astype(dict.fromkeys(wanted.values(), "category"))

    def _without_repeated_headers(self, cells: pd.DataFrame) -> tuple[pd.DataFrame, list[Reject]]:
        """Split off rows that repeat the header, as in concatenated exports, as rejects."""
        first_position, first_column = next(iter(self.header.columns.items()))
        repeated = cells[first_column] == self.header.cells[first_position]
        if not repeated.any():
            return cells, []
        for position, column in self.header.columns.items():
            repeated &= cells[column] == self.header.cells[position]
        rejects: list[Reject] = [
            (int(line), "(row)", "repeated_header", "", None) for line in cells.loc[repeated, "line_no"]
        ]
        return cells[~repeated].reset_index(drop=True), rejects


def _line_feeds(block: bytes) -> int:
    """Count the line feeds of a block. For a frequent byte numpy is two to four times as fast as bytes.count."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == NEWLINE))


def _recoded(raw: bytes, decoder: codecs.IncrementalDecoder, is_utf16: bool) -> bytes:
    """Return the next bytes of a file as UTF-8; bytes that are UTF-8 already are only validated.

    The decoder keeps the bytes of an incomplete character for the next call. Raises UnicodeDecodeError.
    """
    held, state = decoder.getstate()
    if is_utf16 or state != PAST_THE_BOM or not raw:
        return decoder.decode(raw, final=not raw).encode()
    data = held + raw
    for end in range(len(data), max(0, len(data) - LONGEST_CHARACTER), -1):
        if _is_utf8(data, end):
            decoder.setstate((data[end:], PAST_THE_BOM))
            return data[:end]
    return decoder.decode(raw).encode()


def _is_utf8(data: bytes, end: int) -> bool:
    """Return whether data[:end] is valid UTF-8. Arrow does not decode, and takes a tenth of the time of decoding."""
    bounds = pa.py_buffer(np.array([0, end], np.int32))
    try:
        pa.Array.from_buffers(pa.string(), 1, [None, bounds, pa.py_buffer(data)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _places(data: np.ndarray, byte: int) -> np.ndarray:
    return np.flatnonzero(data == byte)


def _are_outside(places: np.ndarray, quotes: np.ndarray) -> np.ndarray:
    """Return which positions in a block are outside of quotes, given the positions of the quotes."""
    return np.searchsorted(quotes, places) % 2 == 0 if len(quotes) else np.ones(len(places), bool)


def _quotes_are_regular(data: np.ndarray, quotes: np.ndarray, delimiter: int) -> bool:
    """Return whether every quote in a block of rows opens a cell, closes a cell or is doubled inside one."""
    if len(quotes) % 2:
        return False
    before, after = data[quotes[0::2] - 1], data[quotes[1::2] + 1]  # index -1 is the block's last byte, a line feed
    return all(((at == delimiter) | (at == NEWLINE) | (at == QUOTE)).all() for at in (before, after))


def _row_bounds(block: bytes, delimiter: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return start, end (after the line feed) and first line (from 0) of each row of a block."""
    data = np.frombuffer(block, np.uint8)
    quotes = _places(data, QUOTE)
    if not _quotes_are_regular(data, quotes, ord(delimiter)):
        starts, ends, _, lines = _rows_one_by_one(block, delimiter)
        return starts, ends, lines
    return _regular_bounds(data, quotes)


def _rows(block: bytes, delimiter: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return start, end (after the line feed), number of cells and first line (from 0) of each row of a block."""
    data = np.frombuffer(block, np.uint8)
    quotes = _places(data, QUOTE)
    if not _quotes_are_regular(data, quotes, ord(delimiter)):
        return _rows_one_by_one(block, delimiter)
    starts, ends, lines = _regular_bounds(data, quotes)
    separators = _places(data, ord(delimiter))
    separators = separators[_are_outside(separators, quotes)]
    before = np.searchsorted(separators, np.concatenate((starts, ends[-1:])))
    return starts, ends, np.diff(before) + 1, lines


def _regular_bounds(data: np.ndarray, quotes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the row bounds of a block with regular quotes, given the positions of the quotes."""
    line_ends = _places(data, NEWLINE)
    last_lines = np.flatnonzero(_are_outside(line_ends, quotes))
    ends = line_ends[last_lines] + 1
    return np.append(0, ends[:-1]), ends, np.append(0, last_lines[:-1] + 1)


def _rows_one_by_one(block: bytes, delimiter: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the same as _rows for a block with lone quotes (a 5" disk), parsed by csv.reader in strict mode."""
    lines = [line + "\n" for line in block.decode().split("\n")[:-1]]
    offsets = np.concatenate(([0], np.cumsum([len(line.encode()) for line in lines])))
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    firsts, lasts, widths = [], [], []
    seen = 0
    try:
        for cells in reader:
            firsts.append(seen)
            widths.append(max(len(cells), 1))
            seen = reader.line_num
            lasts.append(seen)
    except csv.Error:
        raise BadFile("quote", "Look near the line after the last valid row.") from None
    return offsets[firsts], offsets[lasts], np.array(widths), np.array(firsts)


def _last_row_end(held: bytes) -> int:
    """Return the end of the last complete row in some bytes; 0 if there is none."""
    last = held.rfind(b"\n")
    data = np.frombuffer(held, np.uint8)
    if np.count_nonzero(data[: max(last, 0)] == QUOTE) % 2 == 0:
        return last + 1
    ends = _places(data, NEWLINE)
    if not _lone_quotes_only(held):
        ends = ends[_are_outside(ends, _places(data, QUOTE))]
    return int(ends[-1]) + 1 if len(ends) else 0


def _lone_quotes_only(held: bytes) -> bool:
    """Return whether no quote opens a cell, so that all quotes are plain text."""
    data = np.frombuffer(held, np.uint8)
    quotes = _places(data, QUOTE)
    before = np.where(quotes > 0, data[np.maximum(quotes - 1, 0)], NEWLINE)
    return not np.isin(before, (NEWLINE, *map(ord, ",;\t|"))).any()


def _blank_rows(block: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return which rows contain only white space. Only rows that begin with white space are examined."""
    blank = (ends - starts) <= 1
    for row in np.flatnonzero(~blank & (np.frombuffer(block, np.uint8)[starts] <= 0x20)):
        blank[row] = not block[starts[row] : ends[row]].strip()
    return blank


def _found_in(numbers: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the indexes of the wanted numbers in an ascending array."""
    places = np.searchsorted(numbers, wanted)
    inside = places < len(numbers)
    return places[inside][numbers[places[inside]] == wanted[inside]]


def _runs(starts: np.ndarray, ends: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield start and end of each run of adjacent rows."""
    if not len(starts):
        return
    breaks = np.flatnonzero(starts[1:] != ends[:-1]) + 1
    firsts = np.concatenate(([0], breaks))
    lasts = np.concatenate((breaks, [len(starts)])) - 1
    yield from zip(starts[firsts].tolist(), ends[lasts].tolist(), strict=True)
