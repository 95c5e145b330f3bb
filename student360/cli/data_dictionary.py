"""The data dictionary: every feed, table and column with its description and privacy, as Markdown.

Belongs here: turning contracts and SQL files into a page. Does not belong here: any description.
"""

from student360.contracts import Contract, contracts
from student360.warehouse.scripts import Script, scripts

LAYERS = {
    "marts": "Marts: what people read",
    "core": "Core: the star schema and the rules",
    "spark": "Spark aggregates",
    "analysis": "Analysis: whether the risk list works",
    "staging": "Staging: typed rows on their way",
    "ledger": "Ledger: what came and what became of it",
}


def data_dictionary() -> str:
    """The whole page."""
    parts = [
        "# Data dictionary",
        "Made from the contracts and the SQL files by `make docs`; do not edit. Privacy: **pii** identifies a child or "
        "a family, **sensitive** is about a child, public is neither.",
        "## Feeds: what schools send",
        *(_feed(contract) for contract in contracts().values()),
    ]
    for layer, title in LAYERS.items():
        parts.append(f"## {title}")
        parts += [_table(script) for script in sorted(scripts().values(), key=_name) if script.layer == layer]
    return "\n\n".join(parts) + "\n"


def _name(script: Script) -> str:
    return script.name


def _feed(contract: Contract) -> str:
    rows = [
        f"| `{column.name}` | {column.kind} | {'needed' if column.required else 'optional'} | {column.privacy} | "
        f"{column.description} | {', '.join(column.aliases)} |"
        for column in contract.columns
    ]
    return "\n".join(
        [
            f"### {contract.feed}",
            f"{contract.description} Loads `{contract.loads}`. A file is recognised by one of these words in its name: "
            f"{', '.join(contract.name_words)}; else by its header.\n",
            "| column | kind | header | privacy | description | also called |",
            "|---|---|---|---|---|---|",
            *rows,
        ]
    )


def _table(script: Script) -> str:
    key = f" Key: {', '.join(f'`{name}`' for name in script.primary_key)}." if script.primary_key else ""
    rows = [
        f"| `{column.name}` | {column.storage} | {column.privacy} | {column.description} |" for column in script.columns
    ]
    return "\n".join(
        [
            f"### {script.name}",
            f"{script.description}{key}\n",
            "| column | type | privacy | description |",
            "|---|---|---|---|",
            *rows,
        ]
    )
