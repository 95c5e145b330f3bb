"""What can be wrong with a file or a cell, in words that a school secretary understands.

Belongs here: reason codes and their sentences. Does not belong here: how a problem is found.
"""

from collections.abc import Iterable
from dataclasses import dataclass

CELL_REASONS = {
    "missing_value": "The cell is empty, but this column is needed. Fill it in and send the row again.",
    "control_char": "The cell holds an invisible control character. Type the value again.",
    "bad_id": "This is not a student or school id: use letters, digits, dot, dash or underscore, 64 at most.",
    "date_format": "This is not a date we can read. Write it as year-month-day, for example 2026-01-31.",
    "date_ambiguous": (
        "Nothing in this file shows whether the day or the month comes first. Write the date as "
        "year-month-day, or have the date order of this feed set."
    ),
    "date_invalid": "There is no such day in the calendar.",
    "date_range": "The date lies too far in the past or after the day of the export.",
    "number_format": "This is not a plain number. Use digits and a decimal point, for example 87.5.",
    "percent_format": "This is not a percentage. Use a number from 0 to 100, with or without %.",
    "yes_no": "This is neither yes nor no.",
    "too_long": "The cell is longer than 100,000 characters.",
    "extra_cell": "The row has more cells than the header. Look for a stray comma.",
    "missing_cell": "The row has fewer cells than the header. Look for a row that was cut off.",
    "repeated_header": "This row repeats the header.",
    "conflicting_duplicate": "Two or more rows of this file are about the same thing and say different things.",
}

FILE_REASONS = {
    "unknown_dataset": "We cannot tell what this file is: neither its name nor its header is one we know.",
    "empty_file": "The file is empty. Export it again and send it once more.",
    "binary": "This is not a CSV file. Save it as CSV (comma separated, UTF-8) and send it again.",
    "encoding": "The file is not UTF-8 text. Save it as 'CSV UTF-8' and send it again.",
    "nul_bytes": "The file is damaged: it holds empty bytes, as after a broken upload. Send it again.",
    "quote": "A quotation mark is opened and never closed, or stands in a wrong place.",
    "line_too_long": "A row is longer than a million characters: a quotation mark is probably not closed.",
    "delimiter": "The columns are not separated by comma, semicolon, tab or bar.",
    "no_header": "The first row is not a header with the names of the columns.",
    "blank_header": "A column has no name in the header.",
    "duplicate_column": "Two columns of the header mean the same.",
    "missing_column": "A column that we need is missing from the header.",
    "limits": "The file is larger than what is allowed here.",
    "column_count": "All rows have more cells than the header.",
    "our_fault": "A fault of ours, not of the file: it is kept safe and the other files went on. Please report this.",
    "vanished": "The file was removed from the work folder before it was loaded. Send it again.",
    "too_many_rejects": "Too many rows of this file could not be read, so nothing of it was loaded.",
}

WARNINGS = {
    "no_rows": "The file holds a header and no rows.",
    "no_final_newline": "The last line has no line end: check that the file was not cut off on its way.",
    "unknown_column": "These columns are not known and were not used: {names}.",
    "missing_optional": "These columns were in the last file and are not in this one: {names}.",
    "mojibake": "Letters look damaged (JosÃ© for José) in: {names}. Export the file as UTF-8.",
    "hidden_direction": "Invisible marks that turn the writing direction stand in: {names}.",
    "order_by_arrival": "The name holds no date, so the file counts as from the day it arrived.",
}


def warning(code: str, names: Iterable[str] = ()) -> str:
    """A warning in words; names: columns, never values."""
    return WARNINGS[code].format(names=", ".join(names))


@dataclass
class BadFile(Exception):
    """The file as a whole cannot be loaded.

    reason_code: a key of FILE_REASONS. detail: names of columns, line numbers or counts, never a value.
    """

    reason_code: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{FILE_REASONS[self.reason_code]} {self.detail}".strip()
