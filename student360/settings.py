"""All settings with their defaults, read from environment variables into one frozen `Settings`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from student360.contracts import LoadMode, contracts
from student360.ingest.dates import DateOrder
from student360.urls import DEFAULT_SCHEMA, is_postgres, public_url

PROJECT = Path(__file__).resolve().parent.parent
SQL = PROJECT / "sql"


@dataclass(frozen=True)
class Settings:
    """All settings of an installation. A field is read from STUDENT360_<FIELD> unless another variable is given.

    data_dir: folder of landing, work, staged, processed and quarantine, which must be on one file system.
    reference_dir: folder of the reference files with the rules that an analyst edits.
    warehouse_url: sqlite:///<path> (default: a file in data_dir) or postgresql://<user>@<host>/<database>. It holds no
        password; that is read from the environment again when a connection is opened. The schema in PostgreSQL
        (STUDENT360_WAREHOUSE_SCHEMA, default student360) is a parameter of this URL.
    settle_seconds: how long a file must stay unchanged before it is picked up, unless an event of the file system
        showed that it is complete.
    batch_files, batch_bytes: maximum of one run; batch_bytes is set in MB by STUDENT360_BATCH_MEGABYTES.
    large_file_bytes: a file of facts of at least this size is staged in a Parquet file (loading/large_files.py); set in
        MB by STUDENT360_LARGE_FILE_MEGABYTES.
    rule_set: name of the active risk rules in data/reference/risk_rules.csv.
    language: language of the reasons, a name in data/reference/risk_texts.csv.
    day_rule: how periods add up to a day: share (the share of periods missed), half (a day is missed if half of its
        periods are) or any (a day is missed if any of its periods is).
    attendance_sent: all_days, or absences_only: a school day without a row counts as attended.
    date_order: per feed, if its files alone do not prove it, e.g. STUDENT360_DATE_ORDER_HOMEWORK=day_first.
    load_mode: per feed, what happens to loaded rows that a newer file does not contain: delta, snapshot or window, e.g.
        STUDENT360_LOAD_MODE_STUDENTS=snapshot.
    max_reject_share, max_rejects: a file whose rejects exceed both limits is quarantined as a whole; the share (0-1) is
        set in percent by STUDENT360_MAX_REJECT_PERCENT.
    max_withdraw_share, max_withdrawals: a snapshot or window whose withdrawals exceed both limits withdraws nothing;
        the share (0-1) is set in percent by STUDENT360_MAX_WITHDRAW_PERCENT.
    spark_master: the Spark master URL.
    """

    data_dir: Path
    reference_dir: Path
    warehouse_url: str
    settle_seconds: float
    batch_files: int
    batch_bytes: int
    large_file_bytes: int
    rule_set: str
    language: str
    day_rule: str
    attendance_sent: str
    date_order: Mapping[str, DateOrder]
    load_mode: Mapping[str, LoadMode]
    max_reject_share: float
    max_rejects: int
    max_withdraw_share: float
    max_withdrawals: int
    spark_master: str

    @property
    def landing(self) -> Path:
        return self.data_dir / "landing"

    @property
    def work(self) -> Path:
        return self.data_dir / "work"

    @property
    def staged(self) -> Path:
        return self.data_dir / "staged"

    @property
    def processed(self) -> Path:
        return self.data_dir / "processed"

    @property
    def quarantine(self) -> Path:
        return self.data_dir / "quarantine"

    @property
    def to_correct(self) -> Path:
        return self.quarantine / "to_correct"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of an environment (os.environ by default). Raises ValueError naming an invalid variable."""
    values = os.environ if environment is None else environment

    def text(name: str, default: str) -> str:
        return values.get(f"STUDENT360_{name}", "").strip() or default

    def number(name: str, default: float) -> float:
        try:
            return float(text(name, str(default)))
        except ValueError:
            raise ValueError(f"STUDENT360_{name} must be a number") from None

    def one_of(name: str, *allowed: str) -> str:
        value = text(name, allowed[0])
        if value not in allowed:
            raise ValueError(f"STUDENT360_{name} must be {', '.join(allowed[:-1])} or {allowed[-1]}")
        return value

    data_dir = Path(text("DATA_DIR", str(PROJECT / "data"))).resolve()
    return Settings(
        data_dir=data_dir,
        reference_dir=Path(text("REFERENCE_DIR", str(PROJECT / "data" / "reference"))).resolve(),
        warehouse_url=warehouse_url(text("WAREHOUSE_URL", f"sqlite:///{data_dir / 'student360.db'}"), values),
        settle_seconds=number("SETTLE_SECONDS", 2.0),
        batch_files=int(number("BATCH_FILES", 200)),
        batch_bytes=int(number("BATCH_MEGABYTES", 500) * 2**20),
        large_file_bytes=int(number("LARGE_FILE_MEGABYTES", 32) * 2**20),
        rule_set=text("RULE_SET", "default"),
        language=text("LANGUAGE", "en"),
        day_rule=one_of("DAY_RULE", "share", "half", "any"),
        attendance_sent=one_of("ATTENDANCE_SENT", "all_days", "absences_only"),
        date_order={feed: _date_order(text(f"DATE_ORDER_{feed.upper()}", "unknown"), feed) for feed in contracts()},
        load_mode={
            feed: _load_mode(text(f"LOAD_MODE_{feed.upper()}", contract.load_mode), feed)
            for feed, contract in contracts().items()
        },
        max_reject_share=number("MAX_REJECT_PERCENT", 10) / 100,
        max_rejects=int(number("MAX_REJECTS", 20)),
        max_withdraw_share=number("MAX_WITHDRAW_PERCENT", 10) / 100,
        max_withdrawals=int(number("MAX_WITHDRAWALS", 10)),
        spark_master=text("SPARK_MASTER", "local[*]"),
    )


def warehouse_url(url: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a warehouse URL without its password and with the schema that the environment sets."""
    values = os.environ if environment is None else environment
    schema = values.get("STUDENT360_WAREHOUSE_SCHEMA", "").strip() or DEFAULT_SCHEMA
    return public_url(url, schema) if is_postgres(url) else url


def _date_order(value: str, feed: str) -> DateOrder:
    try:
        return DateOrder(value)
    except ValueError:
        raise ValueError(f"STUDENT360_DATE_ORDER_{feed.upper()} must be day_first or month_first") from None


def _load_mode(value: str, feed: str) -> LoadMode:
    name = f"STUDENT360_LOAD_MODE_{feed.upper()}"
    try:
        mode = LoadMode(value)
    except ValueError:
        raise ValueError(f"{name} must be delta, snapshot or window") from None
    allowed = contracts()[feed].allowed_load_modes
    if mode not in allowed:
        raise ValueError(f"{name} must be {' or '.join(allowed)}: the feed has no day for each row")
    return mode
