"""Validation of the reference files (data/reference/*.csv) before they are merged.

Each mistake is reported with line, column, value and reason. The files are read in `reference.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

CALENDAR_COLUMNS = ("first_date", "last_date", "event", "name", "school_id")
CALENDAR_EVENTS = ("school_year", "term", "no_school", "school_day")
HEADER_LINE = 1
RULE_KEY = ["rule_set", "indicator", "grade_band", "school_id", "level", "valid_from"]
LOWER_IS_WORSE = ("lt", "le")
LEVELS = ("watch", "risk", "severe")
WITH_WINDOW = ("attendance_trend", "attendance_first_month", "homework_missing")


@dataclass(frozen=True)
class Mistake:
    """A mistake in a reference file: line, column, the invalid value and the reason."""

    line: int
    column: str
    value: str
    reason: str

    def __str__(self) -> str:
        value = f" '{self.value}'" if self.value else ""
        return f"line {self.line}, {self.column}{value}: {self.reason}"


class ReferenceProblem(Exception):
    """A reference file cannot be used. file: its name; mistakes: all mistakes that were found."""

    def __init__(self, file: str, mistakes: Sequence[Mistake]) -> None:
        self.file = file
        self.mistakes = tuple(mistakes)
        super().__init__(f"{file}: {'; '.join(map(str, self.mistakes[:5]))}")


Check = Callable[[pd.DataFrame], list[Mistake]]


def unreadable(reason: str) -> Mistake:
    """Return the mistake of a file that is not a UTF-8 CSV."""
    return Mistake(HEADER_LINE, "(file)", "", f"cannot be read as a CSV in UTF-8 ({reason})")


def _mistakes(rows: pd.DataFrame, wrong: pd.Series, column: str, reason: str) -> list[Mistake]:
    cells = rows[column].to_numpy()
    lines = np.flatnonzero(wrong.fillna(False).to_numpy(dtype=bool)) + HEADER_LINE + 1
    return [Mistake(int(at), column, str(cells[at - HEADER_LINE - 1] or ""), reason) for at in lines]


def filled(*columns: str) -> Check:
    """Check that no cell of the columns is blank."""
    return lambda rows: [m for c in columns for m in _mistakes(rows, rows[c].isna(), c, "must not be blank")]


def one_of(column: str, *allowed: str, optional: bool = False) -> Check:
    """Check that each cell is one of the allowed words."""
    return lambda rows: _mistakes(
        rows,
        ~rows[column].isin(allowed) & ~(rows[column].isna() & optional),
        column,
        f"must be one of {', '.join(allowed)}",
    )


def number(column: str, low: float, high: float, whole: bool = False, optional: bool = False) -> Check:
    """Check that each cell is a plain number from low to high."""
    pattern = r"\d+" if whole else r"\d+(?:\.\d{1,2})?"
    kind = "a whole number" if whole else "a number with at most two decimals"

    def check(rows: pd.DataFrame) -> list[Mistake]:
        text = rows[column].astype("str")
        plain = text.str.fullmatch(pattern)
        fits = plain & pd.to_numeric(text.where(plain), errors="coerce").between(low, high)
        blank = rows[column].isna() & optional
        return _mistakes(rows, ~fits & ~blank, column, f"must be {kind} from {low:g} to {high:g}")

    return check


def day(column: str, optional: bool = False) -> Check:
    """Check that each cell is a date in the form yyyy-mm-dd."""

    def check(rows: pd.DataFrame) -> list[Mistake]:
        text = rows[column].astype("str")
        readable = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce").notna() & text.str.fullmatch(r"[\d-]{10}")
        return _mistakes(rows, ~readable & ~(rows[column].isna() & optional), column, "must be a date (yyyy-mm-dd)")

    return check


def unique(*columns: str) -> Check:
    """Check that no two rows have the same values in the columns."""

    def check(rows: pd.DataFrame) -> list[Mistake]:
        repeated = rows.fillna("").duplicated(list(columns))
        return _mistakes(rows, repeated, columns[0], f"an earlier row has the same {', '.join(columns)}")

    return check


def in_order(first: str, last: str) -> Check:
    """Check that the last date of a row is not before its first date."""
    return lambda rows: _mistakes(rows, rows[last].notna() & (rows[last] < rows[first]), last, f"is before {first}")


def _ends_after_it_begins(rows: pd.DataFrame) -> list[Mistake]:
    wrong = rows["valid_to"].notna() & (rows["valid_to"] <= rows["valid_from"])
    return _mistakes(rows, wrong, "valid_to", "must be after valid_from")


def _consistent_levels(rows: pd.DataFrame) -> list[Mistake]:
    """Check that the levels of an indicator have equal window, minimum, weight and direction, and rising severity."""
    found = []
    group = ["rule_set", "indicator", "grade_band", "school_id", "valid_from"]
    for columns, column in ((group, "minimum_data"), (group, "weight"), (["rule_set", "indicator"], "window_size")):
        filled_rows = rows.fillna("")
        differs = filled_rows[column] != filled_rows.groupby(columns)[column].transform("first")
        found += _mistakes(rows, differs, column, f"must be equal for the same {', '.join(columns)}")
    found += _mistakes(
        rows,
        rows["indicator"].isin(WITH_WINDOW) & rows["window_size"].isna(),
        "window_size",
        "must not be blank for this indicator",
    )
    ranked = rows.fillna("").assign(
        rank=rows["level"].map(LEVELS.index),
        lower_is_worse=rows["comparator"].isin(LOWER_IS_WORSE),
        limit=pd.to_numeric(rows["threshold"], errors="coerce"),
    )
    ranked = ranked.sort_values([*group, "rank"])
    down = ranked["lower_is_worse"]
    same = ranked[group].eq(ranked[group].shift()).all(axis=1)
    reversed_ = same & (down != down.shift())
    step = ranked["limit"] - ranked["limit"].shift()
    milder = same & ~reversed_ & ((down & (step > 0)) | (~down & (step < 0)))
    found += _mistakes(
        rows, reversed_.reindex(rows.index), "comparator", "has the opposite direction of the previous level"
    )
    found += _mistakes(
        rows, milder.reindex(rows.index), "threshold", "is less severe than the threshold of the previous level"
    )
    return found


def _no_overlap(rows: pd.DataFrame) -> list[Mistake]:
    key = RULE_KEY[:-1]
    ordered = rows.fillna({"grade_band": "", "school_id": "", "valid_to": "9999-12-31"}).sort_values(RULE_KEY)
    same = ordered[key].eq(ordered[key].shift()).all(axis=1)
    overlaps = same & (ordered["valid_from"] < ordered["valid_to"].shift())
    return _mistakes(rows, overlaps.reindex(rows.index), "valid_from", "is before the end of the previous rule")


COLUMNS: Mapping[str, tuple[str, ...]] = {
    "dim_dates": CALENDAR_COLUMNS,
    "dim_attendance_codes": ("code", "category", "absent_share_pct", "excused", "description"),
    "dim_homework_statuses": ("code", "category", "description"),
    "dim_message_types": ("code", "category", "is_two_way", "description"),
    "dim_letter_grades": ("letter_grade", "minimum_percent", "is_passing"),
    "dim_grade_levels": ("code", "grade_level", "sort_order", "grade_band"),
    "dim_subjects": ("code", "subject", "is_core"),
    "risk_indicators": ("indicator", "domain", "feed", "scale", "required", "needs_other_risk"),
    "risk_texts": ("language", "indicator", "label", "reason"),
    "risk_rules": (
        *("rule_set", "indicator", "grade_band", "school_id", "level", "comparator", "threshold", "window_size"),
        *("minimum_data", "weight", "citation", "valid_from", "valid_to"),
    ),
}
OPTIONAL_COLUMNS = frozenset({"school_id"})
NOT_COUNTED = ("NO_SCHOOL",)
ABSENCE_CATEGORIES = ("PRESENT", "LATE", "LEFT_EARLY", "PARTIAL", "ABSENT", "EXCUSED", "SUSPENDED", *NOT_COUNTED)


def _share_where_counted(rows: pd.DataFrame) -> list[Mistake]:
    lacks = rows["absent_share_pct"].isna() & ~rows["category"].isin(NOT_COUNTED)
    return _mistakes(rows, lacks, "absent_share_pct", "must not be blank, except for NO_SCHOOL")


CHECKS: Mapping[str, tuple[Check, ...]] = {
    "dim_dates": (
        one_of("event", *CALENDAR_EVENTS),
        day("first_date"),
        day("last_date"),
        in_order("first_date", "last_date"),
        lambda rows: _mistakes(
            rows, rows["event"].eq("term") & rows["name"].isna(), "name", "must not be blank for a term"
        ),
        lambda rows: _mistakes(
            rows,
            rows["school_id"].notna() & rows["event"].ne("no_school"),
            "event",
            "must be no_school if school_id is set",
        ),
    ),
    "dim_attendance_codes": (
        filled("code"),
        unique("code"),
        one_of("category", *ABSENCE_CATEGORIES),
        number("absent_share_pct", 0, 100, whole=True, optional=True),
        _share_where_counted,
        one_of("excused", "0", "1", optional=True),
    ),
    "dim_homework_statuses": (
        filled("code"),
        unique("code"),
        one_of("category", "DONE", "MISSING", "PENDING", "EXEMPT"),
    ),
    "dim_message_types": (
        filled("code"),
        unique("code"),
        one_of("category", "TEACHER_TO_FAMILY", "FAMILY_TO_TEACHER", "MEETING", "AUTOMATIC"),
        one_of("is_two_way", "0", "1"),
    ),
    "dim_letter_grades": (
        filled("letter_grade"),
        unique("letter_grade"),
        number("minimum_percent", 0, 100),
        one_of("is_passing", "0", "1"),
    ),
    "dim_grade_levels": (filled("code", "grade_level", "grade_band"), unique("code")),
    "dim_subjects": (filled("code", "subject"), unique("code"), one_of("is_core", "0", "1")),
    "risk_indicators": (
        filled("indicator", "domain", "feed"),
        unique("indicator"),
        one_of("scale", "1", "100"),
        one_of("required", "always", "if_sent", "no"),
        one_of("needs_other_risk", "0", "1"),
    ),
    "risk_texts": (filled("language", "indicator", "label", "reason"), unique("language", "indicator")),
    "risk_rules": (
        filled("rule_set", "indicator", "citation"),
        one_of("level", *LEVELS),
        one_of("comparator", "lt", "le", "gt", "ge"),
        number("threshold", 0, 10_000),
        number("window_size", 1, 366, whole=True, optional=True),
        number("minimum_data", 1, 1_000, whole=True),
        number("weight", 0, 1_000, whole=True),
        day("valid_from"),
        day("valid_to", optional=True),
        unique(*RULE_KEY),
    ),
}
CHECKS_OF_VALID_RULES: tuple[Check, ...] = (_ends_after_it_begins, _consistent_levels, _no_overlap)


def mistakes_in(file: str, rows: pd.DataFrame, active: str, known: Mapping[str, frozenset[str]]) -> list[Mistake]:
    """Return all mistakes of a reference file, sorted by line and column.

    file: its name without .csv. rows: its cells as text, None if blank; row 0 is line 2. active: the configured rule
    set or language for the files that contain several, else empty. known: names that other reference files define, by
    column (indicator, grade_band).
    """
    if file not in COLUMNS:
        return []
    wanted = COLUMNS[file]
    missing = [c for c in wanted if c not in rows.columns and c not in OPTIONAL_COLUMNS]
    unknown = [c for c in rows.columns if c not in wanted]
    if missing or unknown:
        return [Mistake(HEADER_LINE, name, "", "this column is missing") for name in missing] + [
            Mistake(HEADER_LINE, str(name), "", "this column is unknown") for name in unknown
        ]
    rows = rows.reindex(columns=list(wanted)).astype("object").replace({np.nan: None})
    found = [mistake for check in CHECKS[file] for mistake in check(rows)]
    if file in ("risk_rules", "risk_texts"):
        found += one_of("indicator", *sorted(known["indicator"]))(rows)
    if file == "risk_rules":
        found += one_of("grade_band", *sorted(known["grade_band"]), optional=True)(rows)
    if active and active not in set(rows.iloc[:, 0]):
        found.append(Mistake(HEADER_LINE, str(rows.columns[0]), active, "is configured but not in the file"))
    if file == "risk_rules" and not found:
        found = [mistake for check in CHECKS_OF_VALID_RULES for mistake in check(rows)]
    return sorted(set(found), key=lambda mistake: (mistake.line, mistake.column))
