"""The demo (`python -m student360 demo`): runs the pipeline with a synthetic district and prints a report."""

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import dagster
from dagster import DagsterInstance, InitLoggerContext, LoggerDefinition
from rich.console import Console

from student360.cli.report import print_report
from student360.cli.sample import District, write_district
from student360.definitions import build_defs
from student360.ingest.files import content_hash, make_private
from student360.settings import Settings, load_settings
from student360.spark.java import JavaMissing, find_java
from student360.warehouse.warehouse import Warehouse


class _StepLines(logging.Handler):
    """Prints a line for each step that succeeded or failed."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "dagster_meta", {}).get("dagster_event")
        if event is None:
            return
        if event.event_type_value == "STEP_SUCCESS" and "_keys_unique" not in (event.step_key or ""):
            seconds = event.step_success_data.duration_ms / 1000
            self._console.print(f"  [green]✓[/green] {event.step_key:<28} {seconds:6.2f} s")
        elif event.event_type_value == "STEP_FAILURE":
            self._console.print(f"  [red]✗[/red] {event.step_key}")


def _progress_logger(console: Console) -> LoggerDefinition:
    def progress(context: InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("student360.progress", level=logging.DEBUG)
        logger.addHandler(_StepLines(console))
        return logger

    return LoggerDefinition(progress, description="Progress lines on the console.")


@dataclass
class ForeignData(Exception):
    """The warehouse or the landing folder has files that are not the demo's, which must not be mixed with its data."""

    files: int

    def __str__(self) -> str:
        return (
            f"There are {self.files} file(s) in the warehouse or the landing folder that are not the demo's. The demo "
            "does not mix synthetic and real students. Set STUDENT360_DATA_DIR to another folder, or drop your files "
            "into landing and run `make dev`."
        )


def land_sample(settings: Settings, warehouse: Warehouse, district: District) -> int:
    """Put the sample files into the landing folder. Returns how many of them are new to the warehouse.

    Raises ForeignData if the warehouse or the landing folder has other files.
    """
    folder = settings.data_dir / "sample"
    files = write_district(folder, district)
    hashes = {content_hash(path)[0] for path in files}
    known = set(warehouse.frame("SELECT sha256 FROM ingest_file").get("sha256", []))
    waiting = {path.name for path in settings.landing.glob("*.csv")} - {path.name for path in files}
    if known - hashes or waiting:
        shutil.rmtree(folder)
        raise ForeignData(len(known - hashes) + len(waiting))
    make_private(settings.landing)
    for path in files:
        path.rename(settings.landing / path.name)
    folder.rmdir()
    return len(hashes - known)


def run_demo(console: Console, district: District) -> bool:
    """Run everything that `make demo` does after the setup. Returns whether all runs succeeded."""
    settings = load_settings()
    warehouse = Warehouse(url=settings.warehouse_url)
    console.print(f"[bold]1. A synthetic district[/bold]: {district.students:,} students, {district.days} school days")
    try:
        new = land_sample(settings, warehouse, district)
    except ForeignData as foreign:
        console.print(f"[red]{foreign}[/red]")
        return False
    defs = build_defs()
    worked = True
    with _instance() as instance:
        console.print("[bold]2. From the landing folder to the risk monitor[/bold] (job: ingest)")
        defs = dagster.Definitions.merge(defs, dagster.Definitions(loggers={"progress": _progress_logger(console)}))
        worked &= _run(defs, "ingest", instance, console)
        console.print("[bold]3. Spark aggregates[/bold] (job: aggregates)")
        try:
            find_java()
            worked &= _run(defs, "aggregates", instance, console)
        except JavaMissing as missing:
            console.print(f"[yellow]Skipped: {missing}[/yellow]")
    console.rule("Report")
    print_report(warehouse, settings, console)
    if not new:
        console.print("[bold]Nothing changed:[/bold] all files were loaded before and are recorded as duplicates.")
    _print_next(console, settings.landing)
    return worked


def _instance() -> DagsterInstance:
    """Return the instance of DAGSTER_HOME, which `make dev` shows; an ephemeral instance if it is not set."""
    return DagsterInstance.get() if os.environ.get("DAGSTER_HOME") else DagsterInstance.ephemeral()


def _run(defs: dagster.Definitions, job: str, instance: DagsterInstance, console: Console) -> bool:
    result = defs.resolve_job_def(job).execute_in_process(
        instance=instance, run_config={"loggers": {"progress": {}}}, raise_on_error=False
    )
    if not result.success:
        for event in result.get_step_failure_events():
            error = event.step_failure_data.error
            cause = error.cause if error and error.cause else error
            console.print(f"[red]{event.step_key}: {cause.message if cause else ''}[/red]")
    return result.success


def _print_next(console: Console, landing: Path) -> None:
    on = " WAREHOUSE=postgres" if os.environ.get("WAREHOUSE") == "postgres" else ""
    console.print("\n[bold]Next[/bold]")
    for command, what in (
        (f"make dev{on}", "start the Dagster UI on http://127.0.0.1:3000, with the sensor running"),
        (f"cp your.csv {landing}/", "drop a file and watch it being loaded in the UI"),
        (f"make status{on}", "show files, tiers and reasons again"),
        ("docs/explanation/how-it-works.md", "read an overview of the platform"),
    ):
        console.print(f"  {command:<28} {what}")
