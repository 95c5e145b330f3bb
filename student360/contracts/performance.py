"""Feed `performance`: one row per student, subject and assessment, with the share of homework completed."""

import numpy as np
import pandas as pd

from student360.contracts.model import STUDENT_ID, Column, Contract, Kind, Privacy, StagingColumn

DEFAULT_MAX_SCORE = 100.0


def basis_points(part: pd.Series, whole: pd.Series | float) -> pd.Series:
    """Return `part` of `whole` in basis points (10 000 = 100 %), rounded half up, as Int64.

    Integers make sums and averages equal in SQLite, PostgreSQL and Spark.
    """
    return pd.Series(np.floor(part * 10_000 / whole + 0.5), index=part.index).astype("Int64")


def judge_scores(chunk: pd.DataFrame) -> pd.DataFrame:
    """Add percent_bp, quality_flag, homework_bp and homework_flag to a chunk of typed rows.

    Takes exam_score and max_score (float, points) and homework_completion (float, percent 0-100). An impossible value
    (105 of 100, -5 %) keeps its raw value, is flagged and has no basis points, so that no average includes it. It is
    not capped, because a capped value would look like a valid one.
    """
    score = chunk["exam_score"].astype("float64")
    maximum = chunk["max_score"].astype("float64").fillna(DEFAULT_MAX_SCORE)
    homework = chunk["homework_completion"].astype("float64")
    flags = np.select(
        [score.isna(), maximum <= 0, score < 0, score > maximum],
        ["score_missing", "max_score_invalid", "score_below_zero", "score_above_max"],
        default="ok",
    )
    homework_flags = np.select(
        [homework.isna(), (homework < 0) | (homework > 100)],
        ["homework_missing", "homework_out_of_range"],
        default="ok",
    )
    return chunk.assign(
        max_score=maximum,
        percent_bp=basis_points(score.where(flags == "ok"), maximum.where(flags == "ok")),
        quality_flag=flags,
        homework_bp=basis_points(homework.where(homework_flags == "ok"), 100.0),
        homework_flag=homework_flags,
    )


CONTRACT = Contract(
    feed="performance",
    description="Assessment scores per student and subject, with the share of homework completed.",
    name_words=("performance", "grades", "scores", "assessments"),
    loads="fact_performance",
    natural_key=("student_id", "subject", "assessment", "date_key", "term"),
    told_apart_by_order_without="assessment",
    fresh_within_days=31,
    derive=judge_scores,
    columns=(
        STUDENT_ID,
        Column(
            "subject",
            Kind.LABEL,
            "The subject of the assessment.",
            aliases=("course", "course_name"),
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "exam_score",
            Kind.NUMBER,
            "Points achieved, as sent.",
            aliases=("score", "raw_score", "points"),
            nullable=True,
        ),
        Column(
            "homework_completion",
            Kind.PERCENT,
            "Share of homework completed, percent 0-100, as sent.",
            aliases=("homework_completion_percent", "homework_completion_pct", "homework"),
            nullable=True,
        ),
        Column(
            "teacher_comments",
            Kind.TEXT,
            "The teacher's comment: free text that may name people.",
            aliases=("teacher_comment", "comments", "comment"),
            nullable=True,
            privacy=Privacy.PII,
        ),
        Column(
            "assessment",
            Kind.TEXT,
            "Name of the assessment; if missing, assessments are distinguished by their order in the file.",
            aliases=("assessment_name", "exam", "test"),
            required=False,
            nullable=True,
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "date",
            Kind.DAY,
            "Day of the assessment; if missing, the date in the file's name, else unknown (0).",
            aliases=("assessment_date", "exam_date"),
            required=False,
            nullable=True,
            not_in_future=True,
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "term",
            Kind.TEXT,
            "The term that the score counts for.",
            aliases=("semester", "marking_period"),
            required=False,
            nullable=True,
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "max_score",
            Kind.NUMBER,
            "Maximum points; 100 if missing.",
            aliases=("out_of", "max_points", "maximum"),
            required=False,
            nullable=True,
            privacy=Privacy.PUBLIC,
        ),
    ),
    derived=(
        StagingColumn("percent_bp", "integer", "Score in basis points (10000 = 100 %); missing when flagged.", True),
        StagingColumn("quality_flag", "text", "ok, or why the score is excluded from averages."),
        StagingColumn("homework_bp", "integer", "Homework completion in basis points; missing when flagged.", True),
        StagingColumn("homework_flag", "text", "ok, or why the homework completion is excluded from averages."),
    ),
    derived_from={
        "percent_bp": ("exam_score", "max_score"),
        "quality_flag": ("exam_score", "max_score"),
        "homework_bp": ("homework_completion",),
        "homework_flag": ("homework_completion",),
    },
)
