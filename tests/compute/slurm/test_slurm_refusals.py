"""Commands with --slurm that are refused before a job is submitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from atlas import atlas, here, run_anew, tree
from slurm_jobs import assert_refused

from cellucid_dask import export

# No such packages, as far as Python can find them.
WITHOUT = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in {names} else find(name, path, target)
PathFinder.find_spec = find_spec
"""


def test_all_problems_of_a_command_are_reported_together(
    data: Path, tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nope")
    words = ["export", data, "-o", "out", "--slurm", "--scheduler", "tcp://127.0.0.1:1"]
    words += ["--time", "soon", "--job-cores", 0, "--interface", "ib99", "--latent-key", "X_nope"]
    outcome = here(capfd, *words)
    told = ("--time", "--job-cores", "--interface", "'lo'", "cannot both be given", "--workers N")
    assert_refused(outcome, tmp_path, *told, "no sbatch on the PATH", "X_nope")


def test_missing_packages_are_named(data: Path, tmp_path: Path) -> None:
    folder, place = tmp_path / "first", tmp_path / "place"
    folder.mkdir()
    place.mkdir()
    (folder / "sitecustomize.py").write_text(WITHOUT.format(names={"dask_jobqueue", "bokeh"}))
    words = ["export", data, "-o", "out", "--slurm", "--job-memory", "much"]
    outcome = run_anew(*words, cwd=place, PYTHONPATH=str(folder))
    needed = "needs bokeh and dask_jobqueue", "pip install bokeh cryptography dask-jobqueue"
    assert_refused(outcome, place, *needed, "--job-memory", "--workers N")


def test_options_without_slurm(data: Path, tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["export", data, "-o", "out", "--partition", "p", "--adaptive", "--max-jobs", 2]
    outcome = here(capfd, *words, "--slurm-directive=--qos=x")
    named = "--partition", "--adaptive", "--max-jobs", "--directive", "add --slurm"
    assert_refused(outcome, tmp_path, *named)


@pytest.mark.parametrize("workers", [(), ("--workers", 1)])
def test_a_performance_report_needs_dask(
    data: Path, tmp_path: Path, capfd: Any, monkeypatch: Any, workers: tuple[Any, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = here(capfd, "export", data, "-o", "out", *workers, "--performance-report", "r.html")
    assert_refused(outcome, tmp_path, "--performance-report", "this process", "--workers 2")


def test_data_in_memory_cannot_go_to_jobs(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="data in memory cannot go to other machines") as told:
        export(atlas(), tmp_path / "out", slurm=True, workers=2, time="soon", quiet=True)
    assert "time: 'soon' is not a time" in str(told.value)
    assert tree(tmp_path) == {}
