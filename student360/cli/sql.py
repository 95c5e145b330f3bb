"""Print the statements of a table or view with all names replaced, like `dbt compile`.

Contains the mapping of tables to SQL files and engines; not the replacement of names (see `warehouse/templates.py`).
"""

from collections.abc import Iterable, Iterator, Mapping

from student360.loading.bulk_risk import IN_DUCKDB
from student360.loading.fact_names import fact_names
from student360.warehouse import postgres, sqlite
from student360.warehouse.scripts import Script, scripts, sql_file
from student360.warehouse.templates import Names

NAMES: Mapping[str, Names] = {
    "sqlite": sqlite.FRAGMENTS | {"home": "main"},
    "postgres": postgres.FRAGMENTS | {"home": "student360"},
    "duckdb": IN_DUCKDB,
    "spark": {},
}
ENGINES = tuple(NAMES)
# Known only during a run: the days of a batch, the size of a part, and so on.
AT_RUN_TIME = {
    name: f":{name}"
    for name in (
        *("how_many", "month", "first_student", "last_student", "if_due", "day", "school_year", "month_key"),
        *("trend_days", "trend_from_month_key", "first_until_days", "homework_from_key", "as_of_date_key"),
        *("month_keys", "homework_days"),
    )
} | {"staging": "stg_feed"}
FACT_MERGE: Mapping[str, tuple[str, ...]] = {
    "merge/fact": ("files_ready_again", "waiting", "incoming", "upsert", "keep_waiting"),
    "merge/merged": ("count",),
    "bulk/fact": ("span", "may_meet", "add"),
    "merge/snapshot": ("scope", "vanished", "covered", "withdraw", "shrink_extent"),
    "merge/rekey": ("move",),
}
LARGE_FILE: Mapping[str, tuple[str, ...]] = {"bulk/large_file": ("staged", "waiting", "facts", "merged")}
BY_DUCKDB = {"student_attendance_month": ("query",), "student_risk": ("levels", "judged")}
FRAGMENTS_ALONE = frozenset({"resolve", "in_words", "students_to_judge", "levels", "judged"})


class NothingToShow(Exception):
    """The table does not exist, or the engine does not compute it."""


def statements_of(name: str, engine: str) -> str:
    """Return the SQL that runs for a table or view on an engine. Each section is preceded by its file and name.

    engine: sqlite or postgres, which store the warehouse; duckdb, which computes large batches; spark, which computes
    the aggregates. Values that are known only at run time are shown as :name. Raises NothingToShow.
    """
    if name not in scripts():
        raise NothingToShow(f"There is no table or view '{name}'.")
    sections = list(_sections(scripts()[name], engine))
    if not sections:
        raise NothingToShow(f"{engine} does not compute '{name}'.")
    shown = [scripts()[name].header]
    for script, section, names in sections:
        statements = script.statements(section, {**names, **NAMES[engine]})
        if section == "schema" and script.is_fact and engine == "postgres":
            statements = [
                *postgres.created_without_key(script).statements(section, NAMES[engine]),
                f"-- With the first rows:\n{postgres.key_statement(script)}",
                postgres.references_statement(script),
            ]
        if statements:
            shown.append(f"-- {_file(script)}, {section}\n" + ";\n\n".join(statements) + ";\n")
    return "\n".join(shown)


def computed_by(engine: str) -> list[str]:
    """Return the names of the tables and views that an engine computes."""
    return [name for name, table in scripts().items() if any(_sections(table, engine))]


def _file(script: Script) -> str:
    """Return the file that defines a table: for a staging table, the contract of its feed."""
    if script.layer == "staging":
        return f"student360/contracts/{script.name.removeprefix('stg_')}.py"
    return f"sql/{script.layer}/{script.name}.sql"


def _sections(table: Script, engine: str) -> Iterator[tuple[Script, str, Names]]:
    """Yield the sections that run for a table on an engine, each with the names passed to it."""
    names = _names_of(table)
    own: Iterable[str]
    shared: Mapping[str, tuple[str, ...]]
    if engine == "duckdb":
        own, shared = BY_DUCKDB.get(table.name, ()), LARGE_FILE
    elif engine == "spark":
        own, shared = ("query",) if table.layer == "spark" else (), {}
    else:
        merge = table.sections.get("merge", "")
        put_in = {section for section in table.sections if f"{{{{ {section} }}}}" in merge}
        put_in |= FRAGMENTS_ALONE | ({"query"} if table.layer == "spark" else set())
        own, shared = (section for section in table.sections if section not in put_in), FACT_MERGE
    yield from ((table, section, names) for section in own)
    if table.is_fact:
        for file, sections in shared.items():
            yield from ((sql_file(*file.split("/")), section, names) for section in sections)


def _names_of(table: Script) -> Names:
    if not table.is_fact:
        return AT_RUN_TIME
    own = fact_names(table)
    by_day = f"{own['day']} BETWEEN :first_day AND :last_day"
    return (
        AT_RUN_TIME
        | own
        | {
            "near": f"t.{by_day}" if table.primary_key[0] == own["day"] else "1 = 1",
            "days": f"r.{by_day}",
            "empty_staging": f"DELETE FROM {own['staging']} WHERE file_id IN (:files)",
        }
    )
