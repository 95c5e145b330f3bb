"""Load a file into a database with dlt as in its documentation. Runs in an environment with dlt (`make bench`).

python dlt_side.py <sqlalchemy or postgres> <url> <file>     prints the seconds as one line of JSON

This file must not import Student 360, which is not installed there.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import dlt
from dlt.sources.filesystem import filesystem, read_csv


def load(destination: str, url: str, file: Path, folder: str) -> None:
    """Append all rows of the file to the table `attendance`."""
    target = getattr(dlt.destinations, destination)(credentials=url)
    pipeline = dlt.pipeline("rival", pipelines_dir=folder, destination=target, dataset_name="dlt_rival")
    rows = filesystem(bucket_url=file.parent.as_uri(), file_glob=file.name) | read_csv()
    pipeline.run(rows.with_name("attendance")).raise_on_failed_jobs()


if __name__ == "__main__":
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        load(sys.argv[1], sys.argv[2], Path(sys.argv[3]), folder)
    print(json.dumps({"seconds": time.perf_counter() - start}))
