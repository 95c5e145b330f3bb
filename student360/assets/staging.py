"""The staging layer: one asset per feed with its typed rows.

Belongs here: the factory and the dagster-pandas types. Does not belong here: cleaning (`ingest/`).
"""

import warnings
from collections.abc import Iterator

import pandas as pd
from dagster import AssetIn, AssetsDefinition, BetaWarning, asset
from dagster_pandas import PandasColumn
from dagster_pandas.validation import validate_constraints

from student360.assets.common import ENGINE_KIND, OWNERS, privacy_tags, table_metadata
from student360.contracts import Contract
from student360.loading.stage import ClaimedFiles
from student360.warehouse.scripts import scripts


def pandas_columns(contract: Contract) -> list[PandasColumn]:
    """What dagster-pandas checks of every staged chunk: the columns, and that needed ones have no gaps."""
    script = scripts()[contract.staging_table]
    nullable = {column.stored_as for column in contract.columns if column.nullable}
    nullable |= {f"{column.name}_label" for column in contract.columns if column.nullable}
    nullable |= {column.name for column in contract.derived if column.nullable}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)
        return [PandasColumn.exists(column.name, non_nullable=column.name not in nullable) for column in script.columns]


class Conforming:
    """Chunks of staging rows, each checked against its dagster-pandas type as it passes."""

    def __init__(self, frames: ClaimedFiles, columns: list[PandasColumn]) -> None:
        self._frames = frames
        self._columns = columns

    def __iter__(self) -> Iterator[pd.DataFrame]:
        for frame in self._frames:
            validate_constraints(frame, pandas_columns=self._columns)
            yield frame


def staging_asset(contract: Contract) -> AssetsDefinition:
    """The asset stg_<feed>: claimed files cleaned and typed by contract; refused rows are in row_reject."""
    script = scripts()[contract.staging_table]

    @asset(
        name=contract.staging_table,
        group_name="staging",
        description=script.description,
        ins={"files": AssetIn(contract.raw_asset, input_manager_key="claimed_files_io_manager")},
        owners=OWNERS,
        kinds={"pandas", ENGINE_KIND},
        tags=privacy_tags(script),
        metadata={**table_metadata(script.name), "write_mode": "append"},
        io_manager_key="warehouse_io_manager",
    )
    def _staging(files) -> Conforming:  # type: ignore[no-untyped-def]
        return Conforming(files, pandas_columns(contract))

    return _staging
