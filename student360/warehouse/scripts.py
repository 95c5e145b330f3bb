"""SQL files as objects: their sections, statements and documentation, and which tables and views they read.

Contains the parsing of SQL files; not how names in them are replaced (see `templates.py`), how statements are run (see
`transaction.py`), nor the statements (see `sql/`).

The first comment of a file describes its table or view. `-- name: merge` begins a section. A comment after a column
describes it: [pii] or [sensitive] is its privacy tag, and that of a view's column begins with its type (`text: ...`).
"""

import re
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from types import MappingProxyType

from student360.contracts import Contract, Privacy, StagingColumn, contracts
from student360.settings import SQL
from student360.warehouse.templates import Names, Section, compile_template, render

SECTION = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
STATEMENT_END = re.compile(r";[ \t]*(?:--[^\n]*)?$", re.MULTILINE)
COLUMN_COMMENT = re.compile(r"^\s*(?P<code>[^-\n][^\n]*?)\s*,?\s*-- (?P<text>[^\n]+)$", re.MULTILINE)
TABLE_LAYERS = ("ledger", "core", "marts", "spark", "analysis")
SHARED_JOINS = ("student_of_the_day", "months_of_attendance")
NO_NAMES: Names = MappingProxyType({})
LINEAGE = (
    StagingColumn("file_id", "integer", "The file that contains the row (ingest_file).", privacy=Privacy.PUBLIC),
    StagingColumn("line_no", "integer", "The line of the file on which the row begins.", privacy=Privacy.PUBLIC),
    StagingColumn(
        "correction_of", "text", "The rejected row that this row corrects, as file and line.", True, Privacy.PUBLIC
    ),
    StagingColumn("rescued", "text", "Cells of columns that are not in the contract, as JSON.", True, Privacy.PII),
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
    """One SQL file. name: the table or view that it defines. layer: its folder."""

    name: str
    layer: str
    text: str

    @property
    def header(self) -> str:
        """The first comment of the file, as written."""
        return self.text.partition("\n\n")[0].partition("\n-- name:")[0] + "\n"

    @property
    def description(self) -> str:
        """The first comment of the file as text."""
        return " ".join(line.removeprefix("--").strip() for line in self.header.splitlines())

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
        """Whether it is a fact table, which has a section that resolves staged rows to its keys."""
        return "resolve" in self.sections

    @property
    def contract(self) -> Contract:
        """The contract of the feed that loads the table. Raises StopIteration if no feed does."""
        return next(contract for contract in contracts().values() if contract.loads == self.name)

    @property
    def day_column(self) -> str:
        """The column with the day of a fact: the first that references dim_dates."""
        found = re.search(r"^\s*(\w+)[^\n]*REFERENCES dim_dates", self.sections["schema"], re.MULTILINE)
        if not found:
            raise LookupError(f"{self.name} has no column that references dim_dates")
        return found[1]

    @property
    def is_rules_alone(self) -> bool:
        """Whether its merge reads only its reference file: no staged rows, facts or marts."""
        return not re.search(r"\b(stg_|fact_|v_)|FROM touched_", self._merge)

    @property
    def has_rules(self) -> bool:
        """Whether its merge reads a reference file."""
        return bool(re.search(r"\bFROM reference\b", self._merge))

    @property
    def _merge(self) -> str:
        return _code(self.symbolic("merge"))

    def statements(self, section: str, names: Names = NO_NAMES) -> list[str]:
        """Return the statements of a section with all names in double braces replaced; empty if it does not exist.

        A file can use its own other sections, the names shared by all files (`shared_names`), and the given names.
        Raises jinja2.UndefinedError for any other name.
        """
        text = render(self.sections.get(section, ""), self._with_sections({**shared_names(), **names}))
        return [part.strip() for part in STATEMENT_END.split(text) if _code(part)]

    def symbolic(self, section: str) -> str:
        """Return a section with the file's own other sections inserted and all other names left as words."""
        names = self._with_sections(_joins_and_facts(), symbolic=True)
        return render(self.sections.get(section, ""), names, symbolic=True)

    def _with_sections(self, names: Names, symbolic: bool = False) -> Names:
        every = dict(names)
        every |= {name: Section(text, every, symbolic) for name, text in self.sections.items() if name not in names}
        return every

    @property
    def query(self) -> str:
        """The query of a view, or the section `query` that computes a table of the marts, as a template."""
        if not self.is_view:
            return self.sections.get("query", "").strip().removesuffix(";")
        return self.sections["schema"].partition(f"CREATE VIEW {self.name} AS")[2].strip().removesuffix(";")

    @property
    def row_count_query(self) -> str:
        """A query for the number of rows: from the ledger for a fact, null for a view, else the section `row_count`.

        Without that section the rows of the table are counted.
        """
        if self.is_fact:
            names = {"table": self.name, "feed": self.contract.feed}
            return sql_file("merge", "fact").statements("row_count", names)[0]
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
        """The foreign keys: the column, the referenced table and its column."""
        return tuple(re.findall(r"^\s*(\w+)[^\n]* REFERENCES (\w+) \((\w+)\)", self.sections["schema"], re.MULTILINE))

    @property
    def without_references(self) -> "Script":
        """The same table without foreign keys."""
        return Script(self.name, self.layer, re.sub(r" REFERENCES \w+ \(\w+\)", "", self.text))

    @property
    def without_key(self) -> "Script":
        """The same table without its primary key. The key must be on a separate line."""
        return Script(self.name, self.layer, re.sub(r",([^\n]*)\n *PRIMARY KEY \([^)]*\)", r"\1", self.text))

    @property
    def leading_key(self) -> str | None:
        """The first column of the primary key if it is an integer; None otherwise. Parallel reads are split by it."""
        key = self.primary_key[:1]
        return next((c.name for c in self.columns if (c.name,) == key and c.storage == "integer"), None)

    def mentions(self, names: frozenset[str], section: str | None = None) -> frozenset[str]:
        """Return which of the given tables and views the file's code, or that of a section, names, except itself."""
        text = self.text if section is None else self.sections[section]
        return names.intersection(re.findall(r"\w+", _code(render(text, _joins_and_facts(), symbolic=True)))) - {
            self.name
        }


def _code(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text).strip()


def staging_script(contract: Contract) -> Script:
    """Return the staging table of a contract. Its DDL is derived from the contract, never inferred from data."""
    columns = (*contract.staging_columns, *LINEAGE)
    body = "\n".join(
        f"    {c.name} {{{{ {c.storage} }}}}{'' if c.nullable else ' NOT NULL'}{',' if c is not columns[-1] else ''} "
        f"-- {c.description} [{c.privacy}]"
        for c in columns
    )
    name = contract.staging_table
    header = (
        f"-- Typed rows of the {contract.feed} feed: the last batch (of a large file, sample rows), and all rows that"
        " wait for their student.\n"
    )
    return Script(
        name,
        "staging",
        f"{header}-- name: schema\nCREATE TABLE {name} (\n{body}\n) {{{{ strict }}}};\n",
    )


@cache
def _files() -> dict[str, Script]:
    """Return the tables and views by name."""
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
    """Return the names that every SQL file can use: fact tables, shared joins, and the queries of views and marts.

    A query is inserted as text, so that it can be run for another day or for some students only.
    """
    names = dict(_joins_and_facts())
    marts = (script for script in _files().values() if script.layer == "marts" and script.query)
    queries = {script.name: Section(script.query, names) for script in marts}
    names |= {**queries, "queries": queries}
    return MappingProxyType(names)


@cache
def scripts() -> dict[str, Script]:
    """Return all tables and views by name, each after those that it refers to."""
    found = _files()
    names = frozenset(found)
    graph = {name: sorted(found[name].mentions(names, "schema")) for name in sorted(found)}
    return {name: found[name] for name in TopologicalSorter(graph).static_order()}


def upstream(script: Script) -> list[str]:
    """Return the tables and views that a SQL file reads, sorted by name. Dimensions do not depend on facts."""
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


def upstream_tables(script: Script) -> list[str]:
    """Return the tables that a SQL file reads, directly or through views, sorted by name.

    A view is not a step of a run, so a step cannot depend on it: for each input that was never materialized, Dagster
    searches the event log in every run (on PostgreSQL 4 s of a day's file for 20 views).
    """
    found: set[str] = set()
    for name in upstream(script):
        found |= set(upstream_tables(scripts()[name])) if scripts()[name].is_view else {name}
    return sorted(found - {script.name})


@cache
def in_order(layer: str) -> tuple[Script, ...]:
    """Return the tables and views of a layer, each after those of the layer that it reads."""
    found = {name: script for name, script in scripts().items() if script.layer == layer}
    reads = {name: [other for other in upstream(script) if other in found] for name, script in found.items()}
    return tuple(found[name] for name in TopologicalSorter(reads).static_order())


@cache
def columns_named(table: str, query: str) -> frozenset[str]:
    """Return the words of a query that may be columns of a table: those after its aliases; all if it has no alias."""
    aliases = "|".join(re.findall(rf"\b{table} AS (\w+)", query))
    return frozenset(re.findall(rf"\b(?:{aliases})\.(\w+)" if aliases else r"\w+", query))


@cache
def sql_file(folder: str, name: str) -> Script:
    """Return a SQL file that defines no table, from sql/merge, sql/bulk or sql/operations."""
    return Script(name, folder, (SQL / folder / f"{name}.sql").read_text(encoding="utf-8"))


def check_query(name: str) -> str:
    """Return the text of a query in sql/checks. The rows that it returns violate the check."""
    return Path(SQL / "checks" / f"{name}.sql").read_text(encoding="utf-8")


def compile_all() -> None:
    """Compile the templates of all SQL files. It takes 0.25 s, which a fork of this process then need not spend."""
    for path in SQL.glob("*/*.sql"):
        for section in sql_file(path.parent.name, path.stem).sections.values():
            compile_template(section)
