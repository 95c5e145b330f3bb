"""How the packages depend on each other ([tool.importlinter] in pyproject.toml)."""

import subprocess
import sys
from pathlib import Path

from student360.settings import PROJECT


def test_a_package_imports_only_packages_below_it_and_no_module_imports_in_a_circle() -> None:
    """What may be deleted without breaking the product, `student360.instance`, is so imported by nothing."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert result.returncode == 0, result.stdout
    assert "2 kept, 0 broken" in result.stdout
