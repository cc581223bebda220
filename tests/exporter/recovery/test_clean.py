"""`clean` removes what a dead run left, and nothing else."""

from __future__ import annotations

import shutil
import signal
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from atlas import atlas, here, save, tree
from recovering import leave_spill_in_scratch, tree_with_times
from scenes import GENE, Scene, at_event

from cellucid_dask import clean, export
from cellucid_dask.errors import InputError

# As a module, for setattr.
publish = import_module("cellucid_dask.exporter.recovery.publish")


def test_clean_removes_what_a_dead_run_left(
    small: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    small.left_in_genes()
    (small.at / "beside.txt").touch()
    cleaned = here(capfd, "clean", small.out)
    assert (cleaned.code, cleaned.err) == (0, "")
    assert "removed" in cleaned.out
    assert list(tree(small.at)) == ["beside.txt"]
    again = here(capfd, "clean", small.out)
    assert (again.code, again.out) == (0, "there is nothing to remove\n")
    assert list(tree(small.at)) == ["beside.txt"]


@pytest.mark.parametrize("of", ["out/", "./out", "../place/out"])
def test_clean_leaves_the_export_as_it_is(
    small: Scene, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    small.left_in_genes()
    shutil.copytree(small.inside, small.out)
    (small.out / "letter.txt").write_text("mine")
    before = tree_with_times(small.out)
    monkeypatch.chdir(small.at)
    assert clean(of).bytes > 0
    assert tree_with_times(small.out) == before
    assert [path.name for path in small.at.iterdir()] == ["out"]


def test_clean_removes_the_spill_wherever_it_is(small: Scene) -> None:
    spill = leave_spill_in_scratch(small)
    assert clean(small.out).bytes > 0
    assert list(tree(small.at)) == ["spill", "spill/mine.txt"]
    assert list(spill.iterdir()) == [spill / "mine.txt"]


@pytest.mark.parametrize(
    "where",
    [
        "",
        "export-*",
        "export-*/var",
    ],
)
def test_clean_never_removes_files_of_others(small: Scene, where: str) -> None:
    small.left_in_genes()
    folder = next(small.staging.glob(where)) if where else small.staging
    (folder / "letter.txt").write_text("years of work")
    clean(small.out)
    found = [path.read_text() for path in small.at.rglob("letter.txt")]
    assert found == ["years of work"]


def test_clean_of_a_run_that_lives_is_refused(
    small: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    """So is a second run; both also while it stands still."""
    running = small.launcher.start(
        *small.words(), cwd=small.at, first=small.first + at_event(GENE, 9, "SIGSTOP")
    )
    try:
        assert running.until(lambda: running.stopped)
        before = tree_with_times(small.at)
        for command in (["clean", str(small.out)], small.words(), small.words("--restart")):
            ended = here(capfd, *command)
            assert ended.code == 2, ended.out
            assert ended.err.count("error:") == 1
            assert "another run is making this export" in ended.err
            now = tree_with_times(small.at)
            assert now == before | {name: now[name] for name in now if "owner.json" in name}
    finally:
        running.signal(signal.SIGCONT)
    assert running.wait() == 0, running.said
    small.check()


def test_clean_gives_the_old_export_its_name_back(small: Scene) -> None:
    """Killed between two renames, where the system cannot swap folders."""
    small.make()
    small.out.rename(publish.previous(small.out))
    clean(small.out)
    small.check()


@pytest.mark.parametrize("of", ["atlas", "atlas.h5ad"])
def test_clean_finds_a_run_whose_output_got_a_suffix(tmp_path: Path, of: str) -> None:
    """As of `export --format h5ad -o atlas`."""
    data = atlas()
    data.X.data[0] = np.nan
    path = save(data, tmp_path / "data.h5ad")
    with pytest.raises(InputError, match="NaN"):
        export(path, tmp_path / "atlas", format="h5ad", quiet=True)
    assert clean(tmp_path / of).bytes > 0
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    "of",
    [
        "/",
        ".",
        "..",
        "nowhere/deep/out",
        "out.h5ad",
    ],
)
def test_clean_of_what_no_run_makes(
    small: Scene, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], of: str
) -> None:
    monkeypatch.chdir(small.at)
    (small.at / "out.h5ad").write_text("a file")
    before = tree_with_times(small.at)
    ended = here(capfd, "clean", of)
    assert ended.code in (0, 2), ended.err
    assert "internal error" not in ended.err
    assert tree_with_times(small.at) == before
