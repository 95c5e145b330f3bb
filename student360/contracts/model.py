"""The vocabulary of a contract: what a feed's columns are called, mean and allow.

Belongs here: the dataclasses that every contract is written in.
Does not belong here: any feed (one module each, beside this one) or any cleaning code (`ingest/`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd


class Kind(StrEnum):
    """How a cell is read. The cleaner of each kind is in `ingest/clean.py`."""

    IDENTIFIER = "identifier"  # text kept as it is: '00123' stays '00123'
    NAME = "name"  # a person's name: spacing tidied, 'Null' and 'NA' are names too
    TEXT = "text"  # free text
    LABEL = "label"  # matched without regard to case, shown as written
    CODE = "code"  # matched without regard to case or spacing
    DAY = "day"  # a calendar day as an integer key yyyymmdd
    DATE = "date"  # a date
    NUMBER = "number"  # a finite decimal number
    PERCENT = "percent"  # 90, 90 % or 90.5%: percent 0-100
    YES_NO = "yes_no"  # 1, 0 or missing


class Privacy(StrEnum):
    """Who may see a column. Masking, docs and asset tags follow it (FERPA, 34 CFR 99.3)."""

    PUBLIC = "public"  # codes, subjects, dates of school events
    SENSITIVE = "sensitive"  # about a child, but not identifying by itself
    PII = "pii"  # identifies a child or a family


class LoadMode(StrEnum):
    """What a file of a feed says about the rows that it does not hold."""

    DELTA = "delta"  # nothing: it brings more rows, or newer ones
    SNAPSHOT = "snapshot"  # they are gone: it is the whole truth
    WINDOW = "window"  # they are gone for the dates that it spans


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

    `required` is about the header (the file is quarantined without it), `nullable` about the cell (the
    row is rejected without it). A DAY column named `date` is stored as `date_key`.
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
        """The column's name in staging."""
        return f"{self.name}_key" if self.kind is Kind.DAY else self.name

    @property
    def header(self) -> str:
        """The column's name as exports write it: Student_ID, Date_of_Birth, Homework_Completion_%."""
        words = {"id": "ID", "of": "of"}
        name = "_".join(words.get(word, word.capitalize()) for word in self.name.split("_"))
        return f"{name}_%" if self.kind is Kind.PERCENT else name

    @property
    def storage(self) -> str:
        """Its engine-neutral type: text, integer, bigint, real or date."""
        return STORAGE.get(self.kind, "text")


STUDENT_ID = Column(
    "student_id",
    Kind.IDENTIFIER,
    "The student's id in the source system, kept as text.",
    aliases=("studentid", "student_number", "sis_id", "local_id"),
)


@dataclass(frozen=True)
class StagingColumn:
    """A column of a feed's staging table. derived_from: the columns of the feed that a derived one is computed from."""

    name: str
    storage: str
    description: str
    nullable: bool = False
    privacy: Privacy = Privacy.SENSITIVE
    derived_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contract:
    """What a feed promises. Everything about a feed that is not SQL is derived from this.

    feed: its name; the assets are raw_<feed> and stg_<feed>.
    loads: the table that its rows end in (the name of the file in sql/core).
    natural_key: staging columns that make a row unique within a file; empty where the source has none.
    told_apart_by_order_without: rows that lack this column are told apart by their order in the file.
    derive: pure function over an accepted chunk, adds the `derived` columns, computed from the others.
    fresh_within_days: after so many days without a file the freshness check fails.
    load_mode: what its files say about rows that they do not hold; STUDENT360_LOAD_MODE_<FEED> sets another.
    optional: nobody waits for it: no file at all is no warning.
    """

    feed: str
    description: str
    name_words: tuple[str, ...]
    columns: tuple[Column, ...]
    loads: str
    natural_key: tuple[str, ...] = ()
    told_apart_by_order_without: str | None = None
    derived: tuple[StagingColumn, ...] = ()
    derive: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    fresh_within_days: int = 7
    load_mode: LoadMode = LoadMode.DELTA
    optional: bool = False

    @property
    def raw_asset(self) -> str:
        return f"raw_{self.feed}"

    @property
    def allowed_load_modes(self) -> tuple[LoadMode, ...]:
        """A window needs rows that are about a day, a snapshot rows that are about a student."""
        if not self.loads.startswith(("fact_", "dim_")):
            return (LoadMode.DELTA,)
        return tuple(LoadMode) if self.loads.startswith("fact_") else (LoadMode.DELTA, LoadMode.SNAPSHOT)

    @property
    def staging_table(self) -> str:
        return f"stg_{self.feed}"

    @property
    def staging_columns(self) -> tuple[StagingColumn, ...]:
        """The columns of the staging table that come from the file, derived ones included, without the lineage.

        A LABEL has two: the key that it is matched by, and the label as written.
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
        """What a row says of its natural key; how that was written says nothing: Math and MATH are one subject."""
        of_the_key = {*self.natural_key, *(f"{name}_label" for name in self.natural_key)}
        return tuple(name for name in self.value_columns if name not in of_the_key)

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError."""
        return {column.name: column for column in self.columns}[name]
