"""SQL files: how one is read, and the few places where engines differ.

Belongs here: sections (`-- name: merge`), statements, `{fragments}`, the documentation of columns.
Does not belong here: running them (`warehouse.py`), the statements themselves (`sql/`).

A file describes itself: the first comment says what the table or view is; a comment after a column describes
it; [pii] or [sensitive] in that comment is its privacy tag; a view's column says its type first (`text: ...`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from student360.contracts import Contract, Privacy, StagingColumn, contracts
from student360.settings import SQL

SECTION = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
STATEMENT_END = re.compile(r";[ \t]*(?:--[^\n]*)?$", re.MULTILINE)
COLUMN_COMMENT = re.compile(r"^\s*(?P<code>[^-\n][^\n]*?)\s*,?\s*-- (?P<text>[^\n]+)$", re.MULTILINE)
LINEAGE = (
    StagingColumn("file_id", "integer", "The file the row came from (ingest_file).", privacy=Privacy.PUBLIC),
    StagingColumn("line_no", "integer", "The line of the file that the row begins on.", privacy=Privacy.PUBLIC),
    StagingColumn(
        "correction_of", "text", "The refused row that this one corrects, as file and line.", True, Privacy.PUBLIC
    ),
    StagingColumn("rescued", "text", "Cells of columns that the contract does not know, as JSON.", True, Privacy.PII),
)


@dataclass(frozen=True)
class ColumnDoc:
    """A documented column of a table or view."""

    name: str
    description: str
    privacy: Privacy
    storage: str


@dataclass(frozen=True)
class Script:
    """One SQL file: `name` is the table or view it defines, `layer` the folder it lies in."""

    name: str
    layer: str
    text: str

    @property
    def description(self) -> str:
        """The first comment of the file."""
        lines = []
        for line in self.text.splitlines():
            if not line.startswith("--") or SECTION.match(line):
                break
            lines.append(line.removeprefix("--").strip())
        return " ".join(lines)

    @property
    def sections(self) -> dict[str, str]:
        """The text of each named section."""
        parts = SECTION.split(self.text)
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    @property
    def is_view(self) -> bool:
        return "CREATE VIEW" in self.text

    @property
    def day_column(self) -> str:
        """The column that says which day a fact is about: the first that refers to dim_dates."""
        found = re.search(r"^\s*(\w+)[^\n]*REFERENCES dim_dates", self.sections["schema"], re.MULTILINE)
        if not found:
            raise LookupError(f"{self.name} has no column that REFERENCES dim_dates")
        return found[1]

    @property
    def is_rules_alone(self) -> bool:
        """Whether its merge reads nothing but its reference file: no staged rows, facts or marts."""
        return not re.search(r"\b(stg_|fact_|v_)|FROM touched_", _code(self.sections.get("merge", "")))

    @property
    def has_rules(self) -> bool:
        """Whether its merge reads a reference file."""
        return bool(re.search(r"\bFROM reference\b", _code(self.sections.get("merge", ""))))

    def statements(self, section: str, fragments: Mapping[str, str]) -> list[str]:
        """The statements of a section with the engine's fragments put in; empty if there is no such section."""
        text = self.sections.get(section, "").replace("{rows}", self.rows)
        for name, fragment in fragments.items():
            text = text.replace(f"{{{name}}}", fragment)
        return [part.strip() for part in STATEMENT_END.split(text) if _code(part)]

    @property
    def rows(self) -> str:
        """The query that gives the rows of a table of the marts for the students and months in `touched`."""
        return self.sections.get("rows", "").strip()

    @property
    def row_count_query(self) -> str:
        """How many rows there are: a cheap query of its own where counting all of them would cost too much."""
        cheap = self.statements("row_count", {})
        return cheap[0] if cheap else f"SELECT COUNT(*) FROM {self.name}"

    @property
    def columns(self) -> tuple[ColumnDoc, ...]:
        """The documented columns, in order."""
        documented = []
        for match in COLUMN_COMMENT.finditer(self.sections["schema"]):
            words = re.findall(r"[\w.{}]+", match["code"])
            privacy = next((tag for tag in Privacy if f"[{tag}]" in match["text"]), Privacy.PUBLIC)
            text = re.sub(r"\s*\[\w+\]", "", match["text"]).strip()
            name = words[-1].split(".")[-1] if self.is_view else words[0]
            storage = words[1].strip("{}").lower()
            if self.is_view:
                storage, _, text = text.partition(": ")
            documented.append(ColumnDoc(name, text, privacy, storage))
        return tuple(documented)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of the primary key, in order; empty for views."""
        schema = _code(self.sections["schema"])
        match = re.search(r"PRIMARY KEY \(([^)]*)\)", schema)
        if match:
            return tuple(name.strip() for name in match[1].split(","))
        single = re.search(r"^\s*(\w+)[^,\n]* PRIMARY KEY", schema, re.MULTILINE)
        return (single[1],) if single else ()

    @property
    def leading_key(self) -> str | None:
        """The first column of the primary key if it is an integer: what reads are split by."""
        key = self.primary_key[:1]
        return next((c.name for c in self.columns if (c.name,) == key and c.storage == "integer"), None)

    def mentions(self, names: frozenset[str], section: str | None = None) -> frozenset[str]:
        """Which of the given tables and views its code (or that of a section) speaks of, itself left out."""
        text = self.text if section is None else self.sections[section]
        return names.intersection(re.findall(r"\w+", _code(text))) - {self.name}


def _code(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text).strip()


def staging_script(contract: Contract) -> Script:
    """The staging table of a contract: DDL derived from the contract, never inferred from data."""
    columns = (*contract.staging_columns, *LINEAGE)
    body = "\n".join(
        f"    {c.name} {{{c.storage}}}{'' if c.nullable else ' NOT NULL'}{',' if c is not columns[-1] else ''} "
        f"-- {c.description} [{c.privacy}]"
        for c in columns
    )
    name = contract.staging_table
    header = f"-- Typed rows of the {contract.feed} feed: the last batch, and all rows that wait for their student.\n"
    return Script(
        name,
        "staging",
        f"{header}-- name: schema\nCREATE TABLE {name} (\n{body}\n) {{strict}};\n",
    )


def changes_script(found: Mapping[str, Script]) -> Script:
    """The view of all changes, with the rows of every fact table put in."""
    view = found["v_changes"]
    rows = "\n    UNION ALL\n".join(
        f"    SELECT '{s.name}' AS table_name, student_durable_key, {s.day_column} AS day_key, file_id, line_no"
        f" FROM {s.name}"
        for s in found.values()
        if "resolve" in s.sections
    )
    return Script(view.name, view.layer, view.text.replace("    {facts}", rows))


@cache
def scripts() -> dict[str, Script]:
    """All tables and views by name, each after those it refers to."""
    found = {
        path.stem: Script(path.stem, path.parent.name, path.read_text(encoding="utf-8"))
        for path in sorted(SQL.glob("*/*.sql"))
        if path.parent.name in ("ledger", "core", "marts", "spark", "analysis")
    }
    found |= {script.name: script for script in map(staging_script, contracts().values())}
    found["v_changes"] = changes_script(found)
    names = frozenset(found)
    graph = {name: sorted(found[name].mentions(names, "schema")) for name in sorted(found)}
    return {name: found[name] for name in TopologicalSorter(graph).static_order()}


@cache
def fact_merge() -> Script:
    """The merge that all fact tables share."""
    return Script("fact", "merge", (SQL / "merge" / "fact.sql").read_text(encoding="utf-8"))


@cache
def rekey_facts() -> Script:
    """How the facts of one student become those of another."""
    return Script("rekey", "merge", (SQL / "merge" / "rekey.sql").read_text(encoding="utf-8"))


@cache
def operation(name: str) -> Script:
    """A file of sql/operations: what an operator asks for now and then."""
    return Script(name, "operations", (SQL / "operations" / f"{name}.sql").read_text(encoding="utf-8"))


def check_query(name: str) -> str:
    """The text of a query in sql/checks: rows it returns are wrong."""
    return Path(SQL / "checks" / f"{name}.sql").read_text(encoding="utf-8")
