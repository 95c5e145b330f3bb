"""The command line: `python -m student360 demo | status | move | docs`.

Belongs here: parsing arguments. Does not belong here: what the commands do.
"""

import argparse
import os
import re
import sys
from pathlib import Path

from rich.console import Console

from student360.settings import load_settings


def main() -> int:
    """Run a command; returns the exit code."""
    os.umask(0o077)
    parser = argparse.ArgumentParser(prog="python -m student360")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="a synthetic district through the whole pipeline")
    demo.add_argument("--students", type=int, default=1_000)
    demo.add_argument("--days", type=int, default=60)
    status = commands.add_parser("status", help="files, risk tiers, reasons and trends")
    status.add_argument("--svg", type=Path, help="save what is printed as a picture too")
    move = commands.add_parser("move", help="copy a warehouse into the one of STUDENT360_WAREHOUSE_URL, and compare")
    move.add_argument("source", metavar="FROM", help="sqlite:///<path> or postgresql://<user>@<host>/<database>")
    docs = commands.add_parser("docs", help="write the data dictionary and the asset graph")
    docs.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160, record=bool(getattr(chosen, "svg", None)))
    if chosen.command == "demo":
        from student360.demo import run_demo
        from student360.sample import District

        return 0 if run_demo(console, District(students=chosen.students, days=chosen.days)) else 1
    if chosen.command == "status":
        from student360.report import print_report
        from student360.warehouse.warehouse import Warehouse

        print_report(Warehouse(url=load_settings().warehouse_url), console)
        if chosen.svg:
            drawn = console.export_svg(title="Student 360")
            chosen.svg.write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL), encoding="utf-8")
        return 0
    if chosen.command == "move":
        from student360.move import MoveProblem
        from student360.move import move as move_house
        from student360.warehouse.warehouse import Warehouse, WarehouseError

        try:
            move_house(chosen.source, Warehouse(url=load_settings().warehouse_url), console)
        except (MoveProblem, WarehouseError) as problem:
            console.print(f"[red]{problem}[/red]")
            return 1
        return 0
    from student360.asset_graph import asset_graph_svg
    from student360.data_dictionary import data_dictionary
    from student360.definitions import defs

    (chosen.folder / "images").mkdir(parents=True, exist_ok=True)
    (chosen.folder / "data-dictionary.md").write_text(data_dictionary(), encoding="utf-8")
    (chosen.folder / "images" / "asset-graph.svg").write_text(asset_graph_svg(defs), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
