"""Measure the time and the memory of processes. What is measured is defined in `parts.py`."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Measured:
    """The figures of one side: seconds of each run, peak resident memory (MB), and other figures of the last run."""

    name: str
    seconds: list[float] = field(default_factory=list)
    memory: float = 0.0
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def add(self, run: Mapping[str, Any]) -> None:
        """Add a run: its `seconds`, its `memory` if known, and all other figures."""
        self.seconds.append(run["seconds"])
        self.memory = max(self.memory, run.get("memory", 0.0))
        self.told |= run


def run_side(environment: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """Run a side in a separate process. Returns its figures, with `seconds` and `memory` (peak, MB)."""
    return run_command(environment, sys.executable, "-m", "student360_tests.bench.sides", *arguments)


def run_command(environment: Mapping[str, str], *command: str) -> dict[str, Any]:
    """Run a command. Returns the JSON object in the last line of its output. Raises RuntimeError if it fails."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=output,
            stderr=errors,
        )
        process.wait()
        output.seek(0)
        lines = output.read().decode().splitlines()
        if process.returncode != 0:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed: {errors.read().decode()[-2000:]}")
    result: dict[str, Any] = json.loads(lines[-1])
    return result
