"""The dataclasses that contracts are written in: the names, kinds and limits of a feed's columns.

Contains no feed (each has its own module in this package) and no cleaning code (see `ingest/clean.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pandas as pd


class Kind(StrEnum):
    """How a cell is parsed. The cleaner of each kind is in `ingest/clean.py`."""

    IDENTIFIER = "identifier"  # unchanged text: '00123' stays '00123'
    NAME = "name"  # a person's name: white space normalized; 'Null' and 'NA' are valid names
    TEXT = "text"  # free text
    LABEL = "label"  # matched case-insensitively, shown as written
    CODE = "code"  # matched case-insensitively and with white space normalized
    DAY = "day"  # a calendar day as an integer key yyyymmdd
    DATE = "date"  # a date
    NUMBER = "number"  # a finite decimal number
    PERCENT = "percent"  # 90, 90 % or 90.5%: percent 0-100
    YES_NO = "yes_no"  # 1, 0 or missing


class Privacy(StrEnum):
    """The privacy level of a column, used for masking, docs and asset tags (FERPA, 34 CFR 99.3)."""

    PUBLIC = "public"  # codes, subjects, dates of school events
    SENSITIVE = "sensitive"  # about a student, but not identifying by itself
    PII = "pii"  # identifies a student or a family


class LoadMode(StrEnum):
    """What happens to loaded rows that a newer file of the feed does not contain."""

    DELTA = "delta"  # kept: a file contains only new or changed rows
    SNAPSHOT = "snapshot"  # withdrawn: a file contains the complete current state
    WINDOW = "window"  # withdrawn if they are within the dates that the file spans


STORAGE = {
    Kind.DAY: "integer",
    Kind.YES_NO: "integer",
    Kind.DATE: "date",
    Kind.NUMBER: "real",
    Kind.PERCENT: "real",
}


@dataclass(frozen=True)
class Column:
    """One column of a feed and of its staging table.

    A file without a `required` column is quarantined. A row with a missing value in a column that is not `nullable`
    is rejected. A DAY column named `date` is stored as `date_key`.
    """

    name: str
    kind: Kind
    description: str
    aliases: tuple[str, ...] = ()
    required: bool = True
    nullable: bool = False
    privacy: Privacy = Privacy.SENSITIVE
    not_in_future: bool = False

    @property
    def stored_as(self) -> str:
        """The column's name in the staging table."""
        return f"{self.name}_key" if self.kind is Kind.DAY else self.name

    @property
    def header(self) -> str:
        """The column's name as exports write it: Student_ID, Date_of_Birth, Homework_Completion_%."""
        words = {"id": "ID", "of": "of"}
        name = "_".join(words.get(word, word.capitalize()) for word in self.name.split("_"))
        return f"{name}_%" if self.kind is Kind.PERCENT else name

    @property
    def storage(self) -> str:
        """The column's engine-neutral type: text, integer, bigint, real or date."""
        return STORAGE.get(self.kind, "text")


STUDENT_ID = Column(
    "student_id",
    Kind.IDENTIFIER,
    "The student's id in the source system, kept as text.",
    aliases=("studentid", "student_number", "sis_id", "local_id"),
)


@dataclass(frozen=True)
class StagingColumn:
    """A column of a feed's staging table."""

    name: str
    storage: str
    description: str
    nullable: bool = False
    privacy: Privacy = Privacy.SENSITIVE


@dataclass(frozen=True)
class Contract:
    """The definition of a feed. Everything about a feed except its SQL is derived from it.

    feed: name; the assets are raw_<feed> and stg_<feed>.
    name_words: words in a file's name that identify the feed.
    loads: the table that the rows are loaded into (the name of its file in sql/core).
    natural_key: staging columns that make a row unique within a file; empty if the source has no such key.
    told_apart_by_order_without: rows with no value in this column are distinguished by their order in the file.
    derived, derive: additional staging columns and the pure function that adds them to a chunk of accepted rows.
    derived_from: the columns of the feed from which each of these is computed, for the column lineage.
    fresh_within_days: the freshness check fails after this many days without a file.
    load_mode: what happens to loaded rows that a newer file does not contain; STUDENT360_LOAD_MODE_<FEED> overrides it.
    optional: the feed may never be sent; the freshness check passes as long as no file has arrived.
    """

    feed: str
    description: str
    name_words: tuple[str, ...]
    columns: tuple[Column, ...]
    loads: str
    natural_key: tuple[str, ...] = ()
    told_apart_by_order_without: str | None = None
    derived: tuple[StagingColumn, ...] = ()
    derived_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    derive: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    fresh_within_days: int = 7
    load_mode: LoadMode = LoadMode.DELTA
    optional: bool = False

    @property
    def raw_asset(self) -> str:
        return f"raw_{self.feed}"

    @property
    def allowed_load_modes(self) -> tuple[LoadMode, ...]:
        """The load modes that the feed can use: WINDOW requires rows with a day, SNAPSHOT rows with a student."""
        if not self.loads.startswith(("fact_", "dim_")):
            return (LoadMode.DELTA,)
        return tuple(LoadMode) if self.loads.startswith("fact_") else (LoadMode.DELTA, LoadMode.SNAPSHOT)

    @property
    def staging_table(self) -> str:
        return f"stg_{self.feed}"

    @property
    def staging_columns(self) -> tuple[StagingColumn, ...]:
        """The columns of the staging table, including derived columns, without the lineage columns.

        A LABEL column is stored as two: the key that it is matched by, and the label as written.
        """
        found: list[StagingColumn] = []
        for c in self.columns:
            found.append(StagingColumn(c.stored_as, c.storage, c.description, c.nullable, c.privacy))
            if c.kind is Kind.LABEL:
                as_written = f"{c.description} As written."
                found.append(StagingColumn(f"{c.name}_label", "text", as_written, c.nullable, c.privacy))
        return (*found, *self.derived)

    @property
    def value_columns(self) -> tuple[str, ...]:
        """The names of the staging columns."""
        return tuple(column.name for column in self.staging_columns)

    @property
    def said_columns(self) -> tuple[str, ...]:
        """The staging columns outside the natural key. Labels of key columns count as key: Math and MATH are equal."""
        key_columns = {*self.natural_key, *(f"{name}_label" for name in self.natural_key)}
        return tuple(name for name in self.value_columns if name not in key_columns)

    def column(self, name: str) -> Column:
        """Return the column with a name. Raises KeyError if there is none."""
        return {column.name: column for column in self.columns}[name]
