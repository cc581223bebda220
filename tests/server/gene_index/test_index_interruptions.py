"""A build of the gene index that is stopped or killed, and builds by several processes."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from atlas import tree
from gene_index_data import (
    MiB,
    assert_genes,
    build_complete_index,
    find_leftovers,
    list_blocks,
    make_large_entries,
    make_messy_entries,
    open_x,
    save_h5,
    wait_for_end,
)

from cellucid_dask.server.gene_index import build as index_build
from cellucid_dask.server.gene_index import lookup
from cellucid_dask.server.gene_index.lock import try_lock
from cellucid_dask.server.gene_index.lookup import GeneIndex


def test_a_stopped_build_resumes_with_its_finished_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", 20_000)
    monkeypatch.setattr(lookup, "STOP_SECONDS", 600)  # it would leave a task that takes long
    entries = make_large_entries()
    matrix = open_x(save_h5(entries, tmp_path / "a.h5ad", compression="gzip"))
    folder = tmp_path / "index"
    for reached in (
        lambda facts: facts["state"] in ("building", "ready"),
        lambda facts: facts["rows_done"] > 0,
        lambda facts: facts["blocks_done"] > 2,
    ):
        found = GeneIndex(matrix, folder, memory_bytes=32 * MiB, threads=2)
        found.start()
        while not reached(found.progress()):
            time.sleep(0.001)
        found.stop()
        assert found.progress()["state"] in ("off", "ready")
        assert find_leftovers(tmp_path) == []
        n_blocks = len(list_blocks(folder))
        missing = next((i for i in range(30) if not found._read_blocks([i])), None)
        if missing is not None:
            with pytest.raises(CancelledError):
                found.pieces(missing)
    assert n_blocks > 2
    before = {path: path.stat().st_mtime_ns for path in list_blocks(folder)}
    again = build_complete_index(matrix, folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "not built again"
    assert_genes(again, entries)


BUILD = """
import sys, time
from pathlib import Path
from cellucid_dask.server.gene_index import build as index_build
from cellucid_dask.server.gene_index import lookup
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.source.arrays.matrix import open_matrix
from cellucid_dask.source.storage.store import locate_store

index_build.MIN_BLOCK_NNZ = 20_000
store = locate_store(sys.argv[1])
with store.open() as root:
    matrix = open_matrix(store, "X", root["X"])
found = GeneIndex(matrix, Path(sys.argv[2]), memory_bytes=32 << 20, threads=2)
found.start()
while found.progress()["state"] in ("waiting", "building"):
    time.sleep(0.002)
print(found.progress())
"""


def test_a_killed_build_resumes_and_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: Callable[..., Any]
) -> None:
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", 20_000)
    entries = make_large_entries(n_cells=200_000)
    path = save_h5(entries, tmp_path / "a.h5ad", compression="gzip")
    folder = tmp_path / "killed" / "index"
    for moment in (0.0, 0.15, 0.4):
        child, _ = children(BUILD, path, folder)
        while child.poll() is None and not (folder / "lock").exists():
            time.sleep(0.001)
        time.sleep(moment * random.uniform(0.7, 1.3))
        child.kill()
        child.wait()
        kept = {path: path.stat().st_mtime_ns for path in list_blocks(folder)}
        reader = GeneIndex(open_x(path), folder, memory_bytes=32 * MiB, threads=2)
        assert_genes(reader, entries, [0, 17])
    again = build_complete_index(open_x(path), folder)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert_genes(again, entries)
    assert find_leftovers(tmp_path) == []
    build_complete_index(open_x(path), tmp_path / "clean" / "index")
    assert tree(folder) == tree(tmp_path / "clean" / "index")


def test_two_processes_build_one_index(tmp_path: Path, children: Callable[..., Any]) -> None:
    entries = make_large_entries(n_cells=150_000)
    path = save_h5(entries, tmp_path / "a.h5ad")
    both = [children(BUILD, path, tmp_path / "index") for _ in range(2)]
    for child, said in both:
        child.wait(600)
        assert "'state': 'ready'" in said.read_text()
    assert find_leftovers(tmp_path) == []
    assert_genes(build_complete_index(open_x(path), tmp_path / "index"), entries)


HOLD = """
import sys, time
from pathlib import Path
from cellucid_dask.server.gene_index.lock import BuildStopped, try_lock

Path(sys.argv[1]).mkdir()
lock = try_lock(Path(sys.argv[1]))
Path(sys.argv[1], "spill-left").mkdir()
print("held", flush=True)
time.sleep(600)
"""


def test_a_builder_that_dies_while_another_waits(
    tmp_path: Path, children: Callable[..., Any]
) -> None:
    entries = make_messy_entries()
    child, said = children(HOLD, tmp_path / "index")
    while said.read_text() != "held\n":
        assert child.poll() is None
        time.sleep(0.01)
    found = GeneIndex(entries.matrix(), tmp_path / "index", memory_bytes=16 * MiB, threads=2)
    found.start()
    assert_genes(found, entries)
    assert found.progress()["state"] == "waiting"
    child.kill()
    assert wait_for_end(found) == "ready"
    assert_genes(found, entries)
    assert find_leftovers(tmp_path) == []


def test_blocks_of_another_builder_are_used_as_they_appear(tmp_path: Path) -> None:
    entries = make_messy_entries()
    build_complete_index(entries.matrix(), tmp_path / "other")
    folder = tmp_path / "index"
    folder.mkdir()
    lock = try_lock(folder)
    assert lock is not None
    found = GeneIndex(entries.matrix(), folder, memory_bytes=16 * MiB, threads=2)
    found.start()
    assert_genes(found, entries, [2])
    assert found.progress()["state"] == "waiting"
    shutil.copytree(tmp_path / "other" / "index.zarr", folder / "beside.zarr")
    facts = json.loads((folder / "beside.zarr" / "zarr.json").read_text())
    facts["attributes"]["source"] = "index"
    (folder / "beside.zarr" / "zarr.json").write_text(json.dumps(facts))
    (folder / "beside.zarr").rename(folder / "index.zarr")
    assert wait_for_end(found) == "ready"  # with the lock still held by the other
    assert_genes(found, entries)
    lock.release()


def test_waiting_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "STOP_SECONDS", 600)
    tmp_path.joinpath("index").mkdir()
    lock = try_lock(tmp_path / "index")
    assert lock is not None
    found = GeneIndex(
        make_messy_entries().matrix(), tmp_path / "index", memory_bytes=16 * MiB, threads=2
    )
    found.start()
    found.stop()
    assert found.progress()["state"] == "off"
    lock.release()
