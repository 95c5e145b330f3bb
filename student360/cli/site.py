"""Generate those pages and pictures of the documentation that the product itself determines (`student360 docs`)."""

from collections.abc import Mapping
from pathlib import Path

from student360.cli.asset_graph import asset_graph_svg
from student360.cli.data_dictionary import dictionary_pages
from student360.cli.picture import demo_report_svg

TABLES = Path("reference", "tables")


def generated_files() -> Mapping[Path, str]:
    """Return the text of each generated file by its path below docs/."""
    from student360.definitions import defs

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
