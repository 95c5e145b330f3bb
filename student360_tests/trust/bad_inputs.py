"""The table of bad inputs B01-B80, with the file and the expected outcome of each. `try_bad_inputs.py` loads them.

Outcomes: taken (rows loaded, normalized where a rule defines that), warned (taken, with a warning), rows (bad rows
rejected with a reason, the others taken), file (the whole file quarantined with a reason), left (not taken: the file
stays in landing). Each case has a separate student, so that cases do not affect each other.
"""

import os
import socket
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ATTENDANCE = "Student_ID,Date,Attendance_Status\n"
STUDENTS = "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\n"
SCORES = "Student_ID,Subject,Exam_Score,Homework_Completion_%,Teacher_Comments\n"
HOMEWORK = "Student_ID,Subject,Assignment_Name,Due_Date,Status,Grade_Feedback,Guardian_Signature\n"
MESSAGES = "Student_ID,Date,Message_Type,Message_Content\n"
Check = Callable[[Callable[[str], list[tuple[object, ...]]]], bool]


@dataclass(frozen=True)
class Case:
    """A bad input. counts: rows read, taken (loaded, updated, unchanged or waiting) and rejected."""

    id: str
    what: str
    name: str
    content: bytes
    outcome: str
    counts: tuple[int, int, int] = (0, 0, 0)
    codes: frozenset[str] = field(default_factory=frozenset)
    note: str = ""
    check: Check | None = None
    place: Callable[[Path, "Case"], None] | None = None

    def put(self, landing: Path) -> None:
        """Drop the file: write it under a temporary name and rename it."""
        if self.place is not None:
            self.place(landing, self)
            return
        part = landing / f".{self.id}.part"
        part.write_bytes(self.content)
        part.rename(landing / self.name)


def student(case_id: str) -> str:
    """Return the student id of a case."""
    return case_id[:3]


def _case(
    id: str,
    what: str,
    outcome: str,
    content: str | bytes,
    counts: tuple[int, int, int] = (0, 0, 0),
    *codes: str,
    feed: str = "attendance",
    name: str = "",
    note: str = "",
    check: Check | None = None,
    place: Callable[[Path, Case], None] | None = None,
) -> Case:
    raw = content if isinstance(content, bytes) else content.encode()
    raw = raw.replace(b"{s}", student(id).encode())
    file_name = name or f"{feed}_2026-02-01_{id.replace(' ', '_')}.csv"
    return Case(id, what, file_name, raw, outcome, counts, frozenset(codes), note, check, place)


def days(count: int, first: int = 5) -> str:
    """Return valid attendance rows."""
    return "".join(f"{{s}},2026-01-{first + n:02},Present\n" for n in range(count))


def dates(*texts: str, good: int = 2) -> str:
    """Return attendance rows with the given dates, after some valid ones."""
    return ATTENDANCE + days(good) + "".join(f"{{s}},{text},Present\n" for text in texts)


def scores(*texts: str, column: int = 2) -> str:
    """Return one valid score, and one score for each text with that text in a column."""
    rows = [["{s}", f"Subject {n}", "70", "50", ""] for n in range(len(texts) + 1)]
    for row, text in zip(rows[1:], texts, strict=True):
        row[column] = text
    return SCORES + "".join(",".join(row) + "\n" for row in rows)


def _fifo(landing: Path, case: Case) -> None:
    os.mkfifo(landing / "attendance_pipe.csv")


def _links(landing: Path, case: Case) -> None:
    (landing / "attendance_link.csv").symlink_to("/etc/passwd")
    (landing / "attendance_folder.csv").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        previous = Path.cwd()
        os.chdir(landing)
        try:
            listener.bind("attendance_socket.csv")
        finally:
            os.chdir(previous)


def _junk(landing: Path, case: Case) -> None:
    for name in (
        ".DS_Store",
        "Thumbs.db",
        "attendance.csv.part",
        "~$attendance.csv",
        ".~lock.attendance.csv#",
        "x.tmp",
    ):
        (landing / name).write_bytes(case.content)


def _names(landing: Path, case: Case) -> None:
    names = [
        b"-rf attendance 2026-02-01 B76.csv",
        b"attendance 2026-02-01\nB76 'a' \"b\" ;DROP TABLE.csv",
        b"attendance_2026-02-01_B76_..%2f..%2fetc.csv",
        b"attendance_2026-02-01_B76_\xff\xfe.csv",
        b"attendance_2026-02-01_B76_" + b"x" * (255 - 30) + b".csv",
    ]
    for number, name in enumerate(names):
        row = f"B76,2026-01-{10 + number},Present\n"
        part = landing / ".part"
        part.write_bytes(ATTENDANCE.encode() + row.encode())
        part.rename(landing / os.fsdecode(name))


def _folders(landing: Path, case: Case) -> None:
    (landing / "North").mkdir(exist_ok=True)
    for number, name in enumerate(("North/attendance_B77.csv", "attendance_B77.csv", "ATTENDANCE_B77.csv")):
        (landing / name).write_text(ATTENDANCE + f"B77,2026-01-{10 + number},Present\n")


NFD = unicodedata.normalize("NFD", "Zoé")
GOOD3 = ATTENDANCE + days(3)
LONG = "x" * 140_000

CASES: tuple[Case, ...] = (
    _case("B01", "UTF-8 with BOM", "taken", b"\xef\xbb\xbf" + GOOD3.encode(), (3, 3, 0)),
    _case("B02", "UTF-16 with BOM", "taken", GOOD3.replace("{s}", "B02").encode("utf-16"), (3, 3, 0)),
    _case("B02 no BOM", "UTF-16 without BOM", "file", GOOD3.replace("{s}", "B02").encode("utf-16-le"), (0, 0, 0), "encoding"),
    _case("B03", "cp1252 bytes", "file", (GOOD3 + "{s},2026-01-20,José\n").encode("cp1252"), (0, 0, 0), "encoding"),
    _case("B04", "invalid UTF-8 in one row", "file", GOOD3.encode() + b"{s},2026-01-20,Pres\xffent\n", (0, 0, 0), "encoding"),
    _case("B05", "text that was decoded wrongly before the export", "warned", scores("70").replace("Subject 1", "MatemÃ¡tica"), (2, 2, 0), "mojibake", feed="performance"),
    _case("B06", "NUL in a cell", "rows", GOOD3 + "{s},2026-01-20,Pre\0sent\n", (4, 3, 1), "control_char"),
    _case("B07", "NUL bytes at the end after a broken upload", "file", GOOD3 + "\0" * 512, (0, 0, 0), "nul_bytes"),
    _case("B08", "other control characters", "rows", GOOD3 + "{s},2026-01-20,Pre\x07sent\n", (4, 3, 1), "control_char"),
    _case("B08 Ctrl-Z", "Ctrl-Z at the end, as written by DOS", "taken", GOOD3.replace("-0", "-1") + "\x1a", (3, 3, 0)),
    _case("B09", "semicolons", "taken", GOOD3.replace(",", ";"), (3, 3, 0)),
    _case("B09 other", "an unknown column separator", "file", GOOD3.replace(",", "^"), (0, 0, 0), "delimiter"),
    _case("B10", "an unclosed quote", "file", GOOD3 + '{s},2026-01-20,"Present\n' + days(3, 21), (0, 0, 0), "quote"),
    _case("B11", "a stray pair of quotes across two rows", "file", GOOD3 + '{s},2026-01-20,"Pres\n{s},2026-01-21,ent"x\n', (0, 0, 0), "quote"),
    _case("B12", 'a single quote character in a cell (5" disk)', "taken", HOMEWORK + '{s},Math,Measure a 5" disk,2026-01-09,Done,,\n{s},Math,Other,2026-01-09,Done,,\n', (2, 2, 0), feed="homework"),
    _case("B13", "a line break inside quotes", "taken", MESSAGES + '{s},2026-01-09,Teacher-to-Parent,"Dear family,\nplease call"\n', (1, 1, 0), feed="communication"),
    _case("B14", "CRLF", "taken", GOOD3.replace("\n", "\r\n"), (3, 3, 0)),
    _case("B14 CR", "CR only", "taken", (ATTENDANCE + days(3, 10)).replace("\n", "\r"), (3, 3, 0)),
    _case("B14 mixed", "mixed line endings", "taken", ATTENDANCE.replace("\n", "\r\n") + days(2, 20) + "{s},2026-01-25,Present\r{s},2026-01-26,Present\r\n", (4, 4, 0)),
    _case("B15", "an extra cell in some rows", "rows", GOOD3 + "{s},2026-01-20,Present,x\n", (4, 3, 1), "extra_cell"),
    _case("B16", "an extra cell in all rows", "file", ATTENDANCE + days(3).replace("\n", ",x\n"), (0, 0, 0), "column_count"),
    _case("B16 empty", "trailing commas", "taken", ATTENDANCE + days(3).replace("\n", ",\n"), (3, 3, 0)),
    _case("B17", "a row that is too short", "rows", GOOD3 + "{s},2026-01-20\n", (4, 3, 1), "missing_cell"),
    _case("B18", "a required column is missing", "file", "Student_ID,Date\n{s},2026-01-05\n", (0, 0, 0), "missing_column"),
    _case("B19", "an optional column is missing", "taken", GOOD3, (3, 3, 0), note="There is a warning only if the previous file of the feed had the column; otherwise every daily file would cause one."),
    _case("B20", "an unknown column", "warned", "Student_ID,Date,Attendance_Status,Bus\n{s},2026-01-05,Present,12\n", (1, 1, 0), "unknown_column", note="Its cells are kept as JSON in staging, and in the archived file."),
    _case("B21", "the same column twice", "file", "Student_ID,Date,Status,Date\n{s},2026-01-05,Present,2026-01-06\n", (0, 0, 0), "duplicate_column"),
    _case("B22", "columns in a different order", "taken", "Attendance_Status,Student_ID,Date\nPresent,{s},2026-01-05\n", (1, 1, 0)),
    _case("B23", "a column with a known alias as its name", "taken", "SIS ID,School Date,Code\n{s},2026-01-05,Present\n", (1, 1, 0)),
    _case("B23 unknown", "a column with an unknown name", "file", "Student_ID,Date,Attendence_Statuss\n{s},2026-01-05,Present\n", (0, 0, 0), "missing_column", note="The reason suggests the column that is probably meant."),
    _case("B24", "a header with different case, spaces and NBSP", "taken", "\ufeff student id ,DATE,\u00a0Attendance status\u00a0\n{s},2026-01-05,Present\n", (1, 1, 0)),
    _case("B25", "a column without a name", "file", "Student_ID,Date,Attendance_Status,,Period\n{s},2026-01-05,Present,x,1\n", (0, 0, 0), "blank_header"),
    _case("B26", "an empty file", "file", "", (0, 0, 0), "empty_file"),
    _case("B27", "only blank lines", "file", "\n  \n\t\n", (0, 0, 0), "empty_file"),
    _case("B28", "a header without rows", "warned", ATTENDANCE.replace("Student_ID", "student_id"), (0, 0, 0), "no_rows"),
    _case("B29", "no header", "file", days(3), (0, 0, 0), "no_header"),
    _case("B30", "blank lines between rows", "taken", ATTENDANCE + days(2).replace("\n", "\n\n  \n"), (2, 2, 0)),
    _case("B31", "a title above the header", "file", "Attendance report of January\n" + GOOD3, (0, 0, 0), "no_header"),
    _case("B32", "a footer", "rows", GOOD3 + "Total,,3\n(3 rows)\n", (5, 3, 2), "missing_value", "missing_cell"),
    _case("B33", "a repeated header, as in concatenated exports", "rows", GOOD3 + ATTENDANCE + days(2, 20), (6, 5, 1), "repeated_header"),
    _case("B34", "a workbook named .csv", "file", b"PK\x03\x04" + bytes(range(256)), (0, 0, 0), "binary"),
    _case("B34 pdf", "a PDF named .csv", "file", b"%PDF-1.7\n" + bytes(range(256)), (0, 0, 0), "binary"),
    _case("B35", "a compressed file", "file", b"\x1f\x8b\x08\0" + bytes(300), (0, 0, 0), "binary", name="attendance_B35.csv.gz", note="It is quarantined with a reason. Nothing is ever decompressed, so a decompression bomb has no effect."),
    _case("B36", "a cell of 140,000 characters", "rows", MESSAGES + "{s},2026-01-09,Teacher-to-Parent,short\n{s},2026-01-09,Teacher-to-Parent," + LONG + "\n", (2, 1, 1), "too_long", feed="communication", note="Only the row is rejected, not the file. A line without an end within 10 MB is `line_too_long`."),
    _case("B37", "more than 1,000 columns", "file", ATTENDANCE.strip() + "".join(f",c{n}" for n in range(1_000)) + "\n", (0, 0, 0), "limits", note="The number of rows and the size have no limit, because memory does not grow with the file."),
    _case("B38", "no line ending after the last row", "warned", GOOD3.rstrip("\n"), (3, 3, 0), "no_final_newline"),
    _case("B39", "a file truncated in the middle of a row", "rows", GOOD3 + "{s},2026-01", (4, 3, 1), "missing_cell", "no_final_newline"),
    _case("B40", "formula text", "taken", SCORES + "{s},Art,70,50,=cmd|'/C calc'!A0\n{s},Art,71,50,@SUM(1)\n", (2, 2, 0), feed="performance", note="Escaped where a CSV is written for people (`to_correct`), and restored when that file is loaded."),
    _case("B41", "SQL in a cell", "taken", HOMEWORK + "{s},Math,'; DROP TABLE fact_homework; --,2026-01-09,Done,,\n", (1, 1, 0), feed="homework"),
    _case("B42", "HTML and markdown in a cell", "taken", HOMEWORK + "{s},Math,<script>alert(1)</script> [x](javascript:1),2026-01-09,Done,,\n", (1, 1, 0), feed="homework", note="Terminal escape sequences are control characters, see B08."),
    _case("B43", "leading zeros in an id", "taken", STUDENTS + "00043,Ana B,2014-01-02,3,\n", (1, 1, 0), feed="students", check=lambda run_sql: run_sql("SELECT student_id FROM dim_students WHERE student_id = '00043'") == [("00043",)]),
    _case("B44", "the id 1e5 and an id of 19 digits", "taken", STUDENTS + "1e5,Ana B,2014-01-02,3,\n9223372036854775807,Bo C,2014-01-02,3,\n", (2, 2, 0), feed="students", check=lambda run_sql: len(run_sql("SELECT student_id FROM dim_students WHERE student_id IN ('1e5', '9223372036854775807')")) == 2),
    _case("B45", "an id surrounded by spaces", "taken", ATTENDANCE + " {s}\u00a0,2026-01-05,Present\n", (1, 1, 0)),
    _case("B45 hidden", "an id with an invisible character", "rows", GOOD3.replace("-0", "-1") + "{s}\u200b,2026-01-21,Present\n", (4, 3, 1), "bad_id"),
    _case("B46", "an id changed by a spreadsheet", "rows", STUDENTS + '"=""00046""",Ana B,2014-01-02,3,\n1.23E+05,Bo C,2014-01-02,3,\n', (2, 1, 1), "bad_id", feed="students", note='="00046" is read as 00046.'),
    _case("B47", "one id in two Unicode normalization forms", "taken", STUDENTS + f"Zoé,Zoé A,2014-01-02,3,\n{NFD},Zoé A,2014-01-02,3,\n", (2, 2, 0), feed="students", check=lambda run_sql: run_sql("SELECT COUNT(*) FROM dim_students WHERE student_id = 'Zoé'") == [(1,)]),
    _case("B48", "unusual names", "taken", STUDENTS + "{s}a,O'Brien Null,2014-01-02,3,\n{s}b,NA,2014-01-02,3,\n{s}c,李小龍 👩‍🎓,2014-01-02,3,\n{s}d,محمد,2014-01-02,3,\n{s}e,True,2014-01-02,3,\n", (5, 5, 0), feed="students", check=lambda run_sql: len(run_sql("SELECT 1 FROM dim_students WHERE full_name IN ('O''Brien Null', 'NA', 'True', 'محمد')")) == 4),
    _case("B49", "a name with an invisible character that changes the writing direction", "warned", STUDENTS + "{s}x,Ana \u202egpj.exe,2014-01-02,3,\n", (1, 1, 0), "hidden_direction", feed="students"),
    _case("B50", "a required cell with only spaces", "rows", GOOD3 + "{s},2026-01-20,   \n", (4, 3, 1), "missing_value"),
    _case("B51", "placeholders for missing values (N/A, -)", "taken", scores("N/A", "-", ""), (4, 4, 0), feed="performance"),
    _case("B51 needed", "a placeholder where a value is required", "rows", GOOD3 + "{s},N/A,Present\n", (4, 3, 1), "missing_value"),
    _case("B52", "a date in words", "rows", dates("5 January 2026"), (3, 2, 1), "date_format"),
    _case("B53", "an ambiguous date", "rows", dates("01/02/2026"), (3, 2, 1), "date_ambiguous"),
    _case("B53 proven", "an ambiguous date in a file that proves the date order", "taken", dates("01/02/2026", "13/01/2026", good=0), (2, 2, 0), check=lambda run_sql: run_sql("SELECT COUNT(*) FROM fact_attendance AS f JOIN student_identity AS i ON i.student_durable_key = f.student_durable_key WHERE i.student_id = 'B53' AND f.date_key = 20260201") == [(1,)]),
    _case("B54", "an ISO date among day-first dates", "taken", dates("2026-01-02", "13/01/2026", good=0), (2, 2, 0), check=lambda run_sql: run_sql("SELECT MIN(f.date_key) FROM fact_attendance AS f JOIN student_identity AS i ON i.student_durable_key = f.student_durable_key WHERE i.student_id = 'B54'") == [(20260102,)]),
    _case("B55", "a date that does not exist", "rows", dates("2026-02-30"), (3, 2, 1), "date_invalid"),
    _case("B56", "a date in the future or in the distant past", "rows", dates("2059-01-01", "1066-10-14"), (4, 2, 2), "date_range"),
    _case("B57", "two-digit years, serial numbers, only digits", "rows", dates("01/13/26", "44927", "20260102"), (5, 2, 3), "date_format"),
    _case("B58", "a time with a time zone", "rows", dates("2026-01-20T10:00:00Z"), (3, 2, 1), "date_format", note="All dates of the feeds are days. A time of 00:00 without a time zone is accepted as a day."),
    _case("B59", "1.234,56", "rows", scores('"1.234,56"', '"1,234"'), (3, 1, 2), "number_format", feed="performance"),
    _case("B60", "85% where points are expected", "rows", scores("85%"), (2, 1, 1), "number_format", feed="performance"),
    _case("B60 percent", "85 % where a percentage is expected", "taken", scores("85 %", column=3).replace("Subject", "Course"), (2, 2, 0), feed="performance"),
    _case("B61", "a score above the maximum or below zero", "taken", scores("105", "-3", "100.0001"), (4, 4, 0), feed="performance", check=lambda run_sql: run_sql("SELECT COUNT(*) FROM fact_performance AS f JOIN student_identity AS i ON i.student_durable_key = f.student_durable_key WHERE i.student_id = 'B61' AND f.percent_bp IS NULL AND f.quality_flag LIKE 'score_%'") == [(3,)], note="Kept as sent, because the row belongs to the school, but flagged and excluded from averages."),
    _case("B62", "NaN, inf, 1e400", "rows", scores("NaN", "inf", "-Infinity", "1e400"), (5, 1, 4), "number_format", feed="performance"),
    _case("B63", "1_000 and digits of other scripts", "rows", scores("1_000", "٨٥", "８５"), (4, 1, 3), "number_format", feed="performance"),
    _case("B64", "a word where a number is expected", "rows", scores("absent"), (2, 1, 1), "number_format", feed="performance"),
    _case("B65", "yes and no in many forms", "rows", HOMEWORK + "".join(f"{{s}},Math,A{n},2026-01-09,Done,,{text}\n" for n, text in enumerate(("Yes", "1", "TRUE", "n", "✅", "perhaps"))), (6, 5, 1), "yes_no", feed="homework"),
    _case("B65 code", "an unknown attendance code", "taken", GOOD3 + "{s},2026-01-20,Zoom\n", (4, 4, 0), note="UNMAPPED: it lowers the coverage, not the rate, and a check warns until the code is added to the reference data. Then past days are recomputed."),
    _case("B66", "identical rows", "taken", ATTENDANCE + days(1) * 3, (3, 3, 0)),
    _case("B67", "contradicting rows in one file", "rows", GOOD3 + "{s},2026-01-05,Absent\n", (4, 2, 2), "conflicting_duplicate", note="Both are rejected, and the reason names both lines."),
    _case("B68", "a different value in a newer file", "taken", GOOD3.replace("Present", "Late"), (3, 3, 0), note="The newer export counts; v_changes shows both values."),
    _case("B69", "an unknown student", "taken", ATTENDANCE + "UNKNOWN-69,2026-01-05,Present\n", (1, 1, 0), note="The row waits for its student and is counted as waiting. No student is created."),
    _case("B70", "an invalid student id", "rows", GOOD3 + "{s} / 7,2026-01-20,Present\n", (4, 3, 1), "bad_id"),
    _case("B71", "a known id with a different name and birth date", "taken", STUDENTS + "{s},Somebody Else,2011-11-11,3,\n", (1, 1, 0), feed="students", check=lambda run_sql: run_sql("SELECT COUNT(*) FROM identity_warning AS w JOIN student_identity AS i ON i.student_durable_key = w.student_durable_key WHERE i.student_id = 'B71'") == [(1,)], note="Both versions are kept. The warning stays open until the identity is declared."),
    _case("B72", "a homework file named attendance", "file", HOMEWORK + "{s},Math,A,2026-01-09,Done,,\n", (0, 0, 0), "missing_column"),
    _case("B73", "two schools in one file", "taken", "Student_ID,Date,Attendance_Status,School_ID\n{s},2026-01-05,Present,NORTH\n{s},2026-01-06,Present,SOUTH\n", (2, 2, 0), note="Each row keeps its school. A snapshot applies only to the schools that it contains."),
    _case("B74", "a symbolic link, a folder, a socket", "left", "", place=_links),
    _case("B74 pipe", "a named pipe", "left", "", place=_fifo),
    _case("B75", "hidden, temporary and lock files", "left", GOOD3, place=_junk),
    _case("B76", "file names with spaces, line breaks, quotes, invalid UTF-8, 255 bytes", "taken", "", (5, 5, 0), place=_names),
    _case("B77", "subfolders, and file names that differ only in case", "taken", "", (3, 3, 0), place=_folders),
    _case("B80", "only bad rows", "file", ATTENDANCE + "{s},soon,Present\n{s},later,Present\n", (2, 0, 2), "too_many_rejects", "date_format"),
)  # fmt: skip
