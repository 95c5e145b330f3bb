"""The aggregates as pure functions: Spark DataFrames in, a Spark DataFrame out.

Belongs here: what is counted and averaged. Does not belong here: reading and writing. Sums are of integers and each
rate is one division, so that SQL gives the same figures to the last bit (sql/checks/agg_*.sql, tested).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TOP = 10
# What is read of a table; all of one that is not named here. No student's name leaves the warehouse.
READ = {
    "fact_attendance": ("date_key", "student_durable_key", "subject_key", "attendance_code_key"),
    "fact_performance": ("student_durable_key", "date_key", "subject_key", "percent_bp"),
    "dim_students": ("student_durable_key", "student_id", "grade_level", "is_current"),
    "v_student_risk_monitor": ("grade_level", "risk_tier"),
}


def attendance_trend(
    fact_attendance: "DataFrame",
    dim_attendance_codes: "DataFrame",
    dim_students: "DataFrame",
    dim_subjects: "DataFrame",
    dim_dates: "DataFrame",
) -> "DataFrame":
    """Attendance rate (percent 0-100) by school year, month, grade level and subject.

    Rows whose code is unmapped or means no school count in neither part.
    """
    from pyspark.sql import functions as f

    rows = (
        fact_attendance.join(f.broadcast(dim_attendance_codes), "attendance_code_key")
        .where("absent_share_pct IS NOT NULL")
        .join(_current(dim_students), "student_durable_key")
        .join(f.broadcast(dim_subjects), "subject_key")
        .join(f.broadcast(dim_dates), "date_key")
    )
    return (
        rows.groupBy("school_year", "month_key", "grade_level", "subject")
        .agg(f.count("*").alias("records"), f.sum("absent_share_pct").alias("absent_pct_sum"))
        .withColumn(
            "attendance_rate",
            f.expr("cast(100 * records - absent_pct_sum as double) / cast(records as double)"),
        )
    )


def score_trend(
    fact_performance: "DataFrame", dim_students: "DataFrame", dim_subjects: "DataFrame", dim_dates: "DataFrame"
) -> "DataFrame":
    """Average score (percent 0-100) by school year, month, grade level and subject; flagged scores left out."""
    from pyspark.sql import functions as f

    rows = _scores(fact_performance, dim_students, dim_subjects).join(f.broadcast(dim_dates), "date_key")
    return _averaged(rows, "school_year", "month_key", "grade_level", "subject")


def risk_tiers(v_student_risk_monitor: "DataFrame") -> "DataFrame":
    """How many students of each grade level are in each risk tier."""
    from pyspark.sql import functions as f

    graded = v_student_risk_monitor.withColumn("grade_level", f.coalesce("grade_level", f.lit("(not given)")))
    return graded.groupBy("grade_level", "risk_tier").agg(f.count("*").alias("students"))


def top_performers(fact_performance: "DataFrame", dim_students: "DataFrame", dim_subjects: "DataFrame") -> "DataFrame":
    """The ten best students of each grade level and subject by average score; ties go by student id."""
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    rows = _scores(fact_performance, dim_students, dim_subjects)
    averages = _averaged(rows, "grade_level", "subject", "student_id")
    best = Window.partitionBy("grade_level", "subject").orderBy(f.desc("average_score"), "student_id")
    return averages.withColumn("rank", f.row_number().over(best).cast("long")).where(f"rank <= {TOP}")


def _scores(fact_performance: "DataFrame", dim_students: "DataFrame", dim_subjects: "DataFrame") -> "DataFrame":
    """The scores that count, with their student and subject."""
    from pyspark.sql import functions as f

    return (
        fact_performance.where("percent_bp IS NOT NULL")
        .join(_current(dim_students), "student_durable_key")
        .join(f.broadcast(dim_subjects), "subject_key")
    )


def _averaged(scores: "DataFrame", *keys: str) -> "DataFrame":
    """Number, sum (basis points) and average (percent 0-100) of the scores for each value of the keys."""
    from pyspark.sql import functions as f

    return (
        scores.groupBy(*keys)
        .agg(f.count("*").alias("scores"), f.sum("percent_bp").alias("score_bp_sum"))
        .withColumn("average_score", f.expr("cast(score_bp_sum as double) / (100.0D * cast(scores as double))"))
    )


def _current(dim_students: "DataFrame") -> "DataFrame":
    from pyspark.sql import functions as f

    return dim_students.where("is_current = 1").select(
        "student_durable_key",
        "student_id",
        f.coalesce("grade_level", f.lit("(not given)")).alias("grade_level"),
    )
