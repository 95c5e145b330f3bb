"""Compute the column lineage from the contracts and the SQL files, and write it to sql/column_lineage.json.

Lineage covers values: the expressions of a select list, including conditions of CASE, traced through common table
expressions, subqueries, set operations and temporary tables of the same file. Join and WHERE conditions, GROUP BY,
PARTITION BY, ORDER BY and tests for a row (EXISTS, IN with a query) are not lineage, with two exceptions:

- A row number is derived from the columns that it is ordered by.
- A column of a lookup table is also derived from the columns by which its row was looked up. Lookup tables are those
  that no feed loads: tables of the ledger, reference files, and tables loaded only from reference files. So the
  student_durable_key of student_alias is derived from the student_id of the staged row, a letter grade from the score.

Tables of the ledger and reference files are not assets and never sources. Not covered are changes that one SQL file
makes to the table of another (student_id_change moves facts and students to another id), and values computed in Python
(risk_backtest).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import cast

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from student360.contracts import Contract, Kind, contracts
from student360.warehouse.lineage import LINEAGE_FILE, Dependency
from student360.warehouse.postgres import FRAGMENTS
from student360.warehouse.scripts import Script, scripts

Sources = frozenset[Dependency]
Columns = dict[str, Sources]
NONE: Sources = frozenset()
# The sections with the query of a fact table and of a table of the marts.
WHOLE_QUERY = ("resolve", "query")
REFERENCE_FILE = "reference"
# The column that distinguishes the rows of the risk measures: attendance_rate and score_trend are rows of one view.
ROW_KIND = "indicator"
COMPARISONS = (exp.EQ, exp.LT, exp.LTE, exp.GT, exp.GTE)


def lineage_text() -> str:
    """Return the content of sql/column_lineage.json: one line per asset, with the sources of each documented column."""
    found = {
        name: {column: " ".join(map(str, sorted(sources))) for column, sources in _lineage(name).items()}
        for name in sorted(_assets())
    }
    lines = (f" {json.dumps(name)}: {json.dumps(columns)}" for name, columns in found.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


@cache
def _assets() -> frozenset[str]:
    return frozenset(name for name, script in scripts().items() if script.layer != "ledger")


@cache
def _lineage(name: str) -> Columns:
    """Return the columns of other assets from which each documented column of a table or view is derived."""
    if scripts()[name].layer == "staging":
        found = next(_staged(contract) for contract in contracts().values() if contract.staging_table == name)
    else:
        found = _written(scripts()[name])
    return {column.name: _without_own(name, column.name, found) for column in scripts()[name].columns}


def _staged(contract: Contract) -> Columns:
    """Return the sources of each staging column: the feed's column that it stores, or those it is computed from."""
    sent = {column.name: frozenset({Dependency(contract.raw_asset, column.header)}) for column in contract.columns}
    labels = {f"{column.name}_label": sent[column.name] for column in contract.columns if column.kind is Kind.LABEL}
    derived = {d.name: NONE.union(*(sent[name] for name in contract.derived_from[d.name])) for d in contract.derived}
    return {column.stored_as: sent[column.name] for column in contract.columns} | labels | derived


def _written(script: Script) -> Columns:
    """Return the sources of each column that the statements of a file write, including columns of the same table."""
    written: dict[str, Columns] = {script.name: {}}
    documented = {name: [column.name for column in other.columns] for name, other in scripts().items()}
    for table, statement in _statements(script):
        temporary = {name: columns for name, columns in written.items() if name != script.name}
        into = written.setdefault(table, {})
        for column, sources in _Query(statement, documented, temporary, script.name).columns.items():
            into[column] = into.get(column, NONE) | sources
    found = written[script.name]
    return found | {"confirmed_file_id": found["file_id"]} if script.is_fact else found


def _without_own(name: str, column: str, found: Columns) -> Sources:
    """Return the sources of a column that are assets, with columns of the same table replaced by their sources."""
    own, following = {column}, [column]
    while following:
        sources = found.get(following.pop(), NONE)
        following += {s.column for s in sources if s.table == name} - own
        own.update(following)
    reached = NONE.union(*(found.get(column, NONE) for column in own))
    raw = {contract.raw_asset for contract in contracts().values()}
    return frozenset(source for source in reached if source.table in (_assets() | raw) - {name})


def _statements(script: Script) -> Iterator[tuple[str, exp.Expr]]:
    """Yield the queries that write a table or view, in order, each with the table it writes (may be a temporary one).

    `slice` has the rows of the section `slices`. Other temporary tables that Python fills (`due`) have no query.
    """
    if query := next((name for name in WHOLE_QUERY if name in script.sections), None):
        yield script.name, _parsed(script.statements(query, FRAGMENTS)[0], script.layer)
    else:
        writes = ("CREATE VIEW", "CREATE TEMP TABLE", f"INSERT INTO {script.name} ", f"UPDATE {script.name} ")
        for section, text in script.sections.items():
            if section == "slices":
                yield "slice", _parsed(script.statements(section, FRAGMENTS)[0])
            elif any(write in text for write in writes):
                found = script.statements(section, FRAGMENTS)
                yield from (_as_query(_parsed(statement)) for statement in found if statement.startswith(writes))


def _parsed(statement: str, layer: str = "") -> exp.Expr:
    return sqlglot.parse_one(statement, dialect="spark" if layer == "spark" else "postgres")


def _as_query(statement: exp.Expr) -> tuple[str, exp.Expr]:
    """Return the table that a CREATE ... AS, INSERT or UPDATE writes, and a query of its new values by column name."""
    table = statement.find(exp.Table)
    if table is None:
        raise ValueError(f"This statement writes no table: {statement.sql()}")
    if isinstance(statement, exp.Update):
        query = exp.select(*(exp.alias_(e.expression, e.this.name) for e in statement.expressions)).from_(table)
        if other := statement.args.get("from_"):
            joins = other.this.args.pop("joins", ())
            query = query.join(other.this, join_type="cross")
            query.set("joins", [*query.args["joins"], *joins])
        return table.name, query.where(statement.args["where"].this)
    if isinstance(statement, exp.Insert):
        for select, column in zip(statement.expression.selects, statement.this.expressions, strict=True):
            select.replace(exp.alias_(select.unalias().copy(), column.name))
    return table.name, statement.expression


class _Query:
    """A query and the sources of its columns (`columns`).

    documented: the columns of all tables and views. temporary: the sources of the columns of temporary tables.
    table: the table that the query writes, which is never treated as a lookup table.
    """

    def __init__(
        self, query: exp.Expr, documented: Mapping[str, Iterable[str]], temporary: Mapping[str, Columns], table: str
    ) -> None:
        mentioned = {column.name for column in query.find_all(exp.Column)}
        others = {found.name: mentioned for found in query.find_all(exp.Table)}
        tables = {**others, **temporary, **documented}
        schema: dict[str, object] = {name: dict.fromkeys(columns, "text") for name, columns in tables.items()}
        root = build_scope(
            qualify(query, dialect="postgres", schema=schema, expand_alias_refs=False, validate_qualify_columns=False)
        )
        if root is None:
            raise ValueError(f"{table}: this is not a query: {query.sql()}")
        self._temporary, self._table = temporary, table
        self._scopes = {id(scope.expression): scope for scope in root.traverse()}
        self._outputs: dict[int, list[Sources]] = {}
        self.columns: Columns = dict(zip(_names(root), self._output(root), strict=True))

    def _output(self, scope: Scope) -> list[Sources]:
        """Return the sources of each column of a query, in order."""
        if id(scope) not in self._outputs:
            if isinstance(scope.expression, exp.SetOperation):
                sides = (self._side(side, _names(scope)) for side in scope.set_operation_scopes)
                self._outputs[id(scope)] = [NONE.union(*both) for both in zip(*sides, strict=True)]
            else:
                self._outputs[id(scope)] = [self._value(select, scope) for select in _selects(scope)]
        return self._outputs[id(scope)]

    def _side(self, side: Scope, names: list[str]) -> list[Sources]:
        """Return the output of one side of a set operation, limited to its kind of row if it has only one."""
        kind = _selects(side)[names.index(ROW_KIND)].unalias() if ROW_KIND in names else None
        kinds = [kind.name] if isinstance(kind, exp.Literal) else []
        return [_of_kinds(sources, kinds) for sources in self._output(side)]

    def _value(self, node: exp.Expr, scope: Scope, seen: frozenset[str] = frozenset()) -> Sources:
        """Return the sources of an expression. seen: the lookup tables that were traced on the way to it."""
        if isinstance(node, exp.Column):
            return self._column(node, scope, seen)
        if isinstance(node, exp.In) and node.args.get("query"):
            return NONE
        if isinstance(node, exp.Query):
            return NONE.union(*self._output(self._scopes[id(node.unnest())]))
        if isinstance(node, exp.Order):
            return self._value(node.this, scope, seen)
        if isinstance(node, exp.Window):
            order = node.args.get("order")
            return self._value(node.this, scope, seen) or self._all(order.expressions if order else (), scope, seen)
        sources = self._all(node.iter_expressions(), scope, seen)
        return _of_kinds(sources, _kinds(node.this)) if isinstance(node, exp.If) else sources

    def _all(self, nodes: Iterable[exp.Expr], scope: Scope, seen: frozenset[str]) -> Sources:
        return NONE.union(*(self._value(node, scope, seen) for node in nodes))

    def _column(self, column: exp.Column, scope: Scope, seen: frozenset[str]) -> Sources:
        """Return the sources of a column of the query or of an enclosing query."""
        while column.table not in scope.sources:
            if scope.parent is None:
                raise ValueError(f"{self._table}: no table found for the column {column.sql()}")
            scope = scope.parent
        source = scope.sources[column.table]
        if isinstance(source, Scope):
            found = self._output(source)[_names(source).index(column.name)]
        elif source.name in self._temporary:
            found = self._temporary[source.name][column.name]
        else:
            found = frozenset({Dependency(source.name, column.name)})
        if found and all(self._is_lookup(s.table) for s in found):
            found |= self._all(_looked_up_by(column, scope, seen, found), scope, seen | {column.table})
        return found

    def _is_lookup(self, table: str) -> bool:
        return table != self._table and (table not in _assets() or not any(_lineage(table).values()))


def _selects(scope: Scope) -> list[exp.Expr]:
    return cast(exp.Query, scope.expression).selects


def _names(scope: Scope) -> list[str]:
    return cast(exp.Query, scope.expression).named_selects


def _looked_up_by(column: exp.Column, scope: Scope, seen: frozenset[str], found: Sources) -> list[exp.Expr]:
    """Return the expressions by which the row of a lookup table was found.

    These are the expressions that the column is equal to, otherwise those that other columns of the row are equal to,
    otherwise those they are compared with. Conditions of other outer joins are ignored. For a column of a work list
    (`due`, `touched`), only the expressions that it is equal to count, in any join.
    """
    is_list = not any(s.table == REFERENCE_FILE or (s.table in scripts() and "touched" not in s.table) for s in found)
    where = scope.expression.args.get("where")
    joins = [join for join in scope.expression.args.get("joins", ()) if join.args.get("on")]
    conditions = [j.args["on"] for j in joins if is_list or j.side != "LEFT" or j.alias_or_name == column.table]
    compared = [
        (isinstance(term, exp.EQ), one.name == column.name, other)
        for condition in [*conditions, *([where.this] if where else [])]
        for term in _terms(condition)
        if isinstance(term, COMPARISONS)
        for one, other in ((term.left, term.right), (term.right, term.left))
        if isinstance(one, exp.Column) and one.table == column.table
        if not any(used.table in seen for used in other.find_all(exp.Column))
    ]
    equal = [other for is_equal, is_same, other in compared if is_equal and is_same]
    if equal or is_list:
        return equal
    return [other for is_equal, _, other in compared if is_equal] or [other for _, _, other in compared]


def _terms(condition: exp.Expr) -> Iterator[exp.Expr]:
    return condition.flatten() if isinstance(condition, exp.And) else iter([condition])


def _kinds(condition: exp.Expr) -> list[str]:
    """Return the kinds of row that a condition of CASE selects; empty if it does not restrict them."""
    for term in _terms(condition):
        if isinstance(term, (exp.EQ, exp.In)) and isinstance(term.this, exp.Column) and term.this.name == ROW_KIND:
            return [kind.name for kind in (term.expressions or [term.expression]) if isinstance(kind, exp.Literal)]
    return []


def _of_kinds(sources: Sources, kinds: list[str]) -> Sources:
    """Return the sources, each limited to rows of the given kinds. A source that has a kind already keeps it."""
    return frozenset(
        Dependency(s.table, s.column, kind) for s in sources for kind in ([s.row_kind] if s.row_kind else kinds or [""])
    )


if __name__ == "__main__":
    LINEAGE_FILE.write_text(lineage_text(), encoding="utf-8")
