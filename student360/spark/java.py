"""Locates Java: Spark needs version 17 or newer."""

import os
import re
import shutil
import subprocess
from pathlib import Path

MINIMUM = 17
ADVICE = (
    f"Spark needs Java {MINIMUM} or newer: install it (Debian, Ubuntu: apt-get install openjdk-17-jre-headless; "
    "Fedora: dnf install java-21-openjdk-headless; macOS: brew install openjdk@17) or set JAVA_HOME."
)


class JavaMissing(Exception):
    """No suitable Java was found. The message explains how to install it."""


def find_java() -> Path:
    """Return the home folder of a Java 17 or newer, from JAVA_HOME, PATH or the usual folders. Raises JavaMissing."""
    on_path = shutil.which("java")
    candidates = [
        Path(os.environ["JAVA_HOME"]) if os.environ.get("JAVA_HOME") else None,
        Path(on_path).resolve().parent.parent if on_path else None,
        *sorted(Path("/usr/lib/jvm").glob("*"), reverse=True),
        Path("/opt/homebrew/opt/openjdk@17"),
    ]
    for home in candidates:
        if home is not None and java_version(home) >= MINIMUM:
            return home
    raise JavaMissing(ADVICE)


def java_version(home: Path) -> int:
    """Return the major version of the Java in a folder; 0 if there is none or it does not run."""
    try:
        result = subprocess.run(
            [home / "bin" / "java", "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', result.stderr + result.stdout)
    return int(match[1]) if match else 0


if __name__ == "__main__":
    try:
        print(find_java())
    except JavaMissing as missing:
        raise SystemExit(str(missing)) from None
