"""A name, a contact and a birth date that nobody has: where they turn up, a child's would.

Belongs here: looking for them. Does not belong here: bringing them in.
"""

import stat
from pathlib import Path

from student360_tests.support.installation import Installation
from student360_tests.support.postgres import ask

CANARIES = ("Zyx-Canary-7731", "canary-phone-5551234", "1999-12-31")


def assert_no_canary_outside(installation: Installation) -> None:
    """Names, contacts and birth dates are in the warehouse and in the files, and nowhere else."""
    places = {
        str(path.relative_to(installation.root)): path.read_bytes()
        for path in installation.root.rglob("*")
        if path.is_file() and installation.data not in path.parents
    }
    if installation.engine == "postgres":
        places |= tables_of(installation.dagster_schema)
    assert any(("event" in name or name.endswith(".db")) and content for name, content in places.items())
    for name, content in places.items():
        for canary in CANARIES:
            assert canary.encode() not in content, f"{canary} in {name}"


def tables_of(schema: str) -> dict[str, bytes]:
    """All rows of all tables of a schema, as text."""
    names = [name for (name,) in ask(f"SELECT tablename::text FROM pg_tables WHERE schemaname = '{schema}'")]
    return {
        name: "\n".join(row for (row,) in ask(f"SELECT t::text FROM {schema}.{name} AS t")).encode() for name in names
    }


def assert_private(folder: Path) -> None:
    """Nobody but the owner can read what is in a folder, files and folders alike."""
    open_to_others = [
        f"{path.relative_to(folder)} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in [folder, *folder.rglob("*")]
        if not path.is_symlink() and stat.S_IMODE(path.lstat().st_mode) & 0o077
    ]
    assert not open_to_others, f"open to others: {open_to_others}"
