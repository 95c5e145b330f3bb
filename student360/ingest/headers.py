"""Recognition of a file's feed, and matching of its header with the columns of the contract."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from student360.contracts import Contract
from student360.ingest.problems import BadFile

DELIMITERS = (",", ";", "\t", "|")


def normalised(name: str) -> str:
    """Return a name as lower-case words joined by underscores: `Homework_Completion_%` is `homework_completion`."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[^\w]+|_+", "_", text).strip("_")


def _known_names(contract: Contract) -> dict[str, str]:
    return {normalised(alias): column.name for column in contract.columns for alias in (column.name, *column.aliases)}


def match_header(cells: Sequence[str], contract: Contract) -> dict[int, str]:
    """Match the cells of a header with the contract. Returns {position: column name}.

    A column's name has precedence over an alias. Raises BadFile: no_header, blank_header, duplicate_column,
    missing_column.
    """
    exact = {column.name for column in contract.columns}
    aliases = _known_names(contract)
    names = [normalised(cell) for cell in cells]
    taken = {name for name in names if name in exact}
    matched: dict[int, str] = {}
    for position, name in enumerate(names):
        column = name if name in exact else aliases.get(name)
        if column is None or (column in taken and name != column):
            continue
        if column in matched.values():
            raise BadFile("duplicate_column", f"Column: {column}.")
        matched[position] = column
    if not matched:
        raise BadFile("no_header", f"Expected columns such as {', '.join(_required(contract))}.")
    missing = [name for name in _required(contract) if name not in matched.values()]
    if missing:
        raise BadFile("missing_column", _missing_detail(missing, names))
    if any(not name for name in names):
        raise BadFile("blank_header", f"Column number: {names.index('') + 1}.")
    return matched


def _required(contract: Contract) -> list[str]:
    return [column.name for column in contract.columns if column.required]


def _missing_detail(missing: Sequence[str], names: Sequence[str]) -> str:
    hints = []
    for column in missing:
        near = difflib.get_close_matches(column, names, n=1, cutoff=0.7)
        hints.append(f"{column} (is it the column '{near[0]}'?)" if near else column)
    return f"Missing: {', '.join(hints)}."


def sniff_delimiter(header_line: str, contract: Contract) -> str:
    """Return the delimiter that yields the contract's required columns from the header line; comma if none does.

    Raises BadFile(delimiter) if several delimiters do, or if only an unsupported character would.
    """
    known = _known_names(contract)
    required = set(_required(contract))
    fitting = [
        delimiter
        for delimiter in DELIMITERS
        if required <= {known.get(normalised(cell), "") for cell in header_line.split(delimiter)}
    ]
    words = {known.get(normalised(cell), "") for cell in re.split(r"[^\w %]", header_line)}
    if len(fitting) > 1 or (not fitting and not set(DELIMITERS) & set(header_line) and required <= words):
        raise BadFile("delimiter")
    return fitting[0] if fitting else ","


def recognise(file_name: str, header_line: str, feeds: Mapping[str, Contract]) -> str | None:
    """Return the feed of a file, recognized by a word in its name, else by its header; None if neither is known.

    If the name has words of several feeds (student_attendance.csv), the header decides between them.
    """
    words = set(normalised(file_name.rsplit(".", 1)[0]).split("_"))
    joined = normalised(file_name)
    by_name = [
        feed
        for feed, contract in feeds.items()
        if words & set(contract.name_words) or any("_" in word and word in joined for word in contract.name_words)
    ]
    if len(by_name) == 1:
        return by_name[0]
    return _best_header(header_line, {feed: feeds[feed] for feed in by_name} or feeds)


def _best_header(header_line: str, feeds: Mapping[str, Contract]) -> str | None:
    scores: dict[str, int] = {}
    for feed, contract in feeds.items():
        known = _known_names(contract)
        for delimiter in DELIMITERS:
            matched = _matched(header_line.split(delimiter), known)
            if set(_required(contract)) <= matched:
                scores[feed] = max(scores.get(feed, 0), len(matched))
    return max(scores, key=lambda feed: scores[feed]) if scores else None


def _matched(cells: Iterable[str], known: Mapping[str, str]) -> set[str]:
    return {known[name] for name in (normalised(cell.strip('"')) for cell in cells) if name in known}
