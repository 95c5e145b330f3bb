"""The analysis layer: the back-test of the risk list, run on demand. It is computed in `rules/backtest.py`."""

import base64

from dagster import AssetExecutionContext, AssetsDefinition, MaterializeResult, MetadataValue, TableRecord, asset

from student360.orchestration.assets.common import OWNERS, engine_kind, privacy_tags, table_metadata
from student360.rules.backtest import ANY_LOOK, OUTCOMES, compare, look_back, picture
from student360.warehouse.scripts import Script
from student360.warehouse.warehouse import Warehouse

SHOWN = ("judged_by", "students", "flagged", "had_outcome", "hits", "precision_pct", "recall_pct", "median_lead_days")


def backtest_asset(script: Script) -> AssetsDefinition:
    """Return the asset of the back-test. Its table keeps one result per school year; a run replaces the newest."""

    @asset(
        name=script.name,
        group_name="analysis",
        description=script.description,
        deps=["v_student_risk_monitor"],
        owners=OWNERS,
        kinds={"python", engine_kind()},
        tags=privacy_tags(script),
        metadata=table_metadata(script.name),
    )
    def _backtest(context: AssetExecutionContext, warehouse: Warehouse) -> MaterializeResult:
        with warehouse.reading() as tx:
            year = look_back(tx, context.log.info)
        if year is None:
            return MaterializeResult(metadata={"note": "No school year has 120 days of attendance yet."})
        compared = compare(year)
        with warehouse.transaction() as tx:
            tx.execute(f"DELETE FROM {script.name} WHERE school_year = ?", (year.school_year,))
            tx.append(script.name, compared)
        shown = compared[(compared["looked_on_key"] == ANY_LOOK) & (compared["outcome"] == OUTCOMES[2])]
        rows = shown[list(SHOWN)].round(1).fillna("").to_dict("records")
        drawn = base64.b64encode(picture(compared)).decode()
        return MaterializeResult(
            metadata={
                "school_year": year.school_year,
                "dagster/row_count": len(compared),
                "by_rule": MetadataValue.table([TableRecord({str(k): v for k, v in row.items()}) for row in rows]),
                "picture": MetadataValue.md(f"![Precision and recall](data:image/png;base64,{drawn})"),
            }
        )

    return _backtest
