"""Chunks of text cells to typed rows and rejects, by contract.

Belongs here: the pure step from a `Chunk` to staging rows. Does not belong here: where they are stored.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from student360.contracts import Column, Contract, Kind
from student360.ingest.clean import Reading, clean_values, label_key
from student360.ingest.problems import CELL_REASONS
from student360.ingest.reader import REJECT_COLUMNS, Chunk

PANDAS_DTYPE = {"text": "string", "integer": "Int64", "bigint": "Int64", "real": "float64", "date": "datetime64[ns]"}


@dataclass
class Staged:
    """Typed rows of a chunk and the rows that were refused.

    rows: the contract's value columns plus line_no. rejects: line_no, column_name, reason_code, value and
    reason, one row per bad cell.
    """

    rows: pd.DataFrame
    rejects: pd.DataFrame


def stage_chunk(chunk: Chunk, contract: Contract, readings: dict[str, Reading]) -> Staged:
    """Clean a chunk by contract. `readings` says per column name how its dates are to be read."""
    cells = chunk.cells
    typed: dict[str, pd.Series] = {}
    bad_rows = np.zeros(len(cells), bool)
    bad_cells = [chunk.rejects]
    for column in contract.columns:
        if column.name not in cells:
            typed |= _absent(column, len(cells))
            continue
        categorical = cells[column.name].cat
        texts = pd.Series(categorical.categories.to_numpy(dtype="object"), dtype="object")
        codes = categorical.codes.to_numpy()
        cleaned = clean_values(texts, column, readings[column.name])
        typed |= _taken(column, cleaned.values, codes)
        reasons = cleaned.reasons
        if reasons.notna().any():
            row_reasons = reasons.to_numpy(dtype="object")[codes]
            bad = pd.notna(row_reasons)
            bad_rows |= bad
            bad_cells.append(
                pd.DataFrame(
                    {
                        "line_no": cells.loc[bad, "line_no"],
                        "column_name": column.name,
                        "reason_code": row_reasons[bad],
                        "value": texts.to_numpy()[codes[bad]],
                    }
                )
            )
    rows = pd.DataFrame(typed, index=cells.index)[~bad_rows].reset_index(drop=True)
    if contract.derive is not None:
        rows = contract.derive(rows)
        rows = rows.astype({column.name: PANDAS_DTYPE[column.storage] for column in contract.derived})
    rows = rows[list(contract.value_columns)]
    rows["line_no"] = cells.loc[~bad_rows, "line_no"].to_numpy()
    rejects = (
        pd.concat([frame for frame in bad_cells if len(frame)], ignore_index=True)
        if any(map(len, bad_cells))
        else pd.DataFrame(columns=list(REJECT_COLUMNS))
    )
    rejects["reason"] = rejects["reason_code"].map(CELL_REASONS)
    return Staged(rows, rejects)


def _absent(column: Column, length: int) -> dict[str, pd.Series]:
    empty = pd.Series(None, index=range(length), dtype=PANDAS_DTYPE[column.storage])
    if column.kind is Kind.LABEL:
        return {column.name: empty, f"{column.name}_label": empty}
    return {column.stored_as: empty}


def _taken(column: Column, values: pd.Series, codes: np.ndarray) -> dict[str, pd.Series]:
    """The distinct values spread over the rows. Text stays categorical: a code per row, not a string."""
    if column.storage != "text":
        typed = pd.Series(values.array, dtype=PANDAS_DTYPE[column.storage])
        return {column.stored_as: pd.Series(typed.array.take(codes))}
    if column.kind is Kind.LABEL:
        keys = values.map(label_key, na_action="ignore")
        return {column.name: _spread(keys, codes), f"{column.name}_label": _spread(values, codes)}
    return {column.name: _spread(values, codes)}


def _spread(values: pd.Series, codes: np.ndarray) -> pd.Series:
    numbers, categories = pd.factorize(values.to_numpy(dtype="object"))
    return pd.Series(pd.Categorical.from_codes(numbers[codes], categories=pd.Index(categories, dtype="object")))
