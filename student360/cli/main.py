"""The command line: `student360 demo | status | risk | verify | reprocess | withdraw | move | sql`."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

from rich.console import Console

from student360.cli.sql import ENGINES, NothingToShow, computed_by, statements_of
from student360.settings import load_settings
from student360.warehouse.errors import WarehouseError
from student360.warehouse.warehouse import Warehouse


def main() -> int:
    """Run a command. Returns the exit code."""
    os.umask(0o077)
    chosen = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160, record=bool(getattr(chosen, "svg", None)))
    try:
        return COMMANDS[chosen.command](chosen, console)
    except WarehouseError as problem:
        console.print(f"[red]{problem}[/red]")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="student360")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="run the whole pipeline with a synthetic district")
    demo.add_argument("--students", type=int, default=1_000, help="number of students")
    demo.add_argument("--days", type=int, default=60, help="number of school days")
    status = commands.add_parser("status", help="show files, required actions, risk tiers, reasons and trends")
    status.add_argument("--svg", type=Path, help="also save the output as an SVG image")
    risk = commands.add_parser("risk", help="show the risk list of today or of an earlier day")
    risk.add_argument("--on", type=date.fromisoformat, metavar="YYYY-MM-DD", help="the day; today by default")
    risk.add_argument("--csv", type=Path, help="save the whole list as a private file; it contains students' names")
    commands.add_parser("verify", help="check that ledger, archive and warehouse are consistent")
    reprocess = commands.add_parser("reprocess", help="load files from the archive again, in one transaction")
    reprocess.add_argument("--all", action="store_true", help="load all files")
    reprocess.add_argument("--lost", action="store_true", help="load archived files that are not in the ledger")
    reprocess.add_argument("files", nargs="*", metavar="FILE", help="file name, prefix of the hash, or feed")
    withdraw = commands.add_parser("withdraw", help="apply the withdrawals of a file that were held back")
    withdraw.add_argument("file", metavar="FILE", help="file name or prefix of the hash")
    move = commands.add_parser("move", help="copy a warehouse to STUDENT360_WAREHOUSE_URL and compare the copy")
    move.add_argument("source", metavar="FROM", help="sqlite:///<path> or postgresql://<user>@<host>/<database>")
    sql = commands.add_parser("sql", help="the statements that run for a table or view, with all names filled in")
    sql.add_argument("name", metavar="NAME", nargs="?", help="a table or view, e.g. student_risk; all by default")
    sql.add_argument("--engine", choices=ENGINES, help="the warehouse's by default; duckdb for what is large")
    sql.add_argument("--to", type=Path, metavar="FOLDER", help="write NAME.sql files to a folder instead")
    return parser


def _warehouse() -> Warehouse:
    return Warehouse(url=load_settings().warehouse_url)


def _demo(chosen: argparse.Namespace, console: Console) -> int:
    from student360.cli.demo import run_demo
    from student360.cli.sample import District

    return 0 if run_demo(console, District(students=chosen.students, days=chosen.days)) else 1


def _status(chosen: argparse.Namespace, console: Console) -> int:
    from student360.cli.report import print_report

    print_report(_warehouse(), load_settings(), console)
    if chosen.svg:
        from student360.cli.picture import console_svg

        chosen.svg.write_text(console_svg(console, "The status of Student 360"), encoding="utf-8")
    return 0


def _risk(chosen: argparse.Namespace, console: Console) -> int:
    from student360.cli.report import homerooms_report, looking_back_report, movers_report, reasons_report, tiers_report
    from student360.rules.risk import risk_as_of, risk_said_on

    warehouse = _warehouse()
    if chosen.on:
        with warehouse.reading() as tx:
            rows = risk_as_of(tx, chosen.on)
            console.print(f"[bold]As of {chosen.on}[/bold], computed from all data known today")
            console.print(*looking_back_report(chosen.on, rows, risk_said_on(tx, chosen.on)))
    else:
        rows = warehouse.frame("SELECT * FROM v_student_risk_monitor ORDER BY risk_score DESC, student_id")
        reports = (tiers_report, homerooms_report, reasons_report, movers_report)
        console.print(*filter(None, (report(warehouse) for report in reports)))
    if chosen.csv:
        rows.to_csv(chosen.csv, index=False)
        chosen.csv.chmod(0o600)
        console.print(f"{len(rows):,} students saved to {chosen.csv}")
    return 0


def _verify(chosen: argparse.Namespace, console: Console) -> int:
    from student360.cli.report import promises_report
    from student360.operations.verify import verify

    promises = verify(_warehouse(), load_settings())
    console.print(promises_report(promises))
    return 1 if any(promise.broken for promise in promises) else 0


def _reprocess(chosen: argparse.Namespace, console: Console) -> int:
    from student360.cli.report import reprocessed_report
    from student360.operations.reprocess import OperatorProblem, drop_lost_files_again, reprocess

    if chosen.lost:
        found = drop_lost_files_again(_warehouse(), load_settings())
        console.print(f"{found:,} files that are not in the ledger were moved to landing. The next run loads them.")
        return 0
    if not chosen.files and not chosen.all:
        console.print("Specify files, --all or --lost.")
        return 2
    try:
        again = reprocess(_warehouse(), load_settings(), chosen.files, chosen.all)
    except OperatorProblem as problem:
        console.print(f"[red]{problem}[/red]")
        return 1
    console.print(reprocessed_report(again))
    return 0


def _withdraw(chosen: argparse.Namespace, console: Console) -> int:
    from student360.operations.reprocess import OperatorProblem, allow_withdrawals

    try:
        withdrawn = allow_withdrawals(_warehouse(), load_settings(), chosen.file)
    except OperatorProblem as problem:
        console.print(f"[red]{problem}[/red]")
        return 1
    console.print(f"{withdrawn:,} rows withdrawn; v_changes lists them.")
    return 0


def _move(chosen: argparse.Namespace, console: Console) -> int:
    from student360.operations.move import MoveProblem, move

    try:
        move(chosen.source, _warehouse(), console)
    except MoveProblem as problem:
        console.print(f"[red]{problem}[/red]")
        return 1
    return 0


def _sql(chosen: argparse.Namespace, console: Console) -> int:
    engine = chosen.engine or _warehouse().engine.name
    try:
        texts = {name: statements_of(name, engine) for name in ([chosen.name] if chosen.name else computed_by(engine))}
    except NothingToShow as problem:
        console.print(f"[red]{problem}[/red]")
        return 1
    for name, text in texts.items():
        if chosen.to:
            chosen.to.mkdir(parents=True, exist_ok=True)
            (chosen.to / f"{name}.sql").write_text(text, encoding="utf-8")
        else:
            print(text)
    return 0


COMMANDS: Mapping[str, Callable[[argparse.Namespace, Console], int]] = {
    "demo": _demo,
    "status": _status,
    "risk": _risk,
    "verify": _verify,
    "reprocess": _reprocess,
    "withdraw": _withdraw,
    "move": _move,
    "sql": _sql,
}


if __name__ == "__main__":
    sys.exit(main())
