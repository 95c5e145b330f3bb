"""Draw what a console printed as an SVG picture."""

import re
from html import escape

from rich.console import Console
from rich.terminal_theme import TerminalTheme

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
