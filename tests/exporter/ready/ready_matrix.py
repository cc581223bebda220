"""Runs the stage that writes X of ready files, and reads back what it stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse
from versions import write_zarr

from cellucid_dask.compute.choose_cluster import choose_cluster
from cellucid_dask.compute.engine import Engine
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.exporter.checks.survey import survey
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.planning.plan import make_plan
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.recovery.journal import JOURNAL, Journal
from cellucid_dask.exporter.recovery.staging import StagingFolders
from cellucid_dask.exporter.stages.genes.driver import start_genes, write_genes
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, Target
from cellucid_dask.exporter.stages.ready.matrix.driver import (
    is_matrix_open,
    write_matrix,
)
from cellucid_dask.files import PARTS
from cellucid_dask.native.library import load
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.run import RunOptions
from cellucid_dask.ready.layout import dense_node, entry_nodes
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.source.open import open_source


def with_points(matrix: Any) -> anndata.AnnData:
    """An AnnData of `matrix` with what an export needs."""
    n, n_genes = matrix.shape
    return anndata.AnnData(
        matrix,
        obs=pd.DataFrame({"x": np.zeros(n)}, index=[f"c{i}" for i in range(n)]),
        var=pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]),
        obsm={"X_umap_2d": np.arange(2.0 * n, dtype="f4").reshape(n, 2)},
    )


def save(matrix: Any, folder: Path, kind: str) -> Any:
    """What holds a matrix: a path, or an AnnData."""
    adata = with_points(matrix)
    if kind == "memory":
        return adata
    if kind == "h5ad":
        adata.write_h5ad(folder / "a.h5ad")
        return folder / "a.h5ad"
    write_zarr(adata, folder / "a.zarr")
    return folder / "a.zarr"


@dataclass
class MatrixRun:
    """What a run has written.

    Parameters
    ----------
    folder
        Of the run.
    folder_files
        Files of the genes in the folder format, where they were written as well.
    """

    folder: Path
    written: Any
    folder_files: dict[str, bytes]

    @property
    def store(self) -> Path:
        """Folder of the chunks."""
        return self.folder / "export"

    def read(self) -> Any:
        """X as anndata reads it: CSC, or dense."""
        layout = self.written.layout
        if self.written.pointers is None:
            return self._array(dense_node("X", layout))
        data, indices = (self._array(node) for node in entry_nodes("X", layout, layout.shape[0]))
        return sparse.csc_array((data, indices, self.written.pointers), shape=layout.shape)

    def _array(self, node: Any) -> Any:
        assert isinstance(node, ArrayNode)
        shuffle = [{"id": "shuffle", "elementsize": node.itemsize}] if node.shuffle else None
        from numcodecs import Shuffle, Zlib

        chunks = dict[int, bytes]()
        for work in self.written.works:
            for stored in work.chunks:
                if stored.array == node.path and stored.target == "zarr":
                    for chunk, *_ in stored.chunks.tolist():
                        assert chunk not in chunks, "a chunk has one owner"
                        key = ".".join(map(str, node.position(chunk)))
                        chunks[chunk] = (self.store / node.path / key).read_bytes()
        assert sorted(chunks) == list(range(node.n_chunks))
        found = np.zeros(node.shape, node.dtype)
        for chunk, raw in chunks.items():
            plain = Zlib().decode(raw)
            if shuffle:
                plain = Shuffle(node.itemsize).decode(plain)
            whole = np.frombuffer(plain, node.dtype).reshape(node.chunks)
            region = node.region(chunk)
            found[region] = whole[tuple(slice(0, s.stop - s.start) for s in region)]
        return found


def run_matrix(
    data: Any,
    folder: Path,
    *,
    finished: Sequence[ReadyWork] = (),
    formats: str = "ready",
    workers: int = 1,
    task_bytes: int | None = None,
    genes: Sequence[str] | None = None,
) -> MatrixRun:
    """Write X of `data`, a path or an AnnData, below `folder`.

    Parameters
    ----------
    formats
        ``ready``, ``folder`` or ``both``.
    task_bytes
        Memory that tasks are told to take, whatever the plan says.
    """
    folders = StagingFolders(folder / "export", folder / PARTS, folder / f"scratch-{token_hex(4)}")
    for path in (folder, folders.export, folders.parts, folders.scratch):
        path.mkdir(exist_ok=True)
    (folders.export / "var").mkdir(exist_ok=True)
    source = open_source(data)
    options = ExportOptions(genes=genes, dataset_id="d", dataset_name="d")
    catalog = survey(source, options)
    assert catalog.problems == []
    native = load() is not None
    run = RunOptions(workers=workers)
    cluster = choose_cluster(run, in_memory=source.local, small=workers == 1)
    reporter = Reporter(quiet=True)
    with Engine(cluster, reporter) as engine, engine.start_workers(folder):
        plan = make_plan(catalog, options, 64 << 20, engine.slots, native=native)
        if task_bytes is not None:
            plan = replace(plan, worker_bytes=task_bytes)
        journal = Journal(folder / JOURNAL)
        job = Job(source, catalog, options, engine, plan, folders, native, journal)
        stores = ChunkStores(
            (Target("zarr", "zarr2", str(folders.export)), Target("h5ad", "hdf5")),
            str(folders.parts),
            str(folders.scratch),
        )
        assert catalog.genes is not None
        is_open = formats != "folder" and is_matrix_open(catalog.genes, finished)
        cutting = start_genes(job, ready=is_open) if is_open or formats != "ready" else None
        if formats != "ready":
            write_genes(job, cutting)
        written = None
        if formats != "folder":
            written = write_matrix(job, stores, catalog.genes, finished, cutting)
        files = {path.name: path.read_bytes() for path in (folders.export / "var").iterdir()}
        if cutting is not None:
            cutting.remove_spills()
    return MatrixRun(folder, written, files)


def random_matrix(n_cells: int = 130, n_genes: int = 37, seed: int = 0) -> sparse.csr_array:
    """Genes of very different counts, some without a value."""
    rng = np.random.default_rng(seed)
    chance = rng.random(n_genes) ** 4
    dense = rng.normal(size=(n_cells, n_genes)) * (rng.random((n_cells, n_genes)) < chance)
    return sparse.csr_array(dense.astype("f4"))


def expected_csc(matrix: Any, dtype: str = "f4") -> sparse.csc_array:
    """X as ready files have it, by scipy."""
    found = sparse.csc_array(matrix)
    found.sum_duplicates()
    found = sparse.csc_array((found.data.astype(dtype), found.indices, found.indptr), found.shape)
    found.eliminate_zeros()
    found.sort_indices()
    return found


def check_csc(run: MatrixRun, expected: sparse.csc_array) -> None:
    """All three arrays are equal, to the bit."""
    found = run.read()
    assert run.written.layout.nnz == expected.nnz
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert found.data.dtype == expected.data.dtype
    assert found.data.tobytes() == expected.data.tobytes()
