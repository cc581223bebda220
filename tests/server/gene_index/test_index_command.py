"""Building the gene index with workers, as the command does."""

from __future__ import annotations

from pathlib import Path

import pytest
from atlas import tree
from gene_index_data import (
    MiB,
    assert_genes,
    build_complete_index,
    damage_data_chunk,
    make_large_entries,
    make_messy_entries,
    open_x,
    save_h5,
)

from cellucid_dask.compute.choose_cluster import choose_cluster
from cellucid_dask.compute.engine import Engine
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.errors import OutputError, PlanError, ReadError
from cellucid_dask.options.run import RunOptions
from cellucid_dask.server.gene_index.lookup import GeneIndex


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_build_the_same_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    entries = make_large_entries(n_cells=150_000)
    matrix = open_x(save_h5(entries, tmp_path / "a.h5ad"))
    folder = tmp_path / "one" / "index"
    found = GeneIndex(matrix, folder, memory_bytes=64 * MiB, threads=2)
    run = RunOptions(workers=workers)
    with Engine(choose_cluster(run, in_memory=False, small=False), Reporter(quiet=True)) as engine:
        assert found.build(engine, 256 * MiB)
        assert not found.build(engine, 256 * MiB)
    assert found.progress()["state"] == "ready"
    assert_genes(found, entries, [0, 29])
    build_complete_index(matrix, tmp_path / "two" / "index")
    assert tree(folder) == tree(tmp_path / "two" / "index")


def test_the_command_refuses_little_memory_bad_folders_and_damaged_data(tmp_path: Path) -> None:
    path = save_h5(make_messy_entries(), tmp_path / "a.h5ad", compression="gzip", chunks=(256,))
    matrix = open_x(path)
    (tmp_path / "file").touch()
    run = RunOptions(workers=1)
    with Engine(choose_cluster(run, in_memory=False, small=True), Reporter(quiet=True)) as engine:

        def build(folder: Path, share: int = 256 * MiB) -> None:
            GeneIndex(matrix, folder, memory_bytes=64 * MiB, threads=2).build(engine, share)

        with pytest.raises(PlanError, match="a task needs"):
            build(tmp_path / "index", 1000)
        with pytest.raises(OutputError, match="cannot be written"):
            build(tmp_path / "file" / "index")
        damage_data_chunk(path)
        with pytest.raises(ReadError, match="chunk 2"):
            build(tmp_path / "index")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5ad", "file"]
