"""Conversion of a `Chunk` of text cells to typed staging rows and rejects, by contract. Rows are stored elsewhere."""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from student360.contracts import Column, Contract, Kind
from student360.ingest.clean import Reading, clean_values, label_key
from student360.ingest.problems import CELL_REASONS
from student360.ingest.reader import CORRECTION_OF, OTHER, REJECT_COLUMNS, Chunk

PANDAS_DTYPE = {"text": "string", "integer": "Int64", "bigint": "Int64", "real": "float64", "date": "datetime64[ns]"}
SHOWN_NUL = "\N{SYMBOL FOR NULL}"  # PostgreSQL cannot store NUL in a text column
FORMULA_GUARD = r"^'(?=[=+\-@\t\r])"
ODD = {
    "mojibake": r"[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac",
    "hidden_direction": r"[\u202a-\u202e\u2066-\u2069]",
}


@dataclass
class Staged:
    """The typed rows of a chunk and its rejects.

    rows: the contract's value columns plus line_no, correction_of and rescued. rejects: line_no, column_name,
    reason_code, value, reason, student_id and correction_of, one row per rejected cell. odd: codes of
    problems.WARNINGS with the columns that they apply to.
    """

    rows: pd.DataFrame
    rejects: pd.DataFrame
    odd: dict[str, set[str]]


def stage_chunk(chunk: Chunk, contract: Contract, readings: dict[str, Reading]) -> Staged:
    """Clean a chunk by contract. readings: date order and latest valid day per column name."""
    cells = chunk.cells
    typed: dict[str, pd.Series] = {}
    bad_rows = np.zeros(len(cells), bool)
    bad_cells = [chunk.rejects]
    odd: dict[str, set[str]] = {code: set() for code in ODD}
    for column in contract.columns:
        if column.name not in cells:
            typed |= _absent(column, len(cells))
            continue
        categorical = cells[column.name].cat
        texts = pd.Series(categorical.categories.to_numpy(dtype="object"), dtype="object")
        codes = categorical.codes.to_numpy()
        if CORRECTION_OF in cells:
            texts = texts.str.replace(FORMULA_GUARD, "", regex=True)
        if column.kind in (Kind.NAME, Kind.TEXT, Kind.LABEL):
            for code, pattern in ODD.items():
                if texts.str.contains(pattern, regex=True).any():
                    odd[code].add(column.name)
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
                        CORRECTION_OF: _corrections(cells)[bad],
                    }
                )
            )
    rows = pd.DataFrame(typed, index=cells.index)[~bad_rows].reset_index(drop=True)
    if contract.derive is not None:
        rows = contract.derive(rows)
        rows = rows.astype({column.name: PANDAS_DTYPE[column.storage] for column in contract.derived})
    rows = rows[list(contract.value_columns)]
    rows["line_no"] = cells.loc[~bad_rows, "line_no"].to_numpy()
    rows[CORRECTION_OF] = _corrections(cells)[~bad_rows].array
    rows["rescued"] = _rescued(cells)[~bad_rows].array
    rejects = (
        pd.concat([frame for frame in bad_cells if len(frame)], ignore_index=True)
        if any(map(len, bad_cells))
        else pd.DataFrame(columns=list(REJECT_COLUMNS))
    )
    rejects["reason"] = rejects["reason_code"].map(CELL_REASONS)
    rejects["value"] = rejects["value"].astype("object").str.replace("\0", SHOWN_NUL)
    refused = cells["line_no"].isin(rejects["line_no"])
    about = cells.loc[refused, ["line_no"]].assign(
        student_id=typed["student_id"][refused].astype("object") if "student_id" in typed else None
    )
    rejects = rejects.merge(about, on="line_no", how="left")
    return Staged(rows, rejects, odd)


def _corrections(cells: pd.DataFrame) -> pd.Series:
    """Return for each row the id of the rejected row that it corrects, or None."""
    if CORRECTION_OF not in cells:
        return _no_texts(len(cells))
    return cells[CORRECTION_OF].astype("object").str.strip().replace("", None)


def _rescued(cells: pd.DataFrame) -> pd.Series:
    """Return the cells of unknown columns as one JSON text per row, or None if they are empty."""
    others = [str(name) for name in cells.columns if str(name).startswith(OTHER)]
    if not others:
        return _no_texts(len(cells))
    members = [_json_members(cells[name], name.removeprefix(OTHER)) for name in others]
    joined = pc.binary_join_element_wise(*members, ", ", null_handling="skip").to_pandas().set_axis(cells.index)
    return ("{" + joined + "}").mask(joined == "", None)


def _json_members(cells: pd.Series, name: str) -> pa.Array:
    """Return `"name": "cell"` for each row, null if the cell is empty. Each distinct cell is encoded once."""
    key = json.dumps(name, ensure_ascii=False)
    distinct = [
        f"{key}: {json.dumps(text, ensure_ascii=False)}" if text.strip() else None for text in cells.cat.categories
    ]
    return pa.array(distinct, pa.string()).take(pa.array(cells.cat.codes.to_numpy()))


def _no_texts(length: int) -> pd.Series:
    """Return a categorical series of missing texts, which takes one byte per row."""
    return _spread(pd.Series(["", None], dtype="object"), np.ones(length, np.int8))


def _absent(column: Column, length: int) -> dict[str, pd.Series]:
    if column.storage == "text":
        empty = _no_texts(length)
    else:
        empty = pd.Series(None, index=range(length), dtype=PANDAS_DTYPE[column.storage])
    if column.kind is Kind.LABEL:
        return {column.name: empty, f"{column.name}_label": empty}
    return {column.stored_as: empty}


def _taken(column: Column, values: pd.Series, codes: np.ndarray) -> dict[str, pd.Series]:
    """Return the staging columns of a column: its distinct values by row. Text stays categorical to save memory."""
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
