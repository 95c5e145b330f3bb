"""Render SQL files: Jinja, as in dbt.

Contains how a name in double braces is replaced; not what the names mean (`scripts.py`) nor the macros that every file
may use (`sql/macros.sql`).
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import ChainableUndefined, Environment, StrictUndefined, Template

from student360.settings import SQL

OWN_LINE = re.compile(r"^( +)(\{\{ .+) \}\}", re.MULTILINE)
Names = Mapping[str, Any]


class _NameItself(ChainableUndefined):
    """A name that is rendered as itself, also where it is called."""

    def __str__(self) -> str:
        return self._undefined_name or ""

    def __call__(self, *arguments: Any, **names: Any) -> str:  # type: ignore[override]
        return str(self)


_STRICT = Environment(undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True)
_SYMBOLIC = _STRICT.overlay(undefined=_NameItself)


class Section:
    """A section of a SQL file, rendered where another names it: {{ rows }}, or with more names {{ label(row="t") }}."""

    def __init__(self, text: str, names: Names, symbolic: bool = False) -> None:
        self._text = text
        self._names = names
        self._symbolic = symbolic

    def __str__(self) -> str:
        return self()

    def __call__(self, **names: Any) -> str:
        return render(self._text, {**self._names, **names}, self._symbolic).strip().removesuffix(";")


def render(text: str, names: Names, symbolic: bool = False) -> str:
    """The text with all names replaced. Raises jinja2.UndefinedError for a name that is not given.

    symbolic: leave names that are not given as words instead, to find out what a text mentions.
    """
    return _compiled(text, _SYMBOLIC if symbolic else _STRICT).render({**_macros(), **names})


@cache
def _compiled(text: str, environment: Environment) -> Template:
    """What stands on a line of its own is indented as that line is."""
    indented = OWN_LINE.sub(lambda line: f"{line[1]}{line[2]} | string | indent({len(line[1])}) }}}}", text)
    return environment.from_string(indented)


@cache
def _macros() -> Names:
    module = _STRICT.from_string((SQL / "macros.sql").read_text(encoding="utf-8")).module
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}
