"""Which kind of cluster a run gets when the user does not choose one."""

from __future__ import annotations

import pytest

from cellucid_dask.compute.choose_cluster import choose_cluster
from cellucid_dask.compute.cluster import Cluster
from cellucid_dask.compute.machine import cores
from cellucid_dask.errors import EngineError
from cellucid_dask.native import library
from cellucid_dask.options.run import RunOptions


def choose(workers: int | None, *, in_memory: bool = False, small: bool = False) -> Cluster:
    return choose_cluster(RunOptions(workers=workers), in_memory=in_memory, small=small)


@pytest.mark.skipif(library.load() is None, reason="the native library is not compiled")
def test_threads_do_large_work_where_the_library_is_in_use() -> None:
    assert str(choose(None)) == str(choose(None, small=True)) == str(choose(1))
    assert str(choose(None)).startswith(f"{cores()} thread")


@pytest.mark.skipif(cores() == 1, reason="one process has nothing to share")
def test_without_the_library_processes_do_large_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.SWITCH, "0")
    assert str(choose(None)) == f"{cores()} worker processes"
    assert str(choose(None, small=True)) == f"{cores()} threads in this process"


def test_a_number_of_workers_means_processes() -> None:
    assert str(choose(3)) == str(choose(3, small=True)) == "3 worker processes"


def test_data_in_memory_stays_in_threads() -> None:
    assert str(choose(3, in_memory=True)) == "3 threads in this process"


def test_a_report_of_dask_needs_dask() -> None:
    run = RunOptions(workers=1, performance_report="dask.html")
    with pytest.raises(EngineError, match="this process"):
        choose_cluster(run, in_memory=False, small=False)
