"""The risk monitor as of an earlier day: recomputed from the facts, or as it was recorded on that day.

Indicators and tiers are computed in `sql/marts`.
"""

from datetime import date

import pandas as pd

from student360.warehouse.scripts import scripts, sql_file
from student360.warehouse.warehouse import Transaction

MONITOR = "v_student_risk_monitor"
INDICATORS = "v_student_risk_indicators"


def risk_as_of(tx: Transaction, day: date) -> pd.DataFrame:
    """Return the risk monitor as of a day: the columns of v_student_risk_monitor, one row per student enrolled then.

    It is recomputed from all facts dated up to that day, with the student versions and rules that were valid on it. So
    it includes corrections that arrived later (`risk_said_on` does not). Undated scores are always included.
    """
    return tx.frame(_as_of(tx, day, f"SELECT * FROM {MONITOR}"))


def indicators_as_of(tx: Transaction, day: date) -> pd.DataFrame:
    """Return the indicators as of a day: the columns of v_student_risk_indicators, computed like `risk_as_of`."""
    return tx.frame(_as_of(tx, day, f"SELECT * FROM {INDICATORS}"))


def judged_as_of(tx: Transaction, day: date) -> pd.DataFrame:
    """Return tiers and levels as of a day: student_durable_key, risk_tier, indicator and level (0-3).

    One row per student and indicator.
    """
    return tx.frame(
        _as_of(
            tx,
            day,
            "SELECT m.student_durable_key, m.risk_tier, i.indicator, i.level"
            f" FROM student_risk AS m JOIN {INDICATORS} AS i ON i.student_durable_key = m.student_durable_key",
        )
    )


def risk_said_on(tx: Transaction, day: date) -> pd.DataFrame:
    """Return the risk monitor as it was recorded on a day, one row per student.

    Columns: student_id and those of student_risk_tier: risk_tier, risk_score, reasons, the values at that time,
    rule_set, rules_version (see risk_rule_history) and as_of_date_key (the day of the row's last change).
    """
    columns = ", ".join(f"t.{column.name}" for column in scripts()["student_risk_tier"].columns)
    return tx.frame(
        f"SELECT i.student_id, {columns} FROM student_risk_tier AS t"
        " JOIN student_identity AS i ON i.student_durable_key = t.student_durable_key"
        " WHERE t.risk_tier IS NOT NULL AND t.change_no = (SELECT MAX(n.change_no) FROM student_risk_tier AS n"
        " WHERE n.student_durable_key = t.student_durable_key AND n.as_of_date_key <= ?) ORDER BY i.student_id",
        (int(f"{day:%Y%m%d}"),),
    )


def _as_of(tx: Transaction, day: date, query: str) -> str:
    """A query with all that it reads put before it as of a day."""
    names = {"day": f"{day:%Y%m%d}", "home": tx.engine.home}
    return f"{sql_file('operations', 'risk_as_of').statements('any', names)[0]}\n{query}"
