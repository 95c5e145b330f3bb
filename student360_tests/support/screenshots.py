"""Take the screenshots of the Dagster UI for the documentation: `make screenshots`. Needs Chromium.

    python -m student360_tests.support.screenshots docs/images/screenshots

A synthetic district is loaded by the real daemon on a temporary installation. Its students are invented, and the pages
that are shown hold ids and counts only.
"""

import base64
import io
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from dagster import DagsterInstance, RunsFilter
from PIL import Image
from websockets.sync.client import ClientConnection, connect

from student360.cli.sample import District, write_district
from student360.orchestration.sensors import IN_PROGRESS
from student360.settings import PROJECT
from student360_tests.support.installation import Installation, create_installation, free_port, wait_until

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 1120
COLORS = 128
WITH_A_BAD_ROW = "attendance_2025-11-24.csv"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    f"--window-size={WIDTH},720",
)


@dataclass(frozen=True)
class Shot:
    """A picture: name, path, a text that appears when the page is complete, a text to click, a text to scroll to.

    `{partition}` in the path stands for the partition of the file with a rejected row.
    """

    name: str
    path: str
    text: str
    click: str = ""
    scroll_to: str = ""
    height: int = 720


SHOTS = (
    Shot("asset-graph", "/asset-groups?expanded=global@global:raw,global@global:staging", "stg_attendance"),
    Shot("lineage", "/assets/fact_homework?view=lineage&lineageScope=upstream", "dim_students"),
    Shot("landing-files", "/assets/landing_files?view=partitions&partition={partition}", "rows_rejected"),
    Shot("columns", "/assets/student_risk?view=overview", "risk_tier", scroll_to="Columns"),
    Shot("checks", "/assets/fact_attendance?view=checks", "rows_conserved", click="rejects_share"),
    Shot("timeline", "/overview/activity/timeline", "ingest", click="1hr", height=300),
)


class Page:
    """A page of the browser, driven by its debugging protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            reply: dict[str, Any] = json.loads(self._connection.recv(timeout=60))
            if reply.get("id") == self._number:
                return dict(reply.get("result", {}))

    def resize(self, width: int, height: int) -> None:
        """Set the size of the visible page, pixels."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self._call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def open(self, address: str, text: str) -> None:
        """Open an address and wait until a text is shown."""
        self._call("Page.navigate", url=address)
        self.wait_for(text)

    def wait_for(self, text: str) -> None:
        """Wait until a text is shown, then two seconds for what is drawn after it."""
        shown = f"!!document.body && document.body.innerText.includes({json.dumps(text)})"
        wait_until(lambda: bool(self.evaluate(shown)), 60, f"the text {text}")
        time.sleep(2)

    def click(self, text: str) -> None:
        """Click on the last innermost element that shows a text; do nothing if there is none."""
        self._on_element(text, "dispatchEvent(new MouseEvent('click', {bubbles: true}))")

    def scroll_to(self, text: str) -> None:
        """Scroll to the last innermost element that shows a text."""
        self._on_element(text, "scrollIntoView()")

    def _on_element(self, text: str, action: str) -> None:
        of_text = f"e => e.children.length === 0 && e.textContent.trim() === {json.dumps(text)}"
        self.evaluate(f"[...document.querySelectorAll('*')].filter({of_text}).at(-1)?.{action}")
        time.sleep(2)

    def picture(self) -> bytes:
        """Return what is shown as PNG with few colors, so that the file is small."""
        shot = base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])
        image = Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        small = io.BytesIO()
        image.save(small, "PNG", optimize=True)
        return small.getvalue()


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Run a browser with an empty profile in a folder. Raises FileNotFoundError if there is none."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise FileNotFoundError("Screenshots need Chromium: install the package chromium.")
    process = subprocess.Popen(
        [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port_file = folder / "DevToolsActivePort"
        wait_until(lambda: port_file.exists() and len(port_file.read_text().split()) == 2, 30, "the browser")
        port = port_file.read_text().split()[0]
        with urlopen(f"http://127.0.0.1:{port}/json") as answer:
            target = next(page for page in json.load(answer) if page["type"] == "page")
        with connect(target["webSocketDebuggerUrl"], max_size=None) as connection:
            yield Page(connection)
    finally:
        process.terminate()
        process.wait()


def load_demo(installation: Installation) -> None:
    """Drop a district and two daily files, one of them with a bad row, and wait until the daemon has loaded them."""
    write_district(installation.root / "sample", District(students=400))
    exports = sorted((installation.root / "sample").glob("*.csv"))
    daily = {
        WITH_A_BAD_ROW: "S000042,2025-11-24,,Absent\nS000043,24 of November,,Present\n",
        "attendance_2025-11-25.csv": "S000042,2025-11-25,,Absent\n",
    }
    files = [(path.name, path.read_bytes()) for path in exports]
    files += [(name, f"Student_ID,Date,Subject,Attendance_Status\n{rows}".encode()) for name, rows in daily.items()]
    with installation.instance() as instance:
        for number, (name, content) in enumerate(files, start=1):
            installation.drop(name, content)
            if number >= len(exports):
                wait_until(partial(has_loaded, instance, number), 240, "the files loaded by the daemon")


def has_loaded(instance: DagsterInstance, files: int) -> bool:
    """Return whether so many files have a partition and no run of the job `ingest` is in progress."""
    running = instance.get_runs_count(RunsFilter(job_name="ingest", statuses=IN_PROGRESS))
    return len(instance.get_dynamic_partitions("landing_files")) >= files and not running


def partition_of(installation: Installation, start: str) -> str:
    """Return the name of the first partition of landing_files that starts so."""
    with installation.instance() as instance:
        return next(name for name in instance.get_dynamic_partitions("landing_files") if name.startswith(start))


def is_listening(port: int) -> bool:
    """Return whether a process listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main(folder: Path) -> None:
    """Take all screenshots into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        installation = create_installation("sqlite", Path(temporary))
        with (installation.dagster_home / "dagster.yaml").open("a") as settings:
            settings.write("nux:\n  enabled: false\n")
        with installation.instance() as instance:
            instance.get_runs_count()  # creates Dagster's tables, before two processes try to
        with installation.daemon():
            load_demo(installation)
            take(installation, folder, Path(temporary, "browser"))


def take(installation: Installation, folder: Path, profile: Path) -> None:
    """Start the webserver of an installation and take all screenshots into a folder."""
    partition = partition_of(installation, "attendance-20251124")
    port = free_port()
    server = ("dagster-webserver", "-h", "127.0.0.1", "-p", str(port), "-w", str(PROJECT / "workspace.yaml"))
    with installation.running(*server), browser(profile) as page:
        wait_until(lambda: is_listening(port), 120, "the webserver")
        page.open(f"http://127.0.0.1:{port}/", "Hide navigation")
        page.click("Hide navigation")
        for shot in SHOTS:
            page.resize(WIDTH, shot.height)
            page.open(f"http://127.0.0.1:{port}{shot.path.format(partition=partition)}", shot.text)
            if shot.click:
                page.click(shot.click)
            if shot.scroll_to:
                page.scroll_to(shot.scroll_to)
            (folder / f"{shot.name}.png").write_bytes(page.picture())
            print(f"{folder / shot.name}.png", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
