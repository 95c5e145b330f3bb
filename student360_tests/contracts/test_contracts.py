"""A contract defines a feed completely: a feed is added by a contract and its SQL."""

import re
import shutil
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from dagster import check_dagster_type

from student360.contracts import Contract, Kind, Privacy, contracts
from student360.orchestration.assets.staging import Conforming, ContractBroken, chunk_type
from student360.settings import PROJECT
from student360.warehouse.scripts import LINEAGE, scripts
from student360_tests.conftest import ON_SQLITE_ONLY
from student360_tests.support.installation import Installation

PROOF = """
from student360.contracts import contracts
from student360.settings import load_settings
from student360.definitions import defs
from student360_tests.support.installation import Installation
from student360_tests.conftest import run_pipeline
from pathlib import Path
import sys
installation = Installation(Path(sys.argv[1]))
header = b"Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\\n"
installation.drop("students_2026-01-01.csv", header + b"S1,A,,3,\\n")
installation.drop("clubs.csv", b"Student_ID,Club,Since\\nS1,Chess,2026-01-05\\nS2,Chess,2026-01-05\\nS1,Judo,soon\\n")
run_pipeline(installation, load_settings())
row = installation.warehouse.frame("SELECT * FROM ingest_file WHERE feed = 'clubs'").iloc[0]
print(row["rows_read"], row["rows_loaded"], row["rows_rejected"], row["rows_waiting"])
keys = {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()}
print({"raw_clubs", "stg_clubs", "fact_clubs"} <= keys)
"""


@pytest.mark.parametrize("contract", contracts().values(), ids=lambda contract: contract.feed)
def test_a_contract_is_consistent(contract: Contract) -> None:
    names = [column.name for column in contract.columns]
    assert len(set(names)) == len(names)
    assert contract.loads in scripts()
    assert set(contract.natural_key) <= set(contract.value_columns)
    assert all(len(column.description) > 5 for column in contract.columns)
    aliases = [alias for column in contract.columns for alias in column.aliases]
    assert len(set(aliases)) == len(aliases)
    for column in contract.columns:
        if column.kind is Kind.NAME or any(word in column.name for word in ("birth", "contact", "email", "comment")):
            assert column.privacy is Privacy.PII, column.name


@ON_SQLITE_ONLY
def test_the_instructions_for_adding_a_feed_work(installation: Installation) -> None:
    copy = installation.root / "copy"
    for part in ("student360", "student360_tests", "sql"):
        shutil.copytree(PROJECT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PROJECT / "data" / "reference", copy / "data" / "reference")
    page = (PROJECT / "docs" / "how-to" / "add-a-feed.md").read_text(encoding="utf-8")
    write_block(page, "python", copy / "student360" / "contracts" / "clubs.py")
    write_block(page, "sql", copy / "sql" / "core" / "fact_clubs.sql")
    environment = installation.environment | {"PYTHONPATH": str(copy), "STUDENT360_SETTLE_SECONDS": "0"}
    command = [sys.executable, "-c", PROOF, str(installation.root)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=copy, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["3 1 1 1", "True"]


def write_block(page: str, language: str, path: Path) -> None:
    match = re.search(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert match
    path.write_text(textwrap.dedent(match[1]), encoding="utf-8")


def test_a_chunk_that_violates_its_contract_fails_the_step_without_quoting_values() -> None:
    contract = contracts()["attendance"]
    columns = [column.name for column in (*contract.staging_columns, *LINEAGE)]
    good = pd.DataFrame({name: ["x"] for name in columns})
    bad = good.assign(student_id=None)
    check = partial(check_dagster_type, chunk_type(contract))
    checked = Conforming([good, bad, good], check)
    with pytest.raises(ContractBroken, match=r"gaps in \['student_id'\]") as raised:
        list(checked)
    assert "'x'" not in str(raised.value)
    assert len(list(Conforming([good] * 3, check))) == 3
