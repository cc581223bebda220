"""Folders that no run made are neither used nor removed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from atlas import here, tree
from recovering import leave_spill_in_scratch
from scenes import Scene

from cellucid_dask import clean
from cellucid_dask.exporter.recovery.lock import MARK


@pytest.mark.parametrize("how", ["link", "edited mark"])
def test_folders_of_others_are_not_taken_for_spill(small: Scene, how: str) -> None:
    """A purged scratch folder may have become anything; a mark is a text that can be edited."""
    scratch = leave_spill_in_scratch(small)
    mine = small.at / "cellucid-dask-scratch-mine"
    (mine / "thesis").mkdir(parents=True)
    (mine / "thesis" / "a.txt").write_text("years of work")
    if how == "link":
        spill = next(scratch.glob("cellucid-dask-scratch-*"))
        shutil.rmtree(spill)
        spill.symlink_to(mine)
    else:
        with (small.staging / MARK).open("a") as mark:
            mark.write(f"{mine}\n")
    small.make()
    clean(small.out)
    assert (mine / "thesis" / "a.txt").read_text() == "years of work"
    assert tree(small.out) == small.whole


def test_clean_of_a_copy_leaves_the_spill_of_the_original(small: Scene, tmp_path: Path) -> None:
    scratch = leave_spill_in_scratch(small)
    spilled = tree(scratch)
    shutil.copytree(small.at, tmp_path / "copy", symlinks=True)
    clean(tmp_path / "copy" / "out")
    assert tree(scratch) == spilled


@pytest.mark.parametrize("how", ["link", "folder"])
def test_a_folder_of_others_with_the_name_of_staging(
    small: Scene, tmp_path: Path, capfd: pytest.CaptureFixture[str], how: str
) -> None:
    theirs = tmp_path / "theirs" if how == "link" else small.staging
    (theirs / "parts").mkdir(parents=True)
    (theirs / "parts" / "a.txt").write_text("years of work")
    if how == "link":
        small.staging.symlink_to(theirs)
    for words in (["clean", small.out], small.words()):
        ended = here(capfd, *words)
        assert ended.code == 2, ended.err
        assert "is no staging folder of this package" in ended.err
    assert (theirs / "parts" / "a.txt").read_text() == "years of work"


def test_a_folder_of_others_with_the_name_of_the_old_export(small: Scene) -> None:
    theirs = small.at / ".out.previous"
    theirs.mkdir()
    (theirs / "notes.txt").write_text("years of work")
    clean(small.out)
    small.make()
    assert [path.name for path in theirs.iterdir()] == ["notes.txt"]
