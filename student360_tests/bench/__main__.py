"""Run the comparisons and write docs/benchmarks.md with its chart.

make bench          (or: python -m student360_tests.bench --students 50000 --days 100 --engines sqlite postgres)

Every run's seconds are kept in docs/benchmarks.json as soon as a comparison is made, and the page is drawn from there:
so a part can be measured again by itself (--parts), and an end half way loses nothing.
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from student360.settings import PROJECT
from student360_tests.bench.measuring import Measured
from student360_tests.bench.parts import (
    Part,
    Site,
    bulk_load,
    bursts,
    flat,
    history,
    latency,
    nothing_to_do,
    reading,
    trends,
)
from student360_tests.support.postgres import server_version

DOCS = PROJECT / "docs"
CHART = "images/benchmarks.svg"
RESULTS = "benchmarks.json"
GROUPS = ("bulk", "history", "latency", "bursts")
ENGINES = ("sqlite", "postgres")


def say(line: str) -> None:
    print(line, flush=True)


def measure(site: Site, groups: list[str], dlt: Path | None, burst_sizes: list[int]) -> Iterator[Part]:
    """The comparisons of some groups on one engine, each as soon as it is made."""
    say(f"{site.engine}: {site.students:,} students, {site.days} and {site.history_days} days")
    try:
        if "bulk" in groups:
            yield bulk_load(site, say, dlt)
        if "history" in groups:
            loaded, large = history(site, say)
            yield loaded
            yield flat(site, large, say)
            yield reading(site, large, say)
            yield nothing_to_do(site, large, say)
            yield trends(site, large, say)
        if "latency" in groups:
            yield latency(site, say)
        if "bursts" in groups:
            yield bursts(site, say, burst_sizes)
    finally:
        site.clean_up()


Results = dict[tuple[str, str], Part]


def read_results(path: Path) -> Results:
    """What was measured before, by engine and title; nothing if the file is not there."""
    if not path.exists():
        return {}
    told = json.loads(path.read_text(encoding="utf-8"))
    parts = [Part(**(part | {"sides": [Measured(**side) for side in part["sides"]]})) for part in told]
    return {(part.engine, part.title): part for part in parts}


def write_results(docs: Path, parts: list[Part]) -> None:
    """The raw figures, the page and the chart."""
    (docs / RESULTS).write_text(json.dumps([asdict(part) for part in parts], indent=1) + "\n", encoding="utf-8")
    (docs / "benchmarks.md").write_text(page(parts), encoding="utf-8")
    (docs / CHART).parent.mkdir(parents=True, exist_ok=True)
    chart(parts, docs / CHART)


def table(part: Part) -> str:
    """A comparison as Markdown; memory is that of a whole process, so it is not known of a query."""
    lines = [f"### {part.title}, {part.engine}", "", f"{part.note}. Measured {part.measured} with {part.size}.", ""]
    lines += ["| | seconds (median) | runs | against the first | memory at most, MB |", "|---|---|---|---|---|"]
    for side in part.sides:
        ratio = side.median / part.sides[0].median
        memory = f"{side.memory:,.0f}" if side.memory else ""
        lines.append(f"| {side.name} | {side.median:,.3f} | {len(side.seconds)} | {ratio:.3g} | {memory} |")
    return "\n".join(lines) + "\n"


def page(parts: list[Part]) -> str:
    """docs/benchmarks.md."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("dagster", "pandas", "pyarrow", "adbc-driver-sqlite"))
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`, which runs all sides of a comparison in one go, alternating; each load is a process",
        "of its own, so that its memory is its own. Ratios are the result: seconds are of this machine. Every run's",
        f"seconds are in [{RESULTS}]({RESULTS}). What they mean, and where the time goes: [speed](speed.md).",
        "",
        f"{machine}. {versions}, PostgreSQL {server_version()}. 10 % of the rows are messy.",
        "",
        f"![]({CHART})",
        "",
        *map(table, parts),
    ]
    return "\n".join(lines)


def chart(parts: list[Part], path: Path) -> None:
    """A bar for each side, a panel for each comparison."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1.1 + 1.5 * len(parts)), layout="constrained")
    panels = figure.subplots(len(parts), 1, squeeze=False)[:, 0]
    for panel, part in zip(panels, parts, strict=True):
        names = [side.name for side in part.sides][::-1]
        times = [side.median for side in part.sides][::-1]
        bars = panel.barh(names, times, color=["#b0b8c4"] * (len(names) - 1) + ["#2b6cb0"])
        panel.bar_label(bars, [f"{t:,.3g} s" for t in times], padding=4, fontsize=8)
        panel.set_title(f"{part.title}, {part.engine}", loc="left", fontsize=10)
        panel.tick_params(labelsize=8)
        panel.margins(x=0.15)
    figure.savefig(path, format="svg")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m student360_tests.bench")
    parser.add_argument("--students", type=int, default=50_000)
    parser.add_argument("--days", type=int, default=100, help="school days in the file that is loaded in bulk")
    parser.add_argument("--history-days", type=int, default=1000, help="school days in the years before")
    parser.add_argument("--bursts", type=int, nargs="+", default=[1_000, 10_000], help="files dropped at once")
    parser.add_argument("--dlt", type=Path, help="a Python that has dlt, to compare with")
    parser.add_argument("--engines", nargs="+", default=ENGINES, choices=ENGINES)
    parser.add_argument("--parts", nargs="+", default=GROUPS, choices=GROUPS)
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the page, its figures and its chart go")
    parser.add_argument("--folder", type=Path, help="where there is room; a temporary folder by default")
    chosen = parser.parse_args()
    results = read_results(chosen.docs / RESULTS)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        for engine in chosen.engines:
            site = Site(Path(folder), engine, chosen.students, chosen.days, chosen.history_days)
            for part in measure(site, chosen.parts, chosen.dlt, chosen.bursts):
                results[part.engine, part.title] = part
                write_results(chosen.docs, sorted(results.values(), key=lambda each: ENGINES.index(each.engine)))


if __name__ == "__main__":
    main()
