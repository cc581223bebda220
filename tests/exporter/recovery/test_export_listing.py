"""What is below the folder of an export: listed fast, and foreign files are seen in every place."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellucid_dask.exporter.recovery.publish import holds_only_export_files
from cellucid_dask.exporter.recovery.resume import remove_unrecorded_files
from cellucid_dask.files import walk_files


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Files of an export, complete and incomplete, and an empty folder."""
    export = tmp_path / "export"
    for path in (
        "dataset_identity.json",
        "points_2d.bin.gz",
        "var/a.values.u8.gz",
        "var/b.values.u8.gz.01234567.part",
        "obs/c.codes.u8",
    ):
        (export / path).parent.mkdir(parents=True, exist_ok=True)
        (export / path).write_bytes(b"x")
    (export / "vectors" / "empty").mkdir(parents=True)
    return export


def test_all_files_are_listed(export: Path) -> None:
    found = sorted(path for path, _ in walk_files(export))
    assert found == sorted(
        path.relative_to(export).as_posix() for path in export.rglob("*") if path.is_file()
    )
    assert list(walk_files(export / "nothing")) == []
    assert list(walk_files(export / "points_2d.bin.gz")) == []


@pytest.mark.parametrize("where", ["", "var", "vectors/empty"])
@pytest.mark.parametrize("what", ["file", "link to a file", "link to a folder"])
def test_foreign_files_are_seen(export: Path, where: str, what: str) -> None:
    assert holds_only_export_files(export)
    foreign = export / where / "d.values.u8"
    if what == "file":
        foreign.with_name("mine.txt").write_text("mine")
    else:
        foreign.symlink_to(export / "var/a.values.u8.gz" if what == "link to a file" else export)
    assert not holds_only_export_files(export)


def test_what_is_not_recorded_is_removed_and_links_are_not_followed(
    export: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    (export / "var" / "link").symlink_to(tmp_path / "mine")
    remove_unrecorded_files(export, {"var/a.values.u8.gz", "obs/c.codes.u8"})
    assert {path for path, _ in walk_files(export)} == {"var/a.values.u8.gz", "obs/c.codes.u8"}
    assert (tmp_path / "mine" / "file").read_text() == "mine"
