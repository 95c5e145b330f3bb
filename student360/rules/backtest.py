"""Back-test of the risk list: recomputes it over a past school year and compares it with the students' outcomes.

Risk itself is computed in `sql/marts`; the asset is in `orchestration/assets/analysis.py`.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from student360.rules.risk import judged_as_of
from student360.warehouse.scripts import scripts
from student360.warehouse.warehouse import Transaction

DAYS_OF_A_YEAR = 120
LOOK_EVERY = 20
LEVELS = {"to watch": 1, "at risk": 2}
OUTCOMES = ("chronically absent", "failed a core course", "either")
ON_THE_LIST = "tier HIGH or MODERATE"
TIERS: Mapping[str, tuple[str, ...]] = {"tier HIGH": ("HIGH",), ON_THE_LIST: ("HIGH", "MODERATE")}
ANY_LOOK = 0


@dataclass(frozen=True)
class Year:
    """The data of a back-tested school year.

    judged: one row per look, student and indicator (looked_on as date, risk_tier, level 0-3); a look is a day on which
    the list is recomputed. outcomes: one row per student (chronically_absent and failed_a_core_course as 1, 0 or
    missing). last_day: the last school day.
    """

    school_year: int
    judged: pd.DataFrame
    outcomes: pd.DataFrame
    last_day: date


def look_back(tx: Transaction, log: Callable[[str], None]) -> Year | None:
    """Recompute the risk list every 20 school days of the newest school year with at least 120 days of attendance.

    Each look uses the data as of its day; the outcomes are those of the whole year. log: receives progress messages.
    Returns None if there is no such year yet.
    """
    script = scripts()["risk_backtest"]
    years = tx.query(script.statements("years", {})[0])
    chosen = next((int(year["school_year"]) for year in years if year["days"] >= DAYS_OF_A_YEAR), None)
    if chosen is None:
        return None
    year = {"school_year": str(chosen)}
    days = [date.fromisoformat(str(row["full_date"])) for row in tx.query(script.statements("looks", year)[0])]
    looks = days[LOOK_EVERY - 1 : -LOOK_EVERY : LOOK_EVERY]
    judged = []
    for number, day in enumerate(looks, start=1):
        log(f"day {number} of {len(looks)}: {day}")
        judged.append(judged_as_of(tx, day).assign(looked_on=day))
    return Year(
        chosen, pd.concat(judged, ignore_index=True), tx.frame(script.statements("outcomes", year)[0]), days[-1]
    )


def compare(year: Year) -> pd.DataFrame:
    """Compare flags with outcomes.

    Returns the columns of risk_backtest: one row per look (or looked_on_key 0 for any look), tier or indicator, and
    outcome.
    """
    known = {name: _outcome(year.outcomes, name) for name in OUTCOMES}
    rows = [
        {"school_year": year.school_year, "judged_by": judged_by, "outcome": outcome, **row}
        for judged_by, flags in _flags(year.judged).groupby("judged_by")
        for outcome in OUTCOMES
        for row in _compared(flags, known[outcome], year.last_day)
    ]
    return pd.DataFrame(rows, columns=[column.name for column in scripts()["risk_backtest"].columns])


def _flags(judged: pd.DataFrame) -> pd.DataFrame:
    """Return one row per look, student and tier or indicator, with is_flagged."""
    by_indicator = [
        judged.assign(judged_by=judged["indicator"] + f" {name}", is_flagged=judged["level"] >= level)
        for name, level in LEVELS.items()
    ]
    students = judged.drop_duplicates(["looked_on", "student_durable_key"])
    by_tier = [
        students.assign(judged_by=name, is_flagged=students["risk_tier"].isin(tiers)) for name, tiers in TIERS.items()
    ]
    columns = ["looked_on", "student_durable_key", "judged_by", "is_flagged"]
    return pd.concat([flags[columns] for flags in (*by_tier, *by_indicator)], ignore_index=True)


def _outcome(outcomes: pd.DataFrame, name: str) -> pd.Series:
    """Return whether a student had the outcome, by student_durable_key, for students whose outcome is known."""
    absent = outcomes.set_index("student_durable_key")["chronically_absent"].astype("Float64")
    failed = outcomes.set_index("student_durable_key")["failed_a_core_course"].astype("Float64")
    known = {OUTCOMES[0]: absent, OUTCOMES[1]: failed}.get(name, pd.concat([absent, failed], axis=1).max(axis=1))
    return known.dropna().astype("bool")


def _compared(flags: pd.DataFrame, outcome: pd.Series, last_day: date) -> list[dict[str, Any]]:
    known = flags[flags["student_durable_key"].isin(outcome.index)]
    known = known.assign(
        had=known["student_durable_key"].map(outcome).astype("bool"),
        lead=(pd.Timestamp(last_day) - pd.to_datetime(known["looked_on"])).dt.days,
        looked_on_key=pd.to_datetime(known["looked_on"]).dt.strftime("%Y%m%d").astype("int64"),
    )
    flagged = known[known["is_flagged"]].sort_values("lead", ascending=False)
    first = flagged.drop_duplicates("student_durable_key")
    ever = known.drop_duplicates("student_durable_key").drop(columns=["is_flagged", "lead"])
    ever = ever.merge(first[["student_durable_key", "is_flagged", "lead"]], on="student_durable_key", how="left")
    ever = ever.assign(is_flagged=ever["is_flagged"].eq(True), looked_on_key=ANY_LOOK)
    rows = []
    for look, of_look in pd.concat([known, ever]).groupby("looked_on_key"):
        hits = of_look[of_look["is_flagged"] & of_look["had"]]
        flagged_count, had_count = int(of_look["is_flagged"].sum()), int(of_look["had"].sum())
        rows.append(
            {
                "looked_on_key": look,
                "students": len(of_look),
                "flagged": flagged_count,
                "had_outcome": had_count,
                "hits": len(hits),
                "precision_pct": 100 * len(hits) / flagged_count if flagged_count else None,
                "recall_pct": 100 * len(hits) / had_count if had_count else None,
                "median_lead_days": float(hits["lead"].median()) if len(hits) else None,
            }
        )
    return rows


def picture(compared: pd.DataFrame) -> bytes:
    """Draw precision and recall of the list over the year and of each rule, as PNG. It shows no student data."""
    from matplotlib.figure import Figure

    shown = compared[compared["outcome"] == OUTCOMES[2]]
    over_time = shown[(shown["judged_by"] == ON_THE_LIST) & (shown["looked_on_key"] != ANY_LOOK)]
    rules = shown[(shown["looked_on_key"] == ANY_LOOK) & (shown["flagged"] > 0)].sort_values("recall_pct")
    figure = Figure(figsize=(11, 5), layout="constrained")
    figure.suptitle(
        f"School year {shown['school_year'].iloc[0]}: chronically absent or failed a core course by its end"
    )
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
    days = pd.to_datetime(over_time["looked_on_key"].astype("str"))
    left.plot(days, over_time["precision_pct"], marker="o", label="precision: share of the list with the outcome")
    left.plot(
        days, over_time["recall_pct"], marker="o", label="recall: share of students with the outcome who were listed"
    )
    left.set(ylim=(0, 105), ylabel="%", title="The list (HIGH or MODERATE) over the year")
    left.legend(fontsize=8, loc="lower right")
    left.tick_params(axis="x", labelrotation=45)
    places = range(len(rules))
    right.barh([p + 0.2 for p in places], rules["precision_pct"], height=0.38, label="precision")
    right.barh([p - 0.2 for p in places], rules["recall_pct"].fillna(0), height=0.38, label="recall")
    right.set_yticks(list(places), rules["judged_by"], fontsize=8)
    right.set(xlim=(0, 105), xlabel="%", title="By rule, flagged on any day")
    right.legend(fontsize=8, loc="lower right")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    return drawn.getvalue()
