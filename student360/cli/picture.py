"""Draw what a console printed as an SVG picture, and the report of the demo for the documentation."""

import re
import tempfile
from html import escape
from io import StringIO

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from student360.cli.report import files_report, reasons_report, tiers_report
from student360.cli.sample import District, write_district
from student360.loading.pipeline import load_all
from student360.settings import load_settings
from student360.warehouse.warehouse import Warehouse

REPORT_WIDTH = 105
REPORT_TITLE = "What make demo prints: files with their counts, students per risk tier, the highest-risk students"
# Dark enough on white to be read as text (WCAG AA).
ON_WHITE = TerminalTheme(
    (255, 255, 255),
    (31, 39, 48),
    [
        (31, 39, 48),
        (176, 0, 32),
        (26, 107, 45),
        (138, 90, 0),
        (20, 80, 160),
        (120, 40, 120),
        (0, 102, 120),
        (90, 90, 90),
    ],
)


def console_svg(console: Console, title: str) -> str:
    """Return what a recording console printed as SVG with a title for screen readers and no font from the network."""
    drawn = console.export_svg(title="Student 360", theme=ON_WHITE)
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    drawn = "\n".join(line.rstrip() for line in drawn.splitlines() if line.strip())
    head, _, body = drawn.partition(">")
    return f'{head} role="img" aria-labelledby="title">\n<title id="title">{escape(title)}</title>{body}\n'


def demo_report_svg() -> str:
    """Load the demo's district into a temporary SQLite warehouse and return its report as SVG, the same every time."""
    console = Console(width=REPORT_WIDTH, record=True, file=StringIO(), force_terminal=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings({"STUDENT360_DATA_DIR": folder})
        write_district(settings.landing, District())
        warehouse = Warehouse(url=settings.warehouse_url)
        load_all(warehouse, settings, "picture")
        console.print(files_report(warehouse), tiers_report(warehouse), reasons_report(warehouse, limit=3))
    return console_svg(console, REPORT_TITLE)
