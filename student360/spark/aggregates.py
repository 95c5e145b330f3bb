"""The aggregates as pure functions from Spark DataFrames to a Spark DataFrame.

All sums are of integers and each rate is a single division, so that the equivalent SQL (sql/checks/agg_*.sql, compared
in tests) yields bit-identical figures. The IO manager reads and writes the tables.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TOP = 10
# The columns read of each table (all of them if the table is not listed). Students' names never leave the warehouse.
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
    """Return the attendance rate (percent 0-100) by school year, month, grade level and subject.

    Rows with an unmapped code or with a code for "no school" are excluded from numerator and denominator.
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
    """Return the average score (percent 0-100) by school year, month, grade level and subject; no flagged scores."""
    from pyspark.sql import functions as f

    rows = _scores(fact_performance, dim_students, dim_subjects).join(f.broadcast(dim_dates), "date_key")
    return _averaged(rows, "school_year", "month_key", "grade_level", "subject")


def risk_tiers(v_student_risk_monitor: "DataFrame") -> "DataFrame":
    """Return the number of students per grade level and risk tier."""
    from pyspark.sql import functions as f

    graded = v_student_risk_monitor.withColumn("grade_level", f.coalesce("grade_level", f.lit("(not given)")))
    return graded.groupBy("grade_level", "risk_tier").agg(f.count("*").alias("students"))


def top_performers(fact_performance: "DataFrame", dim_students: "DataFrame", dim_subjects: "DataFrame") -> "DataFrame":
    """Return the ten students with the highest average score per grade level and subject; ties are by student id."""
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    rows = _scores(fact_performance, dim_students, dim_subjects)
    averages = _averaged(rows, "grade_level", "subject", "student_id")
    best = Window.partitionBy("grade_level", "subject").orderBy(f.desc("average_score"), "student_id")
    return averages.withColumn("rank", f.row_number().over(best).cast("long")).where(f"rank <= {TOP}")


def _scores(fact_performance: "DataFrame", dim_students: "DataFrame", dim_subjects: "DataFrame") -> "DataFrame":
    """Join the scores without a flag with their students and subjects."""
    from pyspark.sql import functions as f

    return (
        fact_performance.where("percent_bp IS NOT NULL")
        .join(_current(dim_students), "student_durable_key")
        .join(f.broadcast(dim_subjects), "subject_key")
    )


def _averaged(scores: "DataFrame", *keys: str) -> "DataFrame":
    """Return number, sum (basis points) and average (percent 0-100) of the scores, grouped by the keys."""
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
