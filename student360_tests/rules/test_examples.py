"""The risk monitor shows the expected row for each worked example, on both engines and computed by DuckDB."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from student360.loading import bulk_risk
from student360.settings import PROJECT, load_settings
from student360_tests.conftest import run_pipeline
from student360_tests.rules.examples import WORLDS
from student360_tests.rules.page import PAGE, examples_page
from student360_tests.rules.worlds import FILLER_STUDENT, World
from student360_tests.support.installation import Installation

LEFT_OUT = {"student_id", "full_name", "student_durable_key", "homeroom"}


@pytest.mark.parametrize("many", [1, 10**9], ids=["judged by DuckDB", "judged by the database"])
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_the_monitor_matches_the_worked_examples(
    installation: Installation, world: World, many: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_risk, "MANY_STUDENTS", many)
    monkeypatch.setattr(bulk_risk, "STUDENTS_AT_ONCE", 7)
    found = monitor_of(world, installation, tmp_path, monkeypatch)
    wrong = []
    for number, example in enumerate(world.examples, start=1):
        row = {name: value for name, value in found[f"S{number:03}"].items() if name not in LEFT_OUT}
        expected = world.expected(example)
        wrong += [
            f"{example.name}: {name} is {row[name]!r}, not {expected[name]!r}"
            for name in row
            if not (row[name] == expected[name] or row[name] == pytest.approx(expected[name], abs=0.005))
        ]
        assert row.keys() == expected.keys()
    assert not wrong, "\n" + "\n".join(wrong)


def monitor_of(
    world: World, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[Any, Any]]:
    """Load a world and return the rows of the monitor by student id. Missing values are None."""
    if world.reference:
        rules = tmp_path / "reference"
        shutil.copytree(PROJECT / "data" / "reference", rules)
        for name, text in world.reference.items():
            (rules / name).write_text(text)
        monkeypatch.setenv("STUDENT360_REFERENCE_DIR", str(rules))
    for name, value in world.settings.items():
        monkeypatch.setenv(f"STUDENT360_{name}", value)
    for name, text in world.files().items():
        installation.drop(name, text.encode())
    run_pipeline(installation, load_settings())
    rows = installation.warehouse.frame("SELECT * FROM v_student_risk_monitor").astype("object")
    rows = rows.replace({np.nan: None})
    return {str(row["student_id"]): dict(row) for row in rows.to_dict("records") if row["student_id"] != FILLER_STUDENT}


def test_there_are_at_least_sixty_examples_with_unique_names_and_sources() -> None:
    examples = [example for world in WORLDS for example in world.examples]
    assert len(examples) >= 60
    assert all(example.source and example.name for example in examples)
    assert len({example.name for example in examples}) == len(examples)


def test_the_page_of_examples_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == examples_page(), "run `make docs`"
