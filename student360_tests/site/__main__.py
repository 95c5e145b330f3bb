"""Generate pages and pictures of the documentation (`make docs`).

python -m student360_tests.site docs
"""

import sys
import tempfile
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from rich.console import Console

from student360.cli.picture import console_svg
from student360.cli.report import files_report, reasons_report, tiers_report
from student360.cli.sample import District, write_district
from student360.definitions import defs
from student360.loading.pipeline import load_all
from student360.settings import load_settings
from student360.warehouse.warehouse import Warehouse
from student360_tests.site.asset_graph import asset_graph_svg
from student360_tests.site.data_dictionary import dictionary_pages

TABLES = Path("reference", "tables")
REPORT_WIDTH = 105
REPORT_TITLE = "What make demo prints: files with their counts, students per risk tier, the highest-risk students"


def generated_files() -> Mapping[Path, str]:
    """Return the text of each generated file by its path below docs/."""
    pages = {Path("reference", name): text for name, text in dictionary_pages().items()}
    pictures = {"asset-graph.svg": asset_graph_svg(defs), "report.svg": demo_report_svg()}
    return pages | {Path("images", name): text for name, text in pictures.items()}


def write_generated_files(docs: Path) -> None:
    """Write all generated files below a folder, and remove pages of tables that no longer exist."""
    files = generated_files()
    for path, text in files.items():
        (docs / path).parent.mkdir(parents=True, exist_ok=True)
        (docs / path).write_text(text, encoding="utf-8")
    for page in (docs / TABLES).glob("*.md"):
        if page.relative_to(docs) not in files:
            page.unlink()


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


if __name__ == "__main__":
    write_generated_files(Path(sys.argv[1]))
