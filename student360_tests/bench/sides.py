"""Run one side of a comparison in a separate process, so that its memory can be measured and no cache is warm.

python -m student360_tests.bench.sides student360|trends|floor|pandas ...     prints one line of JSON

The file cache of the operating system stays warm.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from student360_tests.bench import rivals
from student360_tests.support.installation import peak_memory


def ingest_job() -> dict[str, Any]:
    """Run the ingest job in this process on the installation in the environment. Returns times and counts."""
    start = time.perf_counter()
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
        "import": imported - start,
        "statements": statements,
        "events": len(entries),
        "steps": {step: times[-1] - times[0] for step, times in steps.items()},
    }


def trends(how: str) -> dict[str, Any]:
    """Compute all aggregates of the Spark layer from the warehouse in the environment and collect them in this process.

    how: `spark-1` or `spark-2` (the number of workers), `duckdb` (which first reads the rows) or `sql`. Returns the
    seconds, including the start of the session, and the number of rows.
    """
    from student360.settings import load_settings
    from student360.spark.aggregates import aggregate, tables_read
    from student360.warehouse.scripts import check_query, scripts
    from student360.warehouse.warehouse import Warehouse

    url = load_settings().warehouse_url
    aggregates = [script for script in scripts().values() if script.layer == "spark"]
    queries = [check_query(script.name) for script in aggregates]
    start = time.perf_counter()
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
    return {"seconds": time.perf_counter() - start, "rows": rows}


def rival(name: str, engine: str, target: str, file: str) -> dict[str, Any]:
    """Run one of the other loaders. Returns the seconds and the number of rows."""
    load = {"floor": rivals.floor, "pandas": rivals.pandas_and_script}[name]
    start = time.perf_counter()
    rows = load(engine, target, Path(file))
    return {"seconds": time.perf_counter() - start, "rows": rows}


if __name__ == "__main__":
    match sys.argv[1]:
        case "student360":
            result = ingest_job()
        case "trends":
            result = trends(sys.argv[2])
        case _:
            result = rival(*sys.argv[1:])
    print(json.dumps(result | {"memory": peak_memory()}))
