"""The staging layer: one asset per feed with its typed rows and dagster-pandas type. Cleaning is in `ingest/`."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pandas as pd
from dagster import AssetExecutionContext, AssetIn, AssetsDefinition, BetaWarning, DagsterType, TypeCheck, asset
from dagster_pandas import PandasColumn, create_dagster_pandas_dataframe_type

from student360.contracts import Contract
from student360.orchestration.assets.common import OWNERS, engine_kind, privacy_tags, table_metadata
from student360.warehouse.scripts import LINEAGE, scripts


class ContractBroken(Exception):
    """A staged chunk violates its contract. This is a defect of the code, not of the file."""


def chunk_type(contract: Contract) -> DagsterType:
    """Return the dagster-pandas type of a feed's staged chunks: the columns, and which of them are not nullable."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)
        columns = [
            PandasColumn.exists(c.name, non_nullable=not c.nullable) for c in (*contract.staging_columns, *LINEAGE)
        ]
        return create_dagster_pandas_dataframe_type(f"{contract.staging_table}_chunk", columns=columns)


class Conforming:
    """Chunks of staging rows, each checked against its dagster-pandas type during iteration, before the commit.

    Raises ContractBroken. Its message has no cell values, unlike that of dagster-pandas.
    """

    def __init__(self, frames: Iterable[pd.DataFrame], check: Callable[[pd.DataFrame], TypeCheck]) -> None:
        self._frames = frames
        self._check = check

    def __iter__(self) -> Iterator[pd.DataFrame]:
        for rows in self._frames:
            if not self._check(rows).success:
                gaps = [str(name) for name in rows.columns if rows[name].isna().any()]
                raise ContractBroken(f"columns {list(rows.columns)}, with gaps in {gaps}")
            yield rows


def staging_asset(contract: Contract) -> AssetsDefinition:
    """Return the asset stg_<feed>: claimed files cleaned and typed by contract. Rejected rows are in row_reject."""
    script = scripts()[contract.staging_table]
    chunk = chunk_type(contract)

    @asset(
        name=contract.staging_table,
        group_name="staging",
        description=script.description,
        ins={"files": AssetIn(contract.raw_asset, input_manager_key="claimed_files_io_manager")},
        owners=OWNERS,
        kinds={"pandas", engine_kind()},
        tags=privacy_tags(script),
        metadata={**table_metadata(script.name), "write_mode": "append"},
        io_manager_key="warehouse_io_manager",
    )
    def _staging(context: AssetExecutionContext, files) -> Conforming:  # type: ignore[no-untyped-def]
        # Dagster's check_dagster_type does the same, but creates a job for each check: 59 ms instead of 0.7 ms.
        conditions = context.get_step_execution_context().for_type(chunk)
        return Conforming(files, partial(chunk.type_check, conditions))

    return _staging
