"""The packages depend on each other as declared in [tool.importlinter] in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

from student360.settings import PROJECT


def test_packages_import_only_lower_packages_and_there_are_no_import_cycles() -> None:
    """This includes that no package imports `student360.instance`, so that it can be deleted."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert result.returncode == 0, result.stdout
    assert "2 kept, 0 broken" in result.stdout
