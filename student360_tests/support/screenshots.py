"""Take the screenshots of the Dagster UI for the documentation: `make screenshots`. Needs Chromium.

    python -m student360_tests.support.screenshots docs/images/screenshots

A synthetic district is loaded by the real daemon on a temporary installation. Its students are invented, and the pages
that are shown hold ids and counts only.
"""

import base64
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from dagster import DagsterRunStatus, RunsFilter
from PIL import Image
from websockets.sync.client import ClientConnection, connect

from student360.cli.sample import District, write_district
from student360.settings import PROJECT
from student360_tests.support.installation import Installation, create_installation, free_port, wait_until

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SIZE = (1120, 720)
COLORS = 128
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
    f"--window-size={SIZE[0]},{SIZE[1]}",
)


@dataclass(frozen=True)
class Shot:
    """A picture: its name, the path of the page, a text that shows that the page is complete, clicks before it."""

    name: str
    path: str
    text: str
    clicks: tuple[str, ...] = ()


SHOTS = (
    Shot("asset-graph", "/asset-groups", "landing_files"),
    Shot("landing-files", "/assets/landing_files?view=partitions", "attendance"),
    Shot("columns", "/assets/student_risk?view=overview", "risk_tier"),
    Shot("checks", "/assets/fact_attendance?view=checks", "rows_conserved"),
    Shot("runs", "/runs", "ingest"),
    Shot("timeline", "/overview/activity/timeline", "ingest"),
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
        """Click on the last innermost element that shows a text."""
        self.evaluate(
            "(() => { const found = [...document.querySelectorAll('*')].filter(e => e.children.length === 0 && "
            f"e.textContent.trim() === {json.dumps(text)}); found.at(-1)?.dispatchEvent(new MouseEvent('click', "
            "{bubbles: true})); })()"
        )
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
    """Drop a district and two daily files, one of them with a bad row, and wait for the runs of the daemon."""
    write_district(installation.root / "sample", District(students=400))
    for path in sorted((installation.root / "sample").glob("*.csv")):
        installation.drop(path.name, path.read_bytes())
    with installation.instance() as instance:
        done = RunsFilter(job_name="ingest", statuses=[DagsterRunStatus.SUCCESS])
        for number, rows in enumerate(
            ("", "S000042,2025-11-24,Absent\nS000043,24 of November,Present\n", "S000042,2025-11-25,Absent\n")
        ):
            if rows:
                name = f"attendance_2025-11-{23 + number}.csv"
                installation.drop(name, f"Student_ID,Date,Attendance_Status\n{rows}".encode())
            wait_until(lambda: instance.get_runs_count(done) > number, 180, "a run of the daemon")  # noqa: B023


def main(folder: Path) -> None:
    """Take all screenshots into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        installation = create_installation("sqlite", Path(temporary))
        port = free_port()
        server = ("dagster-webserver", "-h", "127.0.0.1", "-p", str(port), "-w", str(PROJECT / "workspace.yaml"))
        with installation.daemon(), installation.running(*server), browser(Path(temporary, "browser")) as page:
            load_demo(installation)
            for shot in SHOTS:
                page.open(f"http://127.0.0.1:{port}{shot.path}", shot.text)
                for text in shot.clicks:
                    page.click(text)
                (folder / f"{shot.name}.png").write_bytes(page.picture())
                print(f"{folder / shot.name}.png", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
