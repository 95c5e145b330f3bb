"""Reason codes for rejected cells and files and for warnings, with messages for school staff."""

from collections.abc import Iterable
from dataclasses import dataclass

CELL_REASONS = {
    "missing_value": "The cell is empty, but this column is required. Fill it in and send the row again.",
    "control_char": "The cell contains an invisible control character. Type the value again.",
    "bad_id": "This is not a valid student or school id: use at most 64 letters, digits, dots, dashes or underscores.",
    "date_format": "This is not a valid date. Write it as year-month-day, for example 2026-01-31.",
    "date_ambiguous": (
        "It is unclear whether the day or the month comes first, and no other date in this file shows it. Write the "
        "date as year-month-day, or ask your administrator to set the date order of this feed."
    ),
    "date_invalid": "There is no such day in the calendar.",
    "date_range": "The date is too far in the past, or later than the day of the export.",
    "number_format": "This is not a plain number. Use digits and a decimal point, for example 87.5.",
    "percent_format": "This is not a percentage. Use a number from 0 to 100, with or without %.",
    "yes_no": "This is neither yes nor no.",
    "too_long": "The cell is longer than 100,000 characters.",
    "extra_cell": "The row has more cells than the header. Check for an extra comma.",
    "missing_cell": "The row has fewer cells than the header. Check whether the row was cut off.",
    "repeated_header": "This row repeats the header.",
    "conflicting_duplicate": "Two or more rows of this file describe the same thing with different values.",
}

FILE_REASONS = {
    "unknown_dataset": "The content of this file is unknown: neither its name nor its header was recognized.",
    "empty_file": "The file is empty. Export it and send it again.",
    "binary": "This is not a CSV file. Save it as CSV (comma separated, UTF-8) and send it again.",
    "encoding": "The file is not UTF-8 text. Save it as 'CSV UTF-8' and send it again.",
    "nul_bytes": "The file is damaged: it contains empty bytes, as after an interrupted upload. Send it again.",
    "quote": "A quotation mark is never closed, or is in the wrong place.",
    "line_too_long": "A row is longer than 10 MB. Probably a quotation mark is not closed.",
    "delimiter": "The columns are not separated by comma, semicolon, tab or vertical bar.",
    "no_header": "The first row is not a header with the names of the columns.",
    "blank_header": "A column has no name in the header.",
    "duplicate_column": "Two columns of the header have the same meaning.",
    "missing_column": "A required column is missing from the header.",
    "limits": "The file exceeds a size limit.",
    "column_count": "All rows have more cells than the header.",
    "our_fault": (
        "An internal error, not the file, stopped the load. The file is kept and other files are loaded. "
        "Please report this."
    ),
    "vanished": "The file was removed from the work folder before it was loaded. Send it again.",
    "too_many_rejects": "Too many rows of this file were rejected, so none of its rows were loaded.",
}

WARNINGS = {
    "no_rows": "The file contains a header and no rows.",
    "no_final_newline": "The last line has no line break. Check that the file was not cut off during the transfer.",
    "unknown_column": "These columns are unknown and were not used: {names}.",
    "missing_optional": "These columns were in the previous file and are not in this one: {names}.",
    "mojibake": "Letters look damaged (JosÃ© for José) in: {names}. Export the file as UTF-8.",
    "hidden_direction": "Invisible characters that change the writing direction are in: {names}.",
    "order_by_arrival": "The file name has no date, so the day of arrival is used as the date of the file.",
}


def warning(code: str, names: Iterable[str] = ()) -> str:
    """Return the message of a warning. names: the columns that it is about."""
    return WARNINGS[code].format(names=", ".join(names))


@dataclass
class BadFile(Exception):
    """A file cannot be loaded at all.

    reason_code: a key of FILE_REASONS. detail: column names, line numbers or counts, but no cell values.
    """

    reason_code: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{FILE_REASONS[self.reason_code]} {self.detail}".strip()
