"""A hook of MkDocs: list the generated page of each table below "Data dictionary", by layer."""

from typing import Any

from student360_tests.site.data_dictionary import layers_of_pages

SECTION = "Data dictionary"


def on_config(config: Any) -> Any:
    """Add the pages to the navigation of mkdocs.yml."""
    section = next(entry[SECTION] for entry in config.nav if SECTION in entry)
    section += [
        {title.partition(":")[0]: [{name: f"reference/tables/{name}.md"} for name in names]}
        for title, names in layers_of_pages().items()
    ]
    return config
