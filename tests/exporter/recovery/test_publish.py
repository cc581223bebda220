"""How an export takes its place: the old one stays whole until the new one is complete."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from atlas import (
    STAMP,
    Running,
    atlas,
    finished,
    here,
    leftovers,
    run,
    save,
    save_large,
    spoil_hdf5,
    tree,
    unfinished,
)
from scenes import GENE, Launcher, at_event

from cellucid_dask import CellucidDaskError, export

KILLS = 4


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two atlases; the second is exported over the export of the first."""
    folder = tmp_path_factory.mktemp("data")
    sizes = {"cells": 6000, "genes": 1000}
    return (
        save_large(folder / "old.h5ad", **sizes),
        save_large(folder / "new.h5ad", **sizes, seed=1),
    )


def _export(data: Path, cwd: Path, *more: str, out: str = "out") -> dict[str, str]:
    words = ("export", data, "-o", out, "--workers", 1, "--dataset-id", "d", *STAMP, *more)
    ended = run(*words, cwd=cwd)
    assert ended.code == 0, ended.err
    return tree(cwd / out)


def _small(data: Path, out: Path, **options: Any) -> dict[str, str]:
    names = {"dataset_id": "d", "dataset_name": "d", "created_at": STAMP[1]}
    export(data, out, quiet=True, workers=1, **names, **options)
    return tree(out)


def test_a_kill_at_any_moment_leaves_the_old_export_or_the_new(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    """The name holds a complete export all the time, whenever the process group is killed."""
    names = ("--dataset-name", "d")
    began = time.monotonic()
    whole = [_export(data, tmp_path, *names, out=f"reference{i}") for i, data in enumerate(pair)]
    length = (time.monotonic() - began) / 2
    assert whole[0] != whole[1]
    assert _export(pair[0], tmp_path, *names) == whole[0]
    there, kept = 0, 0
    for i in range(KILLS):
        options = ("-o", "out", "--dataset-id", "d", *names, *STAMP, "--force", "--restart")
        with Running("export", pair[1 - there], *options, folder=tmp_path) as running:
            if i % 4 == 0:
                running.wait_for_file("points_*")
                time.sleep(random.uniform(0, 0.05))
            elif i % 2:  # half of the kills fall on the end, where the folders change places
                running.wait_for_file("connectivity/*")
                time.sleep(random.uniform(0, 0.15))
            else:
                time.sleep(random.uniform(0, length))
            running.signal(signal.SIGKILL, group=True)
            running.wait()
        found = tree(tmp_path / "out")
        assert found in whole, f"kill {i} left a folder that is neither"
        kept += found == whole[there]
        there = whole.index(found)
    assert kept >= 1, "most runs were done before they were killed: this shows little"
    last = _export(pair[1 - there], tmp_path, *names, "--force", "--restart")
    assert last == whole[1 - there]
    assert leftovers(tmp_path) == []
    names_there = {"out", "reference0", "reference1", "stderr.txt"}
    assert {p.name for p in tmp_path.iterdir()} == names_there


def test_a_failure_in_the_middle_leaves_the_old_export(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    old = _export(pair[0], tmp_path)
    bad = save(atlas(30_000, 8), tmp_path / "bad.h5ad", compression="gzip")
    spoil_hdf5(bad, "X/data", 1)
    before = tree(tmp_path)
    for workers in (1, 2):
        arguments = ("export", bad, "-o", "out", "--force", "--workers", workers)
        ended = run(*arguments, cwd=tmp_path)
        assert ended.code == 2, ended.err
        assert "X/data" in ended.err
        assert finished(tmp_path) == before
        assert unfinished(tmp_path)
    assert tree(tmp_path / "out") == old


def test_a_refused_export_leaves_the_old_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, out = save(atlas(), tmp_path / "a.h5ad"), tmp_path / "out"
    _small(data, out)
    before = tree(tmp_path)
    for more in (["--force", "--gene", "nope"], [], ["--force", "--memory", "1kB"]):
        assert here(capfd, "export", data, "-o", out, *more).code == 2
        assert tree(tmp_path) == before


def test_force_leaves_no_file_of_the_old_export(tmp_path: Path) -> None:
    _small(save(atlas(genes=20), tmp_path / "more.h5ad"), tmp_path / "out")
    data = save(atlas(seed=1), tmp_path / "a.h5ad")
    assert _small(data, tmp_path / "out", force=True) == _small(data, tmp_path / "other")
    assert {p.name for p in tmp_path.iterdir()} == {"more.h5ad", "a.h5ad", "out", "other"}


@pytest.mark.parametrize("name", ["letter.txt", "obs/notes.txt", ".git/config", "var/x.py"])
def test_a_folder_that_is_no_export_is_kept_aside_and_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    data = save(atlas(), tmp_path / "a.h5ad")
    _small(data, tmp_path / "out")
    mine = tmp_path / "out" / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("years of work")
    was = tree(tmp_path / "out")
    ended = here(capfd, "export", data, "-o", tmp_path / "out", "--force")
    assert ended.code == 0, ended.err
    (aside,) = (p for p in tmp_path.iterdir() if p.name.startswith("out."))
    assert tree(aside) == was
    assert str(aside) in ended.out + ended.err
    assert not (tmp_path / "out" / name).exists()


def test_the_name_for_what_is_kept_aside_may_be_taken(tmp_path: Path) -> None:
    """As by a run in the same second: nothing of the user's may be lost then."""
    data = save(atlas(), tmp_path / "a.h5ad")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("years of work")
    for seconds in range(20):
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        taken = tmp_path / f"out.before-{moment:%Y%m%dT%H%M%SZ}"
        taken.mkdir(exist_ok=True)
        (taken / "other.txt").touch()
    with suppress(CellucidDaskError):  # it may be refused, as long as nothing is lost
        _small(data, tmp_path / "out", force=True)
    assert [path.name for path in tmp_path.rglob("letter.txt")] == ["letter.txt"]


KILL_AT = """
import os, signal, sys
def hook(event, arguments):
    if event == "os.rename" and ".before-" in os.fspath(arguments[1]):
        os.kill(os.getpid(), signal.{signal})
sys.addaudithook(hook)
"""


@pytest.mark.parametrize("number", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_foreign_files_survive_a_stop_between_the_renames(tmp_path: Path, number: str) -> None:
    """Stopped after the folders changed places, before the user's folder has its new name."""
    data = save(atlas(), tmp_path / "a.h5ad")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("years of work")
    words = ("export", data, "-o", "out", "--force", "--workers", 1)
    run(*words, cwd=tmp_path, first=KILL_AT.format(signal=number))
    assert list(tmp_path.rglob("letter.txt")), "lost when it was stopped"
    _small(data, tmp_path / "out", force=True, restart=True)
    assert list(tmp_path.rglob("letter.txt")), "lost when the next run cleaned up"


def test_two_runs_into_one_folder(
    pair: tuple[Path, Path],
    launcher: Launcher,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The second is refused, and the first does not notice."""
    stands_still = at_event(GENE, 1, "SIGSTOP")  # until the second has looked
    first = launcher.start("export", pair[0], "-o", "out", cwd=tmp_path, first=stands_still)
    assert first.until(lambda: first.stopped), first.said
    second = here(capfd, "export", pair[1], "-o", tmp_path / "out")
    first.signal(signal.SIGCONT)
    assert second.code == 2, second.err
    assert "another run is making this export" in second.err
    assert first.wait() == 0, first.said
    identity = json.loads((tmp_path / "out" / "dataset_identity.json").read_text())
    assert identity["stats"]["n_cells"] == 6000
    assert leftovers(tmp_path) == []


def test_an_empty_folder_is_taken_without_force(tmp_path: Path) -> None:
    data = save(atlas(), tmp_path / "a.h5ad")
    (tmp_path / "out").mkdir()
    assert "dataset_identity.json" in _small(data, tmp_path / "out")


def test_ways_to_write_the_name_of_a_folder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = save(atlas(), tmp_path / "a.h5ad")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "there").mkdir()
    for given, made in (
        ("one/two/three", "one/two/three"),
        ("slash/", "slash"),
        ("there/../up", "up"),
        ("link/inside", "real/inside"),
        ("with space & ünïcode", "with space & ünïcode"),
        ("-dash", "-dash"),
    ):
        ended = here(capfd, "export", data, f"--out={given}", "--workers", 1)
        assert ended.code == 0, ended.err
        assert (tmp_path / made / "dataset_identity.json").exists(), given
    assert leftovers(tmp_path) == []


def test_default_folder_is_named_after_the_data(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = save(atlas(), tmp_path / "my.atlas.h5ad")
    assert here(capfd, "export", data).code == 0
    assert (tmp_path / "exports" / "my.atlas" / "dataset_identity.json").exists()


def test_files_can_be_read_by_whom_the_mask_says(tmp_path: Path) -> None:
    """A web server must be able to read an export; no file is more private than others are."""
    data = save(atlas(), tmp_path / "a.h5ad")
    old = os.umask(0o022)
    try:
        _small(data, tmp_path / "out")
    finally:
        os.umask(old)
    for path in [tmp_path / "out", *(tmp_path / "out").rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_the_identity_is_the_last_file_written(tmp_path: Path) -> None:
    data = save(atlas(), tmp_path / "a.h5ad")
    _small(data, tmp_path / "out")
    times = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert times["dataset_identity.json"] == max(times.values())  # others may have the same tick


def test_a_limit_on_the_size_of_files(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """The spill cannot be written: one message, and the old export stays."""
    old = _export(pair[0], tmp_path)
    before = finished(tmp_path)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_024_000, 1_024_000))"
    words = ("export", pair[1], "-o", "out", "--force", "--workers", 1)
    ended = run(*words, cwd=tmp_path, first=limit)
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err
    assert "too large" in ended.err
    assert tree(tmp_path / "out") == old
    assert list(finished(tmp_path)) == list(before)
