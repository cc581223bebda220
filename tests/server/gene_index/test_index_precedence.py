"""Requests come before the build of an index."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import pytest
from gene_index_data import MiB, assert_genes, make_large_entries, open_x, save_h5
from serving import wait_until

from cellucid_dask.server import precedence as module
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.server.precedence import Precedence, precedence

SHORT = 0.05  # seconds


def test_a_build_waits_while_responses_are_made(tmp_path: Path) -> None:
    entries = make_large_entries()
    matrix = open_x(save_h5(entries, tmp_path / "a.h5ad"))
    index = GeneIndex(matrix, tmp_path / "index", memory_bytes=32 * MiB, threads=2)
    assert len(index._chunks) > 1
    with precedence.request():
        index.start()
        wait_until(lambda: index.progress()["state"] == "building", "the build does not start")
        index._thread.join(10 * SHORT)
        assert index.progress()["rows_done"] == 0
        assert_genes(index, entries, [3])  # a gene is read meanwhile
    index._thread.join()
    assert index.progress()["state"] == "ready"
    assert_genes(index, entries, [3])


def test_a_build_that_waits_can_be_stopped(tmp_path: Path) -> None:
    matrix = open_x(save_h5(make_large_entries(), tmp_path / "a.h5ad"))
    index = GeneIndex(matrix, tmp_path / "index", memory_bytes=32 * MiB, threads=2)
    with precedence.request():
        index.start()
        index.stop()
        index._thread.join()
        assert index.progress()["rows_done"] == 0


@pytest.mark.parametrize("how", ["end", "stop", "patience", "quiet"])
def test_a_task_waits_for(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the end of a response and a short time after it, but not longer than a limit."""
    monkeypatch.setattr(module, "QUIET", 3600.0 if how == "quiet" else 0.0)
    monkeypatch.setattr(module, "LONGEST", 2 * SHORT if how == "patience" else 3600.0)
    requests, stopped = Precedence(), Event()
    task = Thread(target=requests.wait, args=(stopped,))
    with requests.request():
        task.start()
        if how != "patience":
            task.join(SHORT)
            assert task.is_alive()
        if how == "stop":
            stopped.set()
        if how in ("stop", "patience"):
            task.join()
    if how == "quiet":
        task.join(SHORT)
        assert task.is_alive(), "the next request may follow at once"
        stopped.set()
    task.join()
