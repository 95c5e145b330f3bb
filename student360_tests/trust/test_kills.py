"""Repeated kills at any point do not change the result of a load, and the harness detects broken rules."""

from pathlib import Path

import pytest

from student360_tests.conftest import IN_FULL, SQLITE_AND_POSTGRES_IN_FULL
from student360_tests.trust.kills import episode, hunt
from student360_tests.trust.mutants import MUTANTS

KILLS_PER_EPISODE = 25
SEEDS = [0, 1, pytest.param(2, marks=IN_FULL), pytest.param(3, marks=IN_FULL)]


@pytest.mark.fault("F12", "F32", "F40")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_random_kills_lose_duplicate_and_change_no_row(engine: str, seed: int, tmp_path: Path) -> None:
    figures = episode(engine, seed, KILLS_PER_EPISODE, tmp_path)
    assert figures.violations == []
    assert figures.killed >= KILLS_PER_EPISODE
    assert figures.rows["read"] > 100


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize("engine", SQLITE_AND_POSTGRES_IN_FULL)
def test_the_harness_detects_every_mutant(engine: str, mutant: str, tmp_path: Path) -> None:
    found = hunt(mutant, engine, tmp_path)
    assert found.violations, f"{mutant} survived {found.killed} kills"
