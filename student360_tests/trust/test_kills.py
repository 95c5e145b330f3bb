"""Killed anywhere, again and again, the house ends as if nothing had happened; a broken rule is noticed."""

from pathlib import Path

import pytest

from student360.crash_points import CrashPoint
from student360_tests.trust.kills import Figures, episode
from student360_tests.trust.mutants import MUTANTS

KILLS_PER_EPISODE = 25
EPISODES = 4
MUTANT_KILLS = 12
AIMS = {
    "M1 archive before commit": CrashPoint.AROUND_RENAME,
    "M2 ledger in a second transaction": CrashPoint.AFTER_COMMIT,
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(EPISODES))
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_no_kill_loses_repeats_or_changes_a_row(engine: str, seed: int, tmp_path: Path) -> None:
    figures = episode(engine, seed, KILLS_PER_EPISODE, tmp_path)
    assert figures.violations == []
    assert figures.killed >= KILLS_PER_EPISODE
    assert figures.rows["read"] > 100


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(name, marks=pytest.mark.xfail(reason="not noticed yet", strict=False)) if name in AIMS else name
        for name in MUTANTS
    ],
)
def test_the_harness_notices_every_rule_that_is_broken(mutant: str, tmp_path: Path) -> None:
    found = caught(mutant, "sqlite", tmp_path)
    assert found.violations, f"{mutant} survived {found.killed} kills"


def caught(mutant: str, engine: str, folder: Path) -> Figures:
    """Figures of the first episode that notices a mutant, or of the last one."""
    figures = Figures()
    for seed in range(6):
        figures = episode(engine, seed, MUTANT_KILLS, folder, mutant, AIMS.get(mutant))
        if figures.violations:
            break
    return figures
