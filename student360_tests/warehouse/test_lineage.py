"""Column lineage: correct for columns checked by hand, complete for all, and shown in Dagster's catalog."""

from graphlib import TopologicalSorter

import pandas as pd
import pytest
from dagster import AssetKey, AssetSpec, TableColumnDep

from student360.contracts import contracts
from student360.definitions import defs
from student360.ingest.headers import normalised
from student360.warehouse.lineage import LINEAGE_FILE, Source, column_lineage, feed_columns
from student360.warehouse.scripts import scripts
from student360_tests.site.column_lineage import lineage_text

ASSETS = {name: script for name, script in scripts().items() if script.layer != "ledger"}
VIEWS = {AssetKey(name) for name, script in ASSETS.items() if script.is_view}
COLUMNS = [(name, column.name) for name, script in ASSETS.items() for column in script.columns]

# Derived by reading the contract or the SQL file, not by running the code.
DIRECT = {
    "stg_students.effective_date_key": "raw_students.Effective_Date",
    "stg_homework.subject_label": "raw_homework.Subject",
    "stg_performance.percent_bp": "raw_performance.Exam_Score raw_performance.Max_Score",
    "dim_attendance_codes.absent_share_pct": "stg_attendance.attendance_status",
    "dim_subjects.subject": (
        "stg_attendance.subject stg_attendance.subject_label stg_homework.subject stg_homework.subject_label "
        "stg_performance.subject stg_performance.subject_label"
    ),
    "dim_students.student_durable_key": "stg_students.student_id",
    "dim_students.valid_from": "dim_dates.full_date stg_students.effective_date_key stg_students.file_id",
    "dim_students.valid_to": "dim_dates.full_date stg_students.effective_date_key stg_students.file_id",
    "dim_students.grade_sort_order": "dim_grade_levels.sort_order stg_students.grade_level",
    "dim_students.left_on": "stg_students.enrolled_on stg_students.left_on",
    "student_id_change.student_durable_key": "stg_id_changes.old_student_id",
    "fact_attendance.attendance_code_key": "dim_attendance_codes.attendance_code_key",
    "fact_attendance.student_durable_key": "stg_attendance.student_id",
    "fact_performance.letter_grade": "dim_letter_grades.letter_grade stg_performance.percent_bp",
    "fact_student_groups.confirmed_file_id": "stg_groups.file_id",
    "student_attendance_month.absent_parts": "dim_attendance_codes.absent_share_pct",
    "student_attendance_month.excused_parts": "dim_attendance_codes.absent_share_pct dim_attendance_codes.is_excused",
    "student_attendance_month.day_marks": "dim_attendance_codes.absent_share_pct",
    "student_attendance_month.month_key": "dim_dates.month_key fact_attendance.date_key",
    "student_attendance_month.school_key": "dim_students.school_key fact_attendance.school_key",
    "student_course.last_score_bp_sum": "fact_performance.date_key fact_performance.percent_bp",
    "student_month.last_contact_key": "dim_message_types.is_two_way fact_communication.date_key",
    "student_year_to_date.courses_failing": (
        "dim_letter_grades.minimum_bp student_course.is_core student_course.score_bp_sum student_course.scores"
    ),
    "student_risk.attendance_rate": (
        "v_risk_levels.data_points v_risk_levels.denominator v_risk_levels.indicator v_risk_levels.numerator "
        "v_risk_levels.scale"
    ),
    "student_risk_tier.tier_before": "student_risk.risk_tier",
    "v_risk_measures.recent_parts": (
        "student_attendance_month.absent_parts student_attendance_month.absent_so_far "
        "student_attendance_month.days_before student_attendance_month.days_recorded "
        "student_attendance_month.parts_before v_risk_windows.trend_days"
    ),
    "v_risk_rules.domain": "risk_indicators.domain risk_rules.indicator v_as_of.rule_set",
    "v_student_risk_monitor.attendance_rate": "student_risk.attendance_rate",
    "v_student_360.homework_rate": "student_month.homework_done student_month.homework_missing",
    "v_student_360.in_grade_since": "dim_students.valid_from",
    "v_attendance_by_school.attendance_rate": (
        "student_attendance_month.absent_parts student_attendance_month.days_recorded"
    ),
    "v_attendance_by_school.student_id": "student_attendance_month.student_durable_key",
    "v_attendance.school_id": "dim_schools.school_id",
    "v_caseload.place": (
        "v_student_risk_monitor.risk_score v_student_risk_monitor.risk_tier v_student_risk_monitor.student_id"
    ),
    "agg_attendance_trend.attendance_rate": "dim_attendance_codes.absent_share_pct",
    "agg_attendance_trend.month_key": "dim_dates.month_key fact_attendance.date_key",
    "agg_top_performers.rank": "dim_students.student_id fact_performance.percent_bp",
}
IN_FEEDS = {
    "v_student_risk_monitor.attendance_rate": "raw_attendance.Attendance_Status",
    "v_student_risk_monitor.average_score": "raw_performance.Exam_Score raw_performance.Max_Score",
    "v_student_risk_monitor.homework_flag": "raw_homework.Status raw_performance.Homework_Completion_%",
    "v_student_risk_monitor.days_without_contact": "raw_communication.Date raw_communication.Message_Type",
    "v_student_360.in_grade_since": "raw_students.Effective_Date",
    "v_attendance.full_date": "raw_attendance.Date",
    "v_performance.letter_grade": "raw_performance.Exam_Score raw_performance.Max_Score",
    "fact_attendance.school_key": "raw_attendance.School_ID raw_students.School_ID",
    "agg_attendance_trend.attendance_rate": "raw_attendance.Attendance_Status",
    "agg_risk_tiers.grade_level": "raw_students.Grade_Level",
}
# Columns without a source column in another asset, by reason. "*" stands for every column or every staging table.
WITHOUT = {
    "value of a reference file": (
        "dim_dates.* dim_grade_levels.* dim_letter_grades.* dim_school_closures.* risk_indicators.* risk_rules.* "
        "risk_texts.*"
    ),
    "place of the row in the files, or cells of columns that the contract does not name": (
        "stg_*.file_id stg_*.line_no stg_*.correction_of stg_*.rescued"
    ),
    "value of a table of the ledger": (
        "v_as_of.language v_changes.said_after v_changes.said_before v_rejected_rows.* student_risk_tier.rules_version "
        "student_risk_tier.cause student_risk_tier.file_id student_risk_tier.line_no"
    ),
    "literal": "dim_students.is_current student_risk_tier.is_current v_changes.change v_changes.table_name "
    "v_risk_measures.indicator",
    "count of rows": (
        "agg_attendance_trend.records agg_risk_tiers.students agg_score_trend.scores agg_top_performers.scores "
        "student_risk_tier.change_no v_fairness.students v_homerooms.students v_student_360.versions"
    ),
    "computed in Python (rules/backtest.py)": "risk_backtest.*",
}


def sources(text: str) -> tuple[Source, ...]:
    return tuple(Source(*source.split(".")) for source in text.split())


def specs() -> dict[str, AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


@pytest.mark.parametrize(("column", "expected"), DIRECT.items())
def test_the_direct_sources_of_selected_columns_are_correct(column: str, expected: str) -> None:
    table, name = column.split(".")
    assert column_lineage(table)[name] == sources(expected)


@pytest.mark.parametrize(("column", "expected"), IN_FEEDS.items())
def test_the_feed_columns_of_selected_columns_are_correct(column: str, expected: str) -> None:
    assert feed_columns(*column.split(".")) == sources(expected)


def test_the_lineage_file_is_up_to_date() -> None:
    assert LINEAGE_FILE.read_text(encoding="utf-8") == lineage_text(), "run `make docs`"


def test_every_documented_column_has_lineage_or_a_reason_for_having_none() -> None:
    reasons = {column for columns in WITHOUT.values() for column in columns.split()}
    named = {
        (table, column)
        for table, column in COLUMNS
        if reasons & {f"{table}.{column}", f"{table}.*", f"{table.partition('_')[0]}_*.{column}"}
    }
    assert {(table, column) for table, column in COLUMNS if not column_lineage(table)[column]} == named


def test_every_source_is_a_documented_column_of_an_upstream_asset_or_of_a_view_of_such_assets() -> None:
    feeds = {Source(contract.raw_asset, c.header) for contract in contracts().values() for c in contract.columns}
    known = feeds | {Source(table, column) for table, column in COLUMNS}
    graph = defs.resolve_asset_graph()
    for name in ASSETS:
        found = {source for of_column in column_lineage(name).values() for source in of_column}
        assert found <= known, name
        key = AssetKey(name)
        upstream = graph.get_ancestor_asset_keys(key)
        for source in {AssetKey(source.table) for source in found} - upstream:
            assert source in VIEWS, (name, source)
            assert graph.get_ancestor_asset_keys(source) - VIEWS - {key} <= upstream, (name, source)


def test_lineage_has_no_cycles_and_reaches_every_feed() -> None:
    graph = {Source(table, column): column_lineage(table)[column] for table, column in COLUMNS}
    TopologicalSorter(graph).prepare()
    reached = {source.table for table, column in COLUMNS for source in feed_columns(table, column)}
    assert reached == {contract.raw_asset for contract in contracts().values()}


def test_tables_of_the_ledger_have_no_lineage() -> None:
    assert column_lineage("ingest_file") == {}


def test_the_catalog_shows_the_lineage_of_every_table_and_view() -> None:
    shown = specs()
    for name, script in ASSETS.items():
        lineage = shown[name].metadata["dagster/column_lineage"].deps_by_column
        assert list(lineage) == [column.name for column in script.columns]
        for column, dependencies in lineage.items():
            expected = [TableColumnDep(AssetKey(s.table), s.column) for s in column_lineage(name)[column]]
            assert list(dependencies) == expected
            for dependency in dependencies:
                upstream = shown[dependency.asset_key.to_user_string()].metadata["dagster/column_schema"].columns
                assert dependency.column_name in {column.name for column in upstream}


def test_headers_match_the_exports_and_normalize_to_their_column_names() -> None:
    headers = {(contract.feed, c.name): c.header for contract in contracts().values() for c in contract.columns}
    assert headers["students", "date_of_birth"] == "Date_of_Birth"
    assert headers["attendance", "school_id"] == "School_ID"
    assert headers["performance", "homework_completion"] == "Homework_Completion_%"
    assert all(normalised(header) == name for (_, name), header in headers.items())


@pytest.mark.parametrize("contract", [c for c in contracts().values() if c.derive], ids=lambda c: c.feed)
def test_a_derived_column_depends_exactly_on_its_declared_sources(contract) -> None:  # type: ignore[no-untyped-def]
    row = {column.stored_as: 50.0 if column.storage == "real" else "a" for column in contract.columns}
    before = contract.derive(pd.DataFrame([row]))
    for column in contract.columns:
        others = (-500.0, 500.0) if column.storage == "real" else ("b",)
        after = pd.concat([contract.derive(pd.DataFrame([row | {column.stored_as: other}])) for other in others])
        changed = {d.name for d in contract.derived if not after[d.name].eq(before[d.name][0]).fillna(False).all()}
        assert changed == {d.name for d in contract.derived if column.name in contract.derived_from[d.name]}, (
            column.name
        )
