"""The names passed to the SQL files that all fact tables share: `sql/merge` and `sql/bulk`."""

from typing import Any

from student360.warehouse.scripts import Script
from student360.warehouse.templates import Section

LINEAGE = ("file_id", "line_no", "confirmed_file_id")


def fact_names(fact: Script) -> dict[str, Any]:
    """Return the names for one fact table. `sql/merge/fact.sql` explains them."""
    contract = fact.contract
    key = fact.primary_key
    values = tuple(column.name for column in fact.columns if column.name not in (*key, *LINEAGE))
    return {
        "table": fact.name,
        "key": key,
        "others": tuple(name for name in key if name != "student_durable_key"),
        "values": values,
        "all_columns": (*key, *values),
        "day": fact.day_column,
        "has_school": "school_key" in values,
        "names_school": "school_key" in values and "school_id" in contract.value_columns,
        "resolve": Section(fact.sections["resolve"], {}),
        "in_words": Section(fact.sections["in_words"], {}),
        "is_loaded": False,
        "staging": contract.staging_table,
        "feed": contract.feed,
    }
