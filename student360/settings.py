"""What can be set, and the defaults: the environment turned into one frozen Settings.

Belongs here: names, defaults and checks of settings. Does not belong here: any I/O.
"""

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
    """All settings of an installation. Each field is the environment variable STUDENT360_<FIELD>.

    data_dir: folder of landing, work, processed and quarantine (one file system).
    reference_dir: folder of the rules that an analyst edits.
    warehouse_url: sqlite:///<path> (a file in data_dir by default) or postgresql://<user>@<host>/<database>. The
        password of such a URL is left out here: it is looked up again when connecting.
        STUDENT360_WAREHOUSE_SCHEMA names the schema that is ours (student360 by default); it travels in this URL.
    settle_seconds: how long a file must stay unchanged before it is taken, if no rename was seen.
    batch_files, batch_bytes: the most that one run takes.
    large_file_bytes: a file of facts from this size on is staged in a Parquet file (loading/large_files.py).
    rule_set: the risk rules that apply, by their name in data/reference/risk_rules.csv.
    language: the language of reasons, by its name in data/reference/risk_texts.csv.
    day_rule: how periods become a day: share (of periods missed), half (half missed is a day missed) or any.
    attendance_sent: all_days, or absences_only: a school day without a row was attended.
    date_order: per feed, where its files alone do not prove it, e.g. STUDENT360_DATE_ORDER_HOMEWORK=day_first.
    load_mode: per feed, what its files say about the rows that they do not hold: delta, snapshot or window.
    max_reject_share, max_rejects: a file with more rejects than both is quarantined as a whole.
    max_withdraw_share, max_withdrawals: a snapshot or window that lacks more rows than both withdraws none of them.
    spark_master: where Spark runs.
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
    """Settings from the environment. Raises ValueError naming the variable that cannot be understood."""
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
    """The URL of a warehouse as it travels: without password, with the schema that the environment names."""
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
