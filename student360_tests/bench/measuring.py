"""Times and memory of processes, medians and ratios.

Belongs here: how a figure is taken. Does not belong here: of what (`parts.py`).
"""

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
    """What was seen of one side: seconds of each run, the highest resident memory (MB), and what it said of itself."""

    name: str
    seconds: list[float] = field(default_factory=list)
    memory: float = 0.0
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def add(self, told: Mapping[str, Any]) -> None:
        """Note a run: its `seconds`, its `memory` where it is known, and whatever else it said."""
        self.seconds.append(told["seconds"])
        self.memory = max(self.memory, told.get("memory", 0.0))
        self.told |= told


def run_side(environment: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """Run a side in a process of its own. Returns what it printed, its `seconds` and `memory` (MB at most) among it."""
    return run_command(environment, sys.executable, "-m", "student360_tests.bench.sides", *arguments)


def run_command(environment: Mapping[str, str], *command: str) -> dict[str, Any]:
    """Run a command. Returns what its last line says, as JSON."""
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=told,
            stderr=errors,
        )
        process.wait()
        told.seek(0)
        lines = told.read().decode().splitlines()
        if process.returncode != 0:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed: {errors.read().decode()[-2000:]}")
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer
