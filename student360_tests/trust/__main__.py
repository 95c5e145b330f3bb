"""The reliability tests at full size with printed results: `make bad-inputs`, `kills`, `mutants` and `soak`.

The exit code is 1 if a guarantee was violated. The faults are tests of their own: `make faults`.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from rich.console import Console

from student360.settings import PROJECT
from student360_tests.trust.installations import ENGINES
from student360_tests.trust.kills import Figures, episode, hunt
from student360_tests.trust.mutants import MUTANTS
from student360_tests.trust.report import (
    bad_inputs_page,
    bad_inputs_table,
    faults_page,
    figures_table,
    mutants_table,
)
from student360_tests.trust.soak import soak
from student360_tests.trust.try_bad_inputs import all_cases, try_all

KILLS_PER_EPISODE = 25
REFERENCE = PROJECT / "docs" / "reference"


def main() -> int:
    """Try what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m student360_tests.trust")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("bad-inputs", help="B01-B80, alone and all at once, on both engines")
    kills = commands.add_parser("kills", help="workers killed again and again, on both engines")
    kills.add_argument("--kills", type=int, default=500, help="on each engine")
    kills.add_argument("--seed", type=int, default=100)
    commands.add_parser("mutants", help="each rule broken in turn, on both engines")
    soaked = commands.add_parser("soak", help="the real daemon under all that can happen, on both engines")
    soaked.add_argument("--minutes", type=float, default=30, help="on both engines together")
    soaked.add_argument("--seed", type=int, default=1)
    commands.add_parser("page", help="write docs/reference/bad-inputs.md and faults.md")
    chosen = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140)
    match chosen.command:
        case "bad-inputs":
            return _bad_inputs(console)
        case "kills":
            return _kills(console, chosen.kills, chosen.seed)
        case "mutants":
            return _mutants(console)
        case "soak":
            return _soak(console, chosen.minutes, chosen.seed)
    (REFERENCE / "bad-inputs.md").write_text(bad_inputs_page(all_cases()), encoding="utf-8")
    (REFERENCE / "faults.md").write_text(faults_page(), encoding="utf-8")
    return 0


def _bad_inputs(console: Console) -> int:
    results = {
        f"{engine}, {'all at once' if together else 'alone'}": try_all(engine, together)
        for engine in ENGINES
        for together in (False, True)
    }
    console.print(bad_inputs_table(results))
    bad = 0
    for way, tried in results.items():
        good = [result for result in tried if not result.problem]
        ids = {result.case.id[:3] for result in tried} - {result.case.id[:3] for result in tried if result.problem}
        console.print(f"bad inputs on {way}: {len(good)} of {len(tried)} cases, {len(ids)} of 80 ids")
        bad += len(tried) - len(good)
    return 1 if bad else 0


def _kills(console: Console, wanted: int, seed: int) -> int:
    figures = {engine: Figures() for engine in ENGINES}
    for engine, total in figures.items():
        while total.killed < wanted and not total.violations:
            total += episode(engine, seed, KILLS_PER_EPISODE)
            seed += 1
            console.print(f"{engine}: {total.killed} of {wanted} kills, violations {len(total.violations)}")
    console.print(figures_table("Killed anywhere, again and again", figures))
    return _end(console, figures)


def _mutants(console: Console) -> int:
    found = {mutant: {engine: hunt(mutant, engine) for engine in ENGINES} for mutant in MUTANTS}
    console.print(mutants_table(found))
    caught = sum(all(figures.violations for figures in by_engine.values()) for by_engine in found.values())
    console.print(f"mutants caught on both engines: {caught} of {len(found)}")
    return 0 if caught == len(found) else 1


def _soak(console: Console, minutes: float, seed: int) -> int:
    figures = {}
    for engine in ENGINES:
        with tempfile.TemporaryDirectory(prefix="student360-soak-") as folder:
            say = partial(console.print, f"{engine}:")
            figures[engine] = soak(engine, minutes / len(ENGINES), seed, Path(folder), say)
    console.print(figures_table(f"The real daemon under a soak of {minutes:g} minutes", figures))
    return _end(console, figures)


def _end(console: Console, figures: dict[str, Figures]) -> int:
    for engine, each in figures.items():
        for violation in each.violations:
            console.print(f"[red]{engine}: {violation}[/red]")
    return 1 if any(each.violations for each in figures.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
