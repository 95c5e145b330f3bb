"""The staging layer: one asset per feed with its typed rows.

Belongs here: the factory and the dagster-pandas types. Does not belong here: cleaning (`ingest/`).
"""

import warnings
from collections.abc import Iterable, Iterator

import pandas as pd
from dagster import AssetIn, AssetsDefinition, BetaWarning, DagsterType, asset, check_dagster_type
from dagster_pandas import PandasColumn, create_dagster_pandas_dataframe_type

from student360.assets.common import OWNERS, engine_kind, privacy_tags, table_metadata
from student360.contracts import Contract
from student360.warehouse.scripts import LINEAGE, scripts

CHECKED_TOGETHER = 50_000


class ContractBroken(Exception):
    """A staged chunk is not what its contract promises: a fault of ours, never of the file."""


def chunk_type(contract: Contract) -> DagsterType:
    """The dagster-pandas type of a feed's staged chunks: its columns, and that needed ones have no gaps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)
        columns = [
            PandasColumn.exists(c.name, non_nullable=not c.nullable) for c in (*contract.staging_columns, *LINEAGE)
        ]
        return create_dagster_pandas_dataframe_type(f"{contract.staging_table}_chunk", columns=columns)


class Conforming:
    """Chunks of staging rows, checked against their dagster-pandas type as they pass, before any is committed.

    Small ones are checked together: a check costs 50 ms however few the rows, and a burst has a chunk per file. Raises
    ContractBroken, without the values that dagster-pandas would quote.
    """

    def __init__(self, frames: Iterable[pd.DataFrame], chunk: DagsterType) -> None:
        self._frames = frames
        self._chunk = chunk

    def __iter__(self) -> Iterator[pd.DataFrame]:
        unchecked: list[pd.DataFrame] = []
        for frame in self._frames:
            unchecked.append(frame)
            if sum(map(len, unchecked)) >= CHECKED_TOGETHER:
                self._check(unchecked)
                unchecked = []
            yield frame
        if unchecked:
            self._check(unchecked)

    def _check(self, frames: list[pd.DataFrame]) -> None:
        rows = pd.concat(frames) if len(frames) > 1 else frames[0]
        if not check_dagster_type(self._chunk, rows).success:
            gaps = [str(name) for name in rows.columns if rows[name].isna().any()]
            raise ContractBroken(f"{self._chunk.display_name}: columns {list(rows.columns)}, with gaps in {gaps}")


def staging_asset(contract: Contract) -> AssetsDefinition:
    """The asset stg_<feed>: claimed files cleaned and typed by contract; refused rows are in row_reject."""
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
    def _staging(files) -> Conforming:  # type: ignore[no-untyped-def]
        return Conforming(files, chunk)

    return _staging
