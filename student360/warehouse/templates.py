"""Render SQL files with Jinja, as in dbt.

Contains the replacement of names in double braces; not their meaning (see `scripts.py`) nor the macros that all files
share (see `sql/macros.sql`).
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
    """An undefined name, rendered as itself."""

    def __str__(self) -> str:
        return self._undefined_name or ""

    def __call__(self, *arguments: Any, **names: Any) -> str:  # type: ignore[override]
        return str(self)


_STRICT = Environment(undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True)
_SYMBOLIC = _STRICT.overlay(undefined=_NameItself)


class Section:
    """A section of a SQL file, for use in other sections: {{ rows }}, or with additional names {{ label(row="t") }}."""

    def __init__(self, text: str, names: Names, symbolic: bool = False) -> None:
        self._text = text
        self._names = names
        self._symbolic = symbolic

    def __str__(self) -> str:
        return self()

    def __call__(self, **names: Any) -> str:
        return render(self._text, {**self._names, **names}, self._symbolic).strip().removesuffix(";")


def render(text: str, names: Names, symbolic: bool = False) -> str:
    """Return the text with all names replaced. Raises jinja2.UndefinedError for a name that is not given.

    symbolic: leave names that are not given as words instead, to find which tables a text names.
    """
    return _compiled(text, _SYMBOLIC if symbolic else _STRICT).render({**_macros(), **names})


def compile_template(text: str) -> None:
    """Compile a text ahead of its first rendering."""
    _compiled(text, _STRICT)


@cache
def _compiled(text: str, environment: Environment) -> Template:
    """Return the template of a text. The replacement of an expression alone on its line gets the line's indentation."""
    indented = OWN_LINE.sub(lambda line: f"{line[1]}{line[2]} | string | indent({len(line[1])}) }}}}", text)
    return environment.from_string(indented)


@cache
def _macros() -> Names:
    module = _STRICT.from_string((SQL / "macros.sql").read_text(encoding="utf-8")).module
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}
