"""The gene index in a server: right answers during the build, shared scans, the same bytes."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
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
    make_dask_matrix,
    make_large_entries,
    make_messy_entries,
    open_x,
    save_h5,
)

from cellucid_dask.errors import ReadError
from cellucid_dask.server.gene_index import background
from cellucid_dask.server.gene_index import build as index_build
from cellucid_dask.server.gene_index import lookup as index
from cellucid_dask.server.gene_index.background import BackgroundBuild
from cellucid_dask.server.gene_index.lock import BuildStopped
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.server.gene_index.scan import SharedScans, plan_row_chunks
from cellucid_dask.server.gene_index.store import IndexStore


def test_genes_are_right_at_every_moment_of_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", 50_000)
    entries = make_large_entries()
    matrix = open_x(save_h5(entries, tmp_path / "a.h5ad", compression="gzip"))
    found = GeneIndex(matrix, tmp_path / "index", memory_bytes=32 * MiB, threads=2)
    states = set()

    def ask(seed: int) -> None:
        rng = random.Random(seed)
        while (state := found.progress()["state"]) != "ready":
            states.add(state)
            assert_genes(found, entries, [rng.randrange(entries.n_genes)])

    found.start()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(ask, range(3)))
    assert states & {"waiting", "building"}
    assert found.progress() == {
        "state": "ready",
        "rows_done": 300_000,
        "rows": 300_000,
        "blocks_done": len(list_blocks(tmp_path / "index")),
        "blocks": len(list_blocks(tmp_path / "index")),
    }
    assert len(list_blocks(tmp_path / "index")) > 5
    assert_genes(found, entries)
    assert find_leftovers(tmp_path) == []


def test_blocks_of_requested_genes_are_built_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", 100)
    order: list[int] = []

    def write(task: Any, spills: Any) -> None:
        order.append(task.block)
        index_build.write_block(task, spills)

    monkeypatch.setattr(background, "write_block", write)
    matrix = make_messy_entries().matrix()
    tmp_path.joinpath("index").mkdir()
    store = IndexStore(tmp_path / "index", matrix.shape)
    build = BackgroundBuild(matrix, store, plan_row_chunks(matrix, MiB), 1, MiB, threading.Event())
    build.prioritize(20)
    build.prioritize(33)
    build.run(lambda: None)
    asked = [store.block_of(33), store.block_of(20)]
    assert order == [*asked, *(i for i in range(store.n_blocks) if i not in asked)]
    assert len(list_blocks(tmp_path / "index")) == len(order)


def test_genes_are_right_after_the_spill_is_removed(tmp_path: Path) -> None:
    """As `stop` does when a task goes on for long, and as every build does at its end."""
    entries = make_messy_entries()
    matrix = entries.matrix()
    tmp_path.joinpath("index").mkdir()
    store, stopped = IndexStore(tmp_path / "index", matrix.shape), threading.Event()
    build = BackgroundBuild(matrix, store, plan_row_chunks(matrix, MiB), 1, MiB, stopped)
    found = GeneIndex(matrix, tmp_path / "index", memory_bytes=16 * MiB, threads=1)

    chunks = plan_row_chunks(matrix, MiB)

    def check() -> None:
        if len(build.spills()) < len(chunks):
            return  # it is asked after each of them
        found._background = build
        assert_genes(found, entries, [2, 3])
        build.remove_spill()
        assert_genes(found, entries, [2, 3])
        stopped.set()

    with pytest.raises(BuildStopped):
        build.run(check)
    assert find_leftovers(tmp_path) == []


def test_the_same_bytes_whatever_the_memory_and_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", 1000)
    monkeypatch.setattr(index, "MIN_TASK_BYTES", 1)
    for name, matrix in (
        ("csr", make_messy_entries().matrix()),
        ("dask", make_dask_matrix("whole")[0]),
    ):
        trees: list[dict[str, str]] = []
        for room, threads in ((0, 1), (50_000, 1), (200 * MiB, 2)):
            folder = tmp_path / f"{name}-{room}" / "index"  # its name is in the index
            build_complete_index(matrix, folder, room, threads)
            trees.append(tree(folder))
        assert len(trees[0]) > 20
        assert trees[0] == trees[1] == trees[2]


def test_requests_that_wait_share_one_scan() -> None:
    batches: list[list[int]] = []
    begun, go = threading.Event(), threading.Event()

    def find(columns: list[int]) -> list[Any]:
        batches.append(columns)
        begun.set()
        assert go.wait(120)
        return [f"gene {column}" for column in columns]

    scans = SharedScans(find, max_genes=3)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(scans.get, [0])
        assert begun.wait(120)
        rest = [pool.submit(scans.get, columns) for columns in ([0], [1, 2], [1], [3, 4], [0])]
        while len(scans._waiting) < 4:
            time.sleep(0.001)
        go.set()
        assert [future.result() for future in (first, *rest)] == [
            [f"gene {column}" for column in columns]
            for columns in ([0], [0], [1, 2], [1], [3, 4], [0])
        ]
    assert batches[0] == [0]
    # A thread that comes after the first scan is over asks for its gene again.
    assert [len(batch) for batch in batches] in ([1, 3, 1], [1, 3, 1, 1], [1, 3, 2])
    assert sorted({column for batch in batches for column in batch}) == [0, 1, 2, 3, 4]


def test_an_error_reaches_all_who_wait() -> None:
    def find(columns: list[int]) -> list[Any]:
        raise ReadError("no")

    scans = SharedScans(find, max_genes=3)
    for _ in range(2):
        with pytest.raises(ReadError):
            scans.get([1])
