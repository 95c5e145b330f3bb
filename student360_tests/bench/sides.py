"""One side of a comparison, in a process of its own: so its memory is its own, and nothing is warm but the disk.

python -m student360_tests.bench.sides ours|floor|pandas ...     prints one line of JSON
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from student360_tests.bench import rivals
from student360_tests.running import peak_memory


def ours() -> dict[str, Any]:
    """The ingest job through the real assets, in this process; the environment says which installation."""
    began = time.perf_counter()
    from dagster import DagsterInstance

    from student360.definitions import defs
    from student360.warehouse.transaction import Transaction

    statements = 0
    send = Transaction._send

    def counted(self: Transaction, *arguments: Any) -> None:
        nonlocal statements
        statements += 1
        send(self, *arguments)

    Transaction._send = counted  # type: ignore[method-assign,assignment]
    imported = time.perf_counter()
    with DagsterInstance.get() as instance:
        result = defs.resolve_job_def("ingest").execute_in_process(instance=instance)
        done = time.perf_counter()
        entries = instance.all_logs(result.run_id)
    steps: dict[str, list[float]] = {}
    for entry in entries:
        event = entry.dagster_event
        if event is not None and event.event_type_value in ("STEP_START", "STEP_SUCCESS"):
            steps.setdefault(str(event.step_key), []).append(entry.timestamp)
    return {
        "seconds": done - imported,
        "import": imported - began,
        "statements": statements,
        "events": len(entries),
        "steps": {step: times[-1] - times[0] for step, times in steps.items()},
    }


def rival(name: str, engine: str, target: str, file: str) -> dict[str, Any]:
    """One of the others."""
    load = {"floor": rivals.floor, "pandas": rivals.pandas_and_script}[name]
    began = time.perf_counter()
    rows = load(engine, target, Path(file))
    return {"seconds": time.perf_counter() - began, "rows": rows}


if __name__ == "__main__":
    told = ours() if sys.argv[1] == "ours" else rival(*sys.argv[1:])
    print(json.dumps(told | {"memory": peak_memory()}))
