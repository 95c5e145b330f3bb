"""SQL files as objects: their sections, statements and documentation, and which tables and views they read.

Contains what a SQL file says about itself; not how names in it are replaced (`templates.py`), how statements are run
(`transaction.py`), nor the statements (`sql/`).

The first comment of a file describes its table or view. `-- name: merge` begins a section. A comment after a column
describes it: [pii] or [sensitive] is its privacy tag, and a view's column has its type first (`text: ...`).
"""

import re
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from types import MappingProxyType

from student360.contracts import Contract, Privacy, StagingColumn, contracts
from student360.settings import SQL
from student360.warehouse.templates import Names, Section, render

SECTION = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
STATEMENT_END = re.compile(r";[ \t]*(?:--[^\n]*)?$", re.MULTILINE)
COLUMN_COMMENT = re.compile(r"^\s*(?P<code>[^-\n][^\n]*?)\s*,?\s*-- (?P<text>[^\n]+)$", re.MULTILINE)
TABLE_LAYERS = ("ledger", "core", "marts", "spark", "analysis")
SHARED_JOINS = ("student_of_the_day", "months_of_attendance")
NO_NAMES: Names = MappingProxyType({})
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

    @cached_property
    def sections(self) -> dict[str, str]:
        """The text of each named section."""
        parts = SECTION.split(self.text)
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    @property
    def is_view(self) -> bool:
        return "CREATE VIEW" in self.text

    @property
    def is_fact(self) -> bool:
        """Whether it is a fact table: staged rows are resolved to its keys."""
        return "resolve" in self.sections

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
        return not re.search(r"\b(stg_|fact_|v_)|FROM touched_", self._merge)

    @property
    def has_rules(self) -> bool:
        """Whether its merge reads a reference file."""
        return bool(re.search(r"\bFROM reference\b", self._merge))

    @property
    def _merge(self) -> str:
        return _code(self.symbolic("merge"))

    def statements(self, section: str, names: Names = NO_NAMES) -> list[str]:
        """The statements of a section, with all names in double braces replaced; empty if there is no such section.

        A file may name its own other sections, what all files share (`shared_names`), and the given names. Raises
        jinja2.UndefinedError for any other.
        """
        text = render(self.sections.get(section, ""), self._with_sections({**shared_names(), **names}))
        return [part.strip() for part in STATEMENT_END.split(text) if _code(part)]

    def symbolic(self, section: str) -> str:
        """A section with the file's own other sections put in, and all other names as words."""
        names = self._with_sections(_joins_and_facts(), symbolic=True)
        return render(self.sections.get(section, ""), names, symbolic=True)

    def _with_sections(self, names: Names, symbolic: bool = False) -> Names:
        every = dict(names)
        every |= {name: Section(text, every, symbolic) for name, text in self.sections.items() if name not in names}
        return every

    @property
    def query(self) -> str:
        """The query of a view, or the section `query` by which a table of the marts is computed, as a template."""
        if not self.is_view:
            return self.sections.get("query", "").strip().removesuffix(";")
        return self.sections["schema"].partition(f"CREATE VIEW {self.name} AS")[2].strip().removesuffix(";")

    @property
    def row_count_query(self) -> str:
        """A query for the number of rows: of a fact from the ledger, of a view none, of others the section `row_count`.

        Without that section the rows of a table are counted.
        """
        if self.is_fact:
            feed = next(contract.feed for contract in contracts().values() if contract.loads == self.name)
            return sql_file("merge", "fact").statements("row_count", {"table": self.name, "feed": feed})[0]
        counted = "SELECT NULL AS row_count" if self.is_view else f"SELECT COUNT(*) FROM {self.name}"
        return next(iter(self.statements("row_count")), counted)

    @cached_property
    def columns(self) -> tuple[ColumnDoc, ...]:
        """The documented columns, in order."""
        documented = []
        for match in COLUMN_COMMENT.finditer(self.sections["schema"]):
            words = re.findall(r"[\w.]+", match["code"])
            privacy = next((tag for tag in Privacy if f"[{tag}]" in match["text"]), Privacy.PUBLIC)
            text = re.sub(r"\s*\[\w+\]", "", match["text"]).strip()
            name = words[-1].split(".")[-1] if self.is_view else words[0]
            storage = words[1].lower()
            if self.is_view:
                storage, _, text = text.partition(": ")
            documented.append(ColumnDoc(name, text, privacy, storage))
        return tuple(documented)

    @cached_property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of the primary key, in order; empty for views."""
        schema = _code(self.sections["schema"])
        match = re.search(r"PRIMARY KEY \(([^)]*)\)", schema)
        if match:
            return tuple(name.strip() for name in match[1].split(","))
        single = re.search(r"^\s*(\w+)[^,\n]* PRIMARY KEY", schema, re.MULTILINE)
        return (single[1],) if single else ()

    @property
    def references(self) -> tuple[tuple[str, str, str], ...]:
        """Each column that refers to another table, that table, and its column."""
        return tuple(re.findall(r"^\s*(\w+)[^\n]* REFERENCES (\w+) \((\w+)\)", self.sections["schema"], re.MULTILINE))

    @property
    def without_references(self) -> "Script":
        """The same table, referring to no other."""
        return Script(self.name, self.layer, re.sub(r" REFERENCES \w+ \(\w+\)", "", self.text))

    @property
    def without_key(self) -> "Script":
        """The same table without its primary key, where that stands on a line of its own."""
        return Script(self.name, self.layer, re.sub(r",([^\n]*)\n *PRIMARY KEY \([^)]*\)", r"\1", self.text))

    @property
    def leading_key(self) -> str | None:
        """The first column of the primary key if it is an integer: what reads are split by."""
        key = self.primary_key[:1]
        return next((c.name for c in self.columns if (c.name,) == key and c.storage == "integer"), None)

    def mentions(self, names: frozenset[str], section: str | None = None) -> frozenset[str]:
        """Which of the given tables and views its code (or that of a section) speaks of, itself left out."""
        text = self.text if section is None else self.sections[section]
        return names.intersection(re.findall(r"\w+", _code(render(text, _joins_and_facts(), symbolic=True)))) - {
            self.name
        }


def _code(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text).strip()


def staging_script(contract: Contract) -> Script:
    """The staging table of a contract: DDL derived from the contract, never inferred from data."""
    columns = (*contract.staging_columns, *LINEAGE)
    body = "\n".join(
        f"    {c.name} {{{{ {c.storage} }}}}{'' if c.nullable else ' NOT NULL'}{',' if c is not columns[-1] else ''} "
        f"-- {c.description} [{c.privacy}]"
        for c in columns
    )
    name = contract.staging_table
    header = (
        f"-- Typed rows of the {contract.feed} feed: the last batch (of a large file, examples), and all rows that wait"
        " for their student.\n"
    )
    return Script(
        name,
        "staging",
        f"{header}-- name: schema\nCREATE TABLE {name} (\n{body}\n) {{{{ strict }}}};\n",
    )


@cache
def _files() -> dict[str, Script]:
    """The tables and views by name, as their files say."""
    found = {
        path.stem: Script(path.stem, path.parent.name, path.read_text(encoding="utf-8"))
        for path in sorted(SQL.glob("*/*.sql"))
        if path.parent.name in TABLE_LAYERS
    }
    return found | {script.name: script for script in map(staging_script, contracts().values())}


@cache
def _joins_and_facts() -> Names:
    facts = [script for script in _files().values() if script.is_fact]
    return {"facts": facts} | {join: Section(sql_file("merge", join).sections["join"], {}) for join in SHARED_JOINS}


@cache
def shared_names() -> Names:
    """What every SQL file may name: all fact tables, joins that several files share, the queries of views and marts.

    A query is put in as it stands, so that it can be run for another day or for some students only.
    """
    names = dict(_joins_and_facts())
    marts = (script for script in _files().values() if script.layer == "marts" and script.query)
    queries = {script.name: Section(script.query, names) for script in marts}
    names |= {**queries, "queries": queries}
    return MappingProxyType(names)


@cache
def scripts() -> dict[str, Script]:
    """All tables and views by name, each after those it refers to."""
    found = _files()
    names = frozenset(found)
    graph = {name: sorted(found[name].mentions(names, "schema")) for name in sorted(found)}
    return {name: found[name] for name in TopologicalSorter(graph).static_order()}


def upstream(script: Script) -> list[str]:
    """The tables and views that a SQL file reads, sorted by name. A dimension does not wait for facts."""
    mentioned = script.mentions(frozenset(scripts()))
    facts = frozenset(contract.loads for contract in contracts().values() if contract.loads.startswith("fact_"))
    if mentioned & {"student_identity", "student_alias"}:
        mentioned |= {"dim_students"}
    if "student_alias" in mentioned and script.name.startswith("fact_"):
        mentioned |= {"student_id_change"}
    if "data_extent" in mentioned:
        mentioned |= facts
    if "row_reject" in mentioned:
        mentioned |= {contract.staging_table for contract in contracts().values()}
    mentioned = frozenset(name for name in mentioned - {script.name} if scripts()[name].layer != "ledger")
    if script.layer == "core":
        mentioned = frozenset(name for name in mentioned if scripts()[name].layer != "marts")
        if not script.name.startswith("fact_"):
            mentioned = frozenset(name for name in mentioned if not name.startswith("fact_"))
    return sorted(mentioned)


def upstream_through_views(script: Script) -> list[str]:
    """The same, and what the views among them read in turn, sorted by name.

    A view is no step of a run, so it cannot make one step wait for another.
    """
    found = set(upstream(script))
    for name in sorted(found):
        if scripts()[name].is_view:
            found |= set(upstream_through_views(scripts()[name]))
    return sorted(found)


@cache
def in_order(layer: str) -> tuple[Script, ...]:
    """The tables and views of a layer, each after those of them that it reads."""
    found = {name: script for name, script in scripts().items() if script.layer == layer}
    reads = {name: [other for other in upstream(script) if other in found] for name, script in found.items()}
    return tuple(found[name] for name in TopologicalSorter(reads).static_order())


@cache
def columns_named(table: str, query: str) -> frozenset[str]:
    """The words of a query that may be columns of a table: those after one of its aliases; without an alias, all."""
    aliases = "|".join(re.findall(rf"\b{table} AS (\w+)", query))
    return frozenset(re.findall(rf"\b(?:{aliases})\.(\w+)" if aliases else r"\w+", query))


@cache
def sql_file(folder: str, name: str) -> Script:
    """A SQL file that defines no table: of sql/merge, sql/bulk or sql/operations."""
    return Script(name, folder, (SQL / folder / f"{name}.sql").read_text(encoding="utf-8"))


def check_query(name: str) -> str:
    """The text of a query in sql/checks: rows it returns are wrong."""
    return Path(SQL / "checks" / f"{name}.sql").read_text(encoding="utf-8")
