"""Landed files: which are listed, how they are claimed and archived, and their permissions."""

import os
import stat
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from student360.ingest.files import (
    archive,
    claim,
    claim_id,
    content_hash,
    date_in_name,
    landed_files,
    make_private,
    original_name,
    steady_files,
)

WHEN = datetime(2026, 1, 5, tzinfo=UTC)


def test_only_regular_files_without_temporary_names_are_listed(tmp_path: Path) -> None:
    for name in ("b.csv", ".hidden.csv", "c.csv.part", "~lock.csv", "b.csv.sha256", "Thumbs.db", "A.xlsx"):
        (tmp_path / name).write_text("x")
    (tmp_path / "school").mkdir()
    (tmp_path / "school" / "a.csv").write_text("x")
    (tmp_path / "link.csv").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    assert [file.path.name for file in landed_files(tmp_path)] == ["A.xlsx", "b.csv", "a.csv"]


def test_a_growing_file_is_not_steady(tmp_path: Path) -> None:
    growing, done = tmp_path / "growing.csv", tmp_path / "done.csv"
    growing.write_text("a")
    done.write_text("a")
    before = {str(file.path): file.observation for file in landed_files(tmp_path)}
    growing.write_text("ab")
    assert [file.path for file in steady_files(before, landed_files(tmp_path))] == [done]


@pytest.mark.parametrize("name", ["a b.csv", "é🎒.csv", "-rf.csv", "x'y\"z;.csv", "n" * 200 + ".csv", "x..%2f.csv"])
def test_unusual_file_names_are_kept_by_claim_and_archive(tmp_path: Path, name: str) -> None:
    landing, work = tmp_path / "landing", tmp_path / "work"
    for folder in (landing, work):
        make_private(folder)
    (landing / name).write_text("x")
    claimed = claim(landed_files(landing)[0], work)
    assert claimed is not None
    assert claimed.parent == work
    assert original_name(claimed)[:40] == name[:40]
    target = archive(claimed, tmp_path / "processed", content_hash(claimed)[0], WHEN)
    assert claim_id(claimed) in target.name
    assert target.parent == tmp_path / "processed" / "2026" / "01"


def test_only_one_of_two_claims_succeeds(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    file = landed_files(tmp_path)[0]
    work = tmp_path / "work"
    work.mkdir()
    assert claim(file, work) is not None
    assert claim(file, work) is None


def test_created_files_and_folders_are_private_with_any_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        make_private(tmp_path / "a" / "b")
        file = tmp_path / "a" / "x@y"
        file.write_text("x")
        target = archive(file, tmp_path / "processed", "0" * 64, WHEN)
    finally:
        os.umask(old)
    for path, mode in ((tmp_path / "a" / "b", 0o700), (target.parent, 0o700), (target, 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_the_effective_date_is_read_from_the_file_name() -> None:
    assert date_in_name("attendance_2026-01-05.csv") == date(2026, 1, 5)
    assert date_in_name("roster20260105.csv") == date(2026, 1, 5)
    assert date_in_name("attendance_2026-02-31.csv") is None
    assert date_in_name("students.csv") is None
