"""Run the comparisons and write docs/benchmarks.md with its chart.

make bench          (or: python -m student360_tests.bench --students 50000 --days 100 --engines sqlite postgres)
"""

import argparse
import os
import platform
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from student360.settings import PROJECT
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
from student360_tests.postgres import server_version

CHART = "images/benchmarks.svg"


def say(line: str) -> None:
    print(line, flush=True)


def measure(site: Site, dlt: Path | None, burst_sizes: list[int]) -> list[Part]:
    """All comparisons on one engine."""
    say(f"{site.engine}: {site.students:,} students, {site.days} and {site.history_days} days")
    try:
        parts = [bulk_load(site, say, dlt)]
        loaded, large = history(site, say)
        parts += [loaded, flat(site, large, say), reading(site, large, say), nothing_to_do(site, large, say)]
        parts += [trends(site, large, say), latency(site, say), bursts(site, say, burst_sizes)]
    finally:
        site.clean_up()
    return parts


def table(part: Part) -> str:
    """A comparison as Markdown; memory is that of a whole process, so it is not known of a query."""
    lines = [f"### {part.title}, {part.engine}", "", f"{part.note}.", ""]
    lines += ["| | seconds (median) | against the first | memory at most, MB |", "|---|---|---|---|"]
    for side in part.sides:
        ratio = side.median / part.sides[0].median
        memory = f"{side.memory:,.0f}" if side.memory else ""
        lines.append(f"| {side.name} | {side.median:.3f} | {ratio:.2f} | {memory} |")
    return "\n".join(lines) + "\n"


def page(parts: list[Part], students: int, days: int, history_days: int) -> str:
    """docs/benchmarks.md."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("dagster", "pandas", "pyarrow", "adbc-driver-sqlite"))
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`, which runs all sides in one go, alternating; each load is a process of its own, so",
        "that its memory is its own. Ratios are the result: seconds are of this machine.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}. {machine}. {versions}, PostgreSQL {server_version()}. {students:,} students,",
        f"{days} school days of attendance in bulk, {history_days:,} in the history, 10 % of it messy.",
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
        panel.bar_label(bars, [f"{t:.2f} s" for t in times], padding=4, fontsize=8)
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
    parser.add_argument("--engines", nargs="+", default=["sqlite", "postgres"], choices=["sqlite", "postgres"])
    parser.add_argument("--folder", type=Path, help="where there is room; a temporary folder by default")
    parser.add_argument("--print-only", action="store_true", help="do not write docs/benchmarks.md")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        sites = [
            Site(Path(folder), engine, chosen.students, chosen.days, chosen.history_days) for engine in chosen.engines
        ]
        parts = [part for site in sites for part in measure(site, chosen.dlt, chosen.bursts)]
    written = page(parts, chosen.students, chosen.days, chosen.history_days)
    print(written)
    if not chosen.print_only:
        chart(parts, PROJECT / "docs" / CHART)
        (PROJECT / "docs" / "benchmarks.md").write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
