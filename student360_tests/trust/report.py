"""What was tried and what became of it, as tables for the terminal and as the page docs/bad-inputs.md.

Belongs here: drawing. Does not belong here: trying anything.
"""

from collections.abc import Mapping, Sequence
from statistics import median

from rich.table import Table

from student360.ingest.problems import CELL_REASONS, FILE_REASONS, WARNINGS
from student360_tests.trust.bad_inputs import Case
from student360_tests.trust.kills import Figures
from student360_tests.trust.try_bad_inputs import Result

OUTCOMES = {
    "taken": "taken: the rows are loaded, tidied where a rule says so",
    "warned": "taken, with a warning",
    "rows": "the bad rows are refused, the others loaded",
    "file": "the whole file goes to quarantine",
    "left": "left where it is: not ours",
}
PAGE = """# Bad inputs, and what becomes of them

Each of these inputs is a test (`make bad-inputs`): loaded alone, and all in one landing, on SQLite and on PostgreSQL.
What a person reads is in quotes; it stands in `make status`, in the view `v_rejected_rows`, in the checks of the feed's
tables and, for refused rows, in the CSV to correct. This page is written by `make docs`.

| | Input | What becomes of it | Rows read, taken, refused | What a person reads |
|---|---|---|---|---|
"""


def in_words(code: str) -> str:
    """The sentence of a reason or warning."""
    return {**CELL_REASONS, **FILE_REASONS, **WARNINGS}[code].replace("{names}", "...")


def bad_inputs_page(cases: Sequence[Case]) -> str:
    """The page, from the table of cases."""
    rows = []
    for case in cases:
        sentences = [f"`{code}`: “{in_words(code)}”" for code in sorted(case.codes)]
        told = " ".join([*sentences, f"*{case.note}*" if case.note else ""]).strip()
        counts = ", ".join(map(str, case.counts)) if any(case.counts) else ""
        cells = (case.id, case.what, OUTCOMES[case.outcome], counts, told)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return PAGE + "".join(rows)


def bad_inputs_table(results: Mapping[str, Sequence[Result]]) -> Table:
    """Each case, and on which engine and in which way it became what the table says."""
    table = Table(title="Bad inputs", title_justify="left", header_style="bold")
    for column in ("", "input", "expected", "rows", *results):
        table.add_column(column, overflow="fold")
    for tried in zip(*results.values(), strict=True):
        case = tried[0].case
        marks = ["[green]✓[/green]" if not result.problem else f"[red]{result.problem}[/red]" for result in tried]
        table.add_row(case.id, case.what, case.outcome, "/".join(map(str, case.counts)), *marks)
    return table


def figures_table(title: str, figures: Mapping[str, Figures]) -> Table:
    """Kills by crash point or kind, files, rows and violations, one column for each engine."""
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("")
    for name in figures:
        table.add_column(name, justify="right")
    rows: list[tuple[str, list[str]]] = []
    for kind in sorted({kind for each in figures.values() for kind in each.kills}):
        rows.append((f"happened: {kind}", [f"{each.kills[kind]:,}" for each in figures.values()]))
    rows.append(("happened in all", [f"{each.killed:,}" for each in figures.values()]))
    if any(each.restarts for each in figures.values()):
        rows.append(("workers started", [f"{each.restarts:,}" for each in figures.values()]))
    for what in ("dropped", "distinct", "duplicates", "quarantined"):
        rows.append((f"files {what}", [f"{each.files[what]:,}" for each in figures.values()]))
    for what in ("read", "loaded", "updated", "unchanged", "rejected", "waiting", "withdrawn"):
        rows.append((f"rows {what}", [f"{each.rows[what]:,}" for each in figures.values()]))
    if any(each.seconds for each in figures.values()):
        rows.append(
            (
                "seconds from drop to loaded, waiting rows too, median",
                [_quantile(each, 0.5) for each in figures.values()],
            )
        )
        rows.append(("the same, 95 of 100 files", [_quantile(each, 0.95) for each in figures.values()]))
    rows.append(("violations", [f"{len(each.violations):,}" for each in figures.values()]))
    for label, cells in rows:
        table.add_row(label, *cells)
    return table


def _quantile(figures: Figures, share: float) -> str:
    ordered = sorted(figures.seconds)
    if not ordered:
        return ""
    return f"{median(ordered) if share == 0.5 else ordered[int(share * (len(ordered) - 1))]:.0f}"


def mutants_table(found: Mapping[str, Mapping[str, Figures]]) -> Table:
    """Each broken rule, and after how many kills which promise told it, by engine."""
    table = Table(title="Rules broken on purpose", title_justify="left", header_style="bold")
    engines = list(next(iter(found.values())))
    for column in ("rule", *engines, "told by"):
        table.add_column(column, overflow="fold")
    for mutant, by_engine in found.items():
        told = [f"after {f.killed} kills" if f.violations else "[red]NOT NOTICED[/red]" for f in by_engine.values()]
        first = next((figures.violations[0] for figures in by_engine.values() if figures.violations), "")
        table.add_row(mutant, *told, first)
    return table
