"""The picture of the asset graph for the README: layers from left to right, drawn from the definitions themselves.

Belongs here: placing and drawing. Does not belong here: which assets there are.
"""

from collections.abc import Mapping
from html import escape

from dagster import Definitions

COLOURS = {
    "raw": "#f4d6c6",
    "staging": "#f6e7b4",
    "core": "#cfe3f6",
    "marts": "#d3edd2",
    "spark": "#e2d7f3",
    "analysis": "#f3d7e2",
}
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 176, 26, 64, 12, 24
Parents = Mapping[str, frozenset[str]]


def asset_graph_svg(defs: Definitions) -> str:
    """All assets as an SVG picture; an arrow that follows from others is left out."""
    graph = defs.resolve_asset_graph()
    groups = {key.to_user_string(): graph.get(key).group_name for key in graph.get_all_asset_keys()}
    parents: dict[str, frozenset[str]] = {
        key.to_user_string(): frozenset(parent.to_user_string() for parent in graph.get(key).parent_keys)
        for key in graph.toposorted_asset_keys
    }
    direct = _without_shortcuts(parents)
    places = _places(direct)
    right = max(x for x, _ in places.values()) + WIDTH + MARGIN
    bottom = max(y for _, y in places.values()) + HEIGHT + MARGIN
    arrows = [_arrow(places[parent], places[name]) for name in direct for parent in sorted(direct[name])]
    boxes = [_box(name, groups[name], *places[name]) for name in direct]
    legend = [
        f'<text x="{MARGIN + 92 * n}" y="20" fill="#444"><tspan fill="{colour}" stroke="#888" stroke-width=".4">■'
        f"</tspan> {group}</text>"
        for n, (group, colour) in enumerate(COLOURS.items())
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right} {bottom}" width="{right}" height="{bottom}" '
            'font-family="Helvetica, Arial, sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="white"/>',
            *legend,
            *arrows,
            *boxes,
            "</svg>\n",
        ]
    )


def _without_shortcuts(parents: Parents) -> dict[str, frozenset[str]]:
    """The parents of each asset that are not also parents of its other parents, however far."""
    above: dict[str, frozenset[str]] = {}
    for name, direct in parents.items():
        above[name] = direct.union(*(above[parent] for parent in direct))
    return {
        name: frozenset(p for p in direct if not any(p in above[other] for other in direct))
        for name, direct in parents.items()
    }


def _places(parents: Parents) -> dict[str, tuple[int, int]]:
    """A column per depth; within a column by the middle of the parents, to keep arrows short."""
    depth: dict[str, int] = {}
    for name, direct in parents.items():
        depth[name] = 1 + max((depth[parent] for parent in direct), default=-1)
    children = {name: [child for child in parents if name in parents[child]] for name in parents}
    for name in reversed(list(parents)):
        if not parents[name] and children[name]:
            depth[name] = min(depth[child] for child in children[name]) - 1
    columns: dict[int, list[str]] = {}
    for name in parents:
        columns.setdefault(depth[name], []).append(name)
    tallest = max(map(len, columns.values()))
    places: dict[str, tuple[int, int]] = {}
    for column in sorted(columns):
        middles = {
            name: sum(places[parent][1] for parent in parents[name]) / len(parents[name]) if parents[name] else 0.0
            for name in columns[column]
        }
        names = sorted(columns[column], key=lambda name: (middles[name], name))
        top = MARGIN + 20 + (tallest - len(names)) * (HEIGHT + GAP_Y) // 2
        for row, name in enumerate(names):
            places[name] = (MARGIN + column * (WIDTH + GAP_X), top + row * (HEIGHT + GAP_Y))
    return places


def _box(name: str, group: str, x: int, y: int) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="{COLOURS[group]}" stroke="#888" '
        f'stroke-width=".6"/><text x="{x + 9}" y="{y + 17}">{escape(name)}</text>'
    )


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + WIDTH, start[1] + HEIGHT // 2, end[0], end[1] + HEIGHT // 2
    bend = (x2 - x1) // 2
    return (
        f'<path d="M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2},{y2}" fill="none" stroke="#9aa5b1" '
        'stroke-width="1"/>'
    )
