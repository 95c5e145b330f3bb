"""Draw the asset graph for the documentation: one band per layer, one column per feed, from the Dagster definitions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from dagster import AssetKey, Definitions

from student360.contracts import contracts

COLORS = {
    "raw": "#f4d6c6",
    "staging": "#f6e7b4",
    "core": "#cfe3f6",
    "marts": "#d3edd2",
    "spark": "#e2d7f3",
    "analysis": "#f3d7e2",
}
WIDTH, LABEL_WIDTH, MARGIN = 830, 78, 8
BOX_HEIGHT, GAP, BAND_GAP, PADDING = 24, 6, 22, 8
COLUMNS = 5
FONT_SIZE, LETTER_WIDTH = 11.0, 5.6
FONT = "Helvetica, Arial, sans-serif"
TITLE = "Assets by layer: landing files, raw, staging, core, marts, Spark and analysis"


@dataclass(frozen=True)
class Band:
    """Assets drawn in one band: label lines, group (its color), rows of asset names ("" for an empty place)."""

    label: tuple[str, ...]
    group: str
    rows: Sequence[Sequence[str]]

    @property
    def height(self) -> int:
        return len(self.rows) * (BOX_HEIGHT + GAP) - GAP + 2 * PADDING


def asset_graph_svg(defs: Definitions) -> str:
    """Return the picture as SVG text, 830 px wide.

    Arrows connect landing_files, raw, staging and core per feed, and bands below; the title of each box lists what the
    asset reads.
    """
    graph = defs.resolve_asset_graph()
    parents = {
        key.to_user_string(): sorted(parent.to_user_string() for parent in graph.get(key).parent_keys)
        for key in graph.toposorted_asset_keys
    }
    groups = {name: str(graph.get(AssetKey(name)).group_name) for name in parents}
    bands = list(_bands(groups))
    drawn: list[str] = []
    y = MARGIN
    places: dict[str, tuple[float, float, float]] = {}
    for band in bands:
        drawn.append(_background(band, y))
        for number, row in enumerate(band.rows):
            top = y + PADDING + number * (BOX_HEIGHT + GAP)
            width = (WIDTH - LABEL_WIDTH - 2 * MARGIN - (len(row) - 1) * GAP - PADDING) / len(row)
            for column, name in enumerate(row):
                if name:
                    x = MARGIN + LABEL_WIDTH + column * (width + GAP)
                    places[name] = (x, top, width)
                    drawn.append(_box(name, groups[name], parents[name], x, top, width))
        y += band.height + BAND_GAP
    height = y - BAND_GAP + MARGIN
    arrows = [*_feed_arrows(places, parents), *_band_arrows(bands, parents)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-labelledby="title" font-family="{FONT}">',
            f'<title id="title">{TITLE}</title>',
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#5b6673"/></marker></defs>',
            '<rect width="100%" height="100%" fill="white"/>',
            *drawn,
            *arrows,
            "</svg>\n",
        ]
    )


def _bands(groups: Mapping[str, str]) -> Iterator[Band]:
    """Yield the bands from top to bottom, with every asset in one of them."""
    feeds = sorted(contracts().values(), key=lambda contract: (not contract.loads.startswith("dim_"), contract.feed))
    loaded = [contract.loads for contract in feeds]
    of_group = {group: [name for name in groups if groups[name] == group] for group in COLORS}
    views = [name for name in of_group["marts"] if name.startswith("v_")]
    yield Band(("landing",), "raw", [["landing_files"]])
    yield Band(("raw",), "raw", [[contract.raw_asset for contract in feeds]])
    yield Band(("staging",), "staging", [[contract.staging_table for contract in feeds]])
    yield Band(("core:", "from feeds"), "core", [loaded])
    yield Band(
        ("core:", "codes,", "rules,", "calendar"), "core", _rows([n for n in of_group["core"] if n not in loaded])
    )
    yield Band(("marts:", "tables"), "marts", _rows([name for name in of_group["marts"] if name not in views]))
    yield Band(("marts:", "views"), "marts", _rows(views))
    yield Band(("Spark,", "analysis"), "spark", _rows(of_group["spark"] + of_group["analysis"]))


def _rows(names: Sequence[str]) -> list[list[str]]:
    ordered = sorted(names)
    rows = [ordered[start : start + COLUMNS] for start in range(0, len(ordered), COLUMNS)]
    rows[-1] += [""] * (COLUMNS - len(rows[-1]))
    return rows


def _background(band: Band, y: int) -> str:
    middle = y + band.height / 2 - 7 * (len(band.label) - 1) + 4
    lines = "".join(
        f'<tspan x="{MARGIN + PADDING}" y="{middle + 14 * number:g}">{escape(line)}</tspan>'
        for number, line in enumerate(band.label)
    )
    return (
        f'<rect x="{MARGIN}" y="{y}" width="{WIDTH - 2 * MARGIN}" height="{band.height}" rx="6" fill="#f6f7f9" '
        f'stroke="#d5dae1"/><text font-size="11.5" font-weight="bold" fill="#3c4652">{lines}</text>'
    )


def _box(name: str, group: str, reads: Sequence[str], x: float, y: float, width: float) -> str:
    """Draw an asset; the font of a long name is made smaller so that it fits into the box."""
    size = min(FONT_SIZE, FONT_SIZE * (width - 6) / (len(name) * LETTER_WIDTH))
    title = f"{name} reads {', '.join(reads)}" if reads else name
    return (
        f'<g><title>{escape(title)}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BOX_HEIGHT}" rx="4" '
        f'fill="{COLORS[group]}" stroke="#8b96a3" '
        f'stroke-width=".6"/><text x="{x + width / 2:.1f}" y="{y + 16}" text-anchor="middle" '
        f'font-size="{size:.1f}" fill="#1f2730">'
        f"{escape(name)}</text></g>"
    )


def _feed_arrows(
    places: Mapping[str, tuple[float, float, float]], parents: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Yield the arrows of each feed, straight down."""
    for contract in contracts().values():
        way = ("landing_files", contract.raw_asset, contract.staging_table, contract.loads)
        for parent, child in pairwise(way):
            if parent in parents[child]:
                x, top, width = places[child]
                yield _arrow(x + width / 2, places[parent][1] + BOX_HEIGHT, top)


def _band_arrows(bands: Sequence[Band], parents: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield one arrow between two bands in a row if an asset of one reads an asset of the other, core and below."""
    y = MARGIN
    for upper, lower in pairwise(bands):
        bottom = y + upper.height
        y = bottom + BAND_GAP
        above = {name for row in upper.rows for name in row}
        below = {name for row in lower.rows for name in row if name}
        x = MARGIN + LABEL_WIDTH / 2
        if upper.group not in ("core", "marts"):
            continue
        if any(above.intersection(parents[name]) for name in below):
            yield _arrow(x, bottom, y)
        if any(below.intersection(parents.get(name, ())) for name in above):
            yield _arrow(WIDTH - 3 * MARGIN, y, bottom)


def _arrow(x: float, y1: float, y2: float) -> str:
    return (
        f'<path d="M{x:.1f},{y1:g} L{x:.1f},{y2:g}" fill="none" stroke="#5b6673" stroke-width="1.4" '
        'marker-end="url(#tip)"/>'
    )
