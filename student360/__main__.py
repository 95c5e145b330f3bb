"""The command line: `python -m student360 demo | status | data-dictionary`.

Belongs here: parsing arguments. Does not belong here: what the commands do.
"""

import argparse
import os
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
    commands.add_parser("status", help="files, risk tiers, reasons and trends")
    dictionary = commands.add_parser("data-dictionary", help="write the data dictionary from contracts and SQL")
    dictionary.add_argument("path", type=Path)
    chosen = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    if chosen.command == "demo":
        from student360.demo import run_demo
        from student360.sample import District

        return 0 if run_demo(console, District(students=chosen.students, days=chosen.days)) else 1
    if chosen.command == "status":
        from student360.report import print_report
        from student360.warehouse.warehouse import Warehouse

        print_report(Warehouse(url=load_settings().warehouse_url), console)
        return 0
    from student360.data_dictionary import data_dictionary

    chosen.path.write_text(data_dictionary(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
