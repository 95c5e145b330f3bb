"""One side of a comparison, in a process of its own: so its memory is its own, and nothing is warm but the disk.

python -m student360_tests.bench.sides ours|trends|floor|pandas ...     prints one line of JSON
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from student360_tests.bench import rivals
from student360_tests.support.installation import peak_memory


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


def trends(how: str) -> dict[str, Any]:
    """All aggregates of the Spark layer from the warehouse that the environment names, brought to this process.

    how: `spark-1` or `spark-2` (so many workers), `duckdb` (the rows are read into it first) or `sql`. Tells how many
    seconds each took, the session included, and how many rows came out.
    """
    from student360.settings import load_settings
    from student360.spark.aggregates import aggregate, tables_read
    from student360.warehouse.scripts import check_query, scripts
    from student360.warehouse.warehouse import Warehouse

    url = load_settings().warehouse_url
    aggregates = [script for script in scripts().values() if script.layer == "spark"]
    queries = [check_query(script.name) for script in aggregates]
    began = time.perf_counter()
    rows = 0
    if how.startswith("spark"):
        from student360.spark.session import Spark

        spark = Spark(master=f"local[{how[-1]}]")
        for script in aggregates:
            tables = {name: spark.read(url, name, columns) for name, columns in tables_read(script).items()}
            rows += aggregate(script, tables).toArrow().num_rows
    elif how == "duckdb":
        rows = rivals.aggregates_by_duckdb(Warehouse(url=url), queries)
    else:
        with Warehouse(url=url).reading() as tx:
            rows = sum(len(tx.query(query)) for query in queries)
    return {"seconds": time.perf_counter() - began, "rows": rows}


def rival(name: str, engine: str, target: str, file: str) -> dict[str, Any]:
    """One of the others."""
    load = {"floor": rivals.floor, "pandas": rivals.pandas_and_script}[name]
    began = time.perf_counter()
    rows = load(engine, target, Path(file))
    return {"seconds": time.perf_counter() - began, "rows": rows}


if __name__ == "__main__":
    match sys.argv[1]:
        case "ours":
            told = ours()
        case "trends":
            told = trends(sys.argv[2])
        case _:
            told = rival(*sys.argv[1:])
    print(json.dumps(told | {"memory": peak_memory()}))
