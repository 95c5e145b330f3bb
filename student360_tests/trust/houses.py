"""Installations for the harness, outside of pytest: made, used and thrown away.

Belongs here: making them. Does not belong here: what is tried on them.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from student360.settings import Settings, load_settings
from student360_tests.postgres import drop_schema, new_schema, server_url
from student360_tests.running import House

ENGINES = ("sqlite", "postgres")


@contextmanager
def throw_away_house(engine: str, folder: Path | None = None) -> Iterator[House]:
    """An empty installation on an engine, in a folder of its own below the given one."""
    root = Path(tempfile.mkdtemp(prefix="student360-trust-", dir=folder))
    house = House(root, server_url(), new_schema()) if engine == "postgres" else House(root)
    house.prepare()
    try:
        yield house
    finally:
        if house.schema:
            drop_schema(house.schema)
        shutil.rmtree(root, ignore_errors=True)


def quick_settings(house: House, **extra: str) -> Settings:
    """The settings of a house whose files need not rest before they are taken."""
    return load_settings(house.environment | {"STUDENT360_SETTLE_SECONDS": "0"} | extra)
