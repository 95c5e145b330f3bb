"""The worked examples as a page of the docs.

Belongs here: turning examples into Markdown (`python -m student360_tests.rules.page`, part of `make docs`).
"""

from student360.settings import PROJECT
from student360_tests.rules.examples import WORLDS
from student360_tests.rules.worlds import Example, World

PAGE = PROJECT / "docs" / "risk-examples.md"
HEAD = """# The risk monitor in worked examples

Made by `make docs` from the examples that the tests check, on SQLite and PostgreSQL, whole rows: do not edit.
Attendance is one letter a day, the last one on the day that the monitor looks from: P present, A absent, E excused,
S suspended, L late, B left early, H half a day, N no school, ? a code that nobody explained, . no row; "81P 9A" is 81
times P and then 9 times A. Where nothing is said of attendance, scores, homework or contacts, they are those of a
student without trouble: 70P; Math 80 and 85, English 88 and 90; eight assignments done; a contact five days ago.
"""


def examples_page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_world(world) for world in WORLDS)])


def _world(world: World) -> str:
    settings = ", ".join(f"`STUDENT360_{name}={value}`" for name, value in world.settings.items())
    files = ", ".join(f"its own `{name}`" for name in world.reference)
    with_what = "; ".join(filter(None, (settings, files)))
    rows = [_row(world, example) for example in world.examples]
    return "\n".join(
        [
            f"## {world.name[0].upper()}{world.name[1:]}" + (f" ({with_what})" if with_what else ""),
            "",
            "| example | sent | tier | reasons | source |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _row(world: World, example: Example) -> str:
    usual = Example("", "", {})
    sent = [
        f"{what}: {getattr(example, what) or 'none'}"
        for what in ("attendance", "scores", "homework", "contacts", "grade", "school", "enrolled_on")
        if getattr(example, what) != getattr(usual, what)
    ]
    sent += [f"{subject}: {marks}" for subject, marks in example.periods.items()]
    if example.later_school:
        sent.append(f"school {example.later_school[0]} since {example.later_school[1]}")
    row = world.expected(example)
    cells = (example.name, "<br>".join(sent), row["risk_tier"], row["reasons"].replace("; ", "<br>"), example.source)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(examples_page(), encoding="utf-8")
