"""Leaving out cells takes the memory that was planned, and such a run can be resumed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from atlas import STAMP, tree
from atlas import atlas as make
from scipy import sparse

from cellucid_dask import CellucidDaskError, export
from cellucid_dask.exporter.checks.placed_cells import find_placed_cells
from cellucid_dask.exporter.checks.survey import survey
from cellucid_dask.exporter.planning.memory import least_bytes
from cellucid_dask.exporter.planning.obs_memory import ObsMemory
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.row_array import BLOCK_BYTES, RowArray
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.open import open_source
from cellucid_dask.source.rows.row_selection import RowSelection
from cellucid_dask.source.rows.selected_arrays import SelectedRows, SelectedValues
from cellucid_dask.source.rows.selected_matrix import select_matrix_rows

run_module = import_module("cellucid_dask.exporter.run")  # as a module, for setattr


class Noted:
    """An array that notes which rows of it are read.

    Parameters
    ----------
    array
        (n, ...) values.
    chunks
        Shape of its chunks.
    """

    def __init__(self, array: Any, chunks: tuple[int, ...] | None = None) -> None:
        self.array, self.chunks = array, chunks
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.reads: list[tuple[int, int]] = []

    def __getitem__(self, index: Any) -> Any:
        rows = index[0] if isinstance(index, tuple) else index
        self.reads.append(rows.indices(self.shape[0])[:2])
        return self.array[index]


def all_but_every(step: int, n: int) -> RowSelection:
    return RowSelection(n, np.flatnonzero(np.arange(n) % step))


def test_a_wide_array_of_few_kept_rows_is_read_in_small_blocks() -> None:
    """Reading the rows between those that are kept must not take more than a block."""
    values = np.zeros((6000, 2000), np.float32)
    values[:, 0] = np.arange(6000)
    noted, kept = Noted(values), all_but_every(20, 6000)
    array = RowArray.of(SelectedRows(noted, kept))
    found = [array.rows(*block) for block in array.blocks()]
    np.testing.assert_array_equal(np.concatenate(found)[:, 0], np.arange(0, 6000, 20))
    largest = max(stop - start for start, stop in noted.reads)
    assert largest * 2000 * 4 <= BLOCK_BYTES
    noted.reads.clear()
    SelectedRows(noted, kept)[0:300, 0:1]
    assert len(noted.reads) == 1, "a narrow part of it is little at once"


def test_no_large_chunk_of_values_is_read_twice() -> None:
    n, chunk = 6_000_000, 3_000_000
    indptr = np.arange(0, n + 1, 1_000_000)
    data = Noted(np.zeros(n, np.int8), (chunk,))
    matrix = SparseMatrix("csr", (6, 9), data, np.zeros(n, np.int8), indptr, "X csr")
    rows: Any = select_matrix_rows(matrix, RowSelection(6, np.array([1, 4])), "X")
    assert isinstance(rows.data, SelectedValues)
    assert rows.data[:].shape == (4_000_000,)
    touched = [c for start, stop in data.reads for c in range(start // chunk, -(-stop // chunk))]
    assert touched == [0, 1]


def test_what_a_process_holds_is_planned(saved: Callable[..., Path]) -> None:
    cells = 50_000
    adata = make(cells, 2)
    adata.obsm["X_umap_2d"][1::2] = np.nan
    del adata.obsm["X_umap_3d"]
    options = ExportOptions(drop_cells_without_embedding=True)
    catalog = survey(open_source(saved(adata)), options)
    kept, genes = catalog.source.selection, catalog.genes
    assert kept is not None
    assert genes is not None
    genes.matrix.major(0, 10)  # type: ignore[union-attr]
    assert catalog.graph is not None
    catalog.graph.major(0, 10)  # type: ignore[union-attr]
    parts = (kept.ranges, *kept._found.values())
    held = [array for part in parts for array in (part.starts, part.stops, part.firsts)]
    assert len(held) == 9, "ranges of the rows, of the values of X and of the graph"
    n_bytes = sum(array.nbytes for array in (kept.dropped, kept._numbers, *held))
    assert n_bytes <= kept.n_bytes <= n_bytes + (33 << 20)
    alone = survey(open_source(adata[::2].copy()), ExportOptions())
    assert least_bytes(catalog, options) >= least_bytes(alone, options) + kept.n_bytes


def test_columns_are_planned_with_the_cells_that_are_left_out() -> None:
    """They are read whole, however few of their cells are kept."""
    adata = make(1000, 2)
    adata.obsm["X_umap_2d"][5:] = np.nan
    del adata.obsp["connectivities"]
    catalog = survey(open_source(adata), ExportOptions(drop_cells_without_embedding=True))
    assert catalog.n_cells == 5
    few = ObsMemory.of(catalog).column_bytes
    catalog.source.selection.n_stored *= 1000  # type: ignore[union-attr]
    assert ObsMemory.of(catalog).column_bytes >= few + 8 * 990_000


def test_cells_without_place_in_several_embeddings() -> None:
    """Each is left out once, whichever of the embeddings has no place for it."""
    flat, deep = np.zeros((9, 2)), np.zeros((9, 3))
    flat[[1, 7]], deep[[0, 7], 2] = np.nan, np.inf
    kept = find_placed_cells([RowArray.of(flat, 4), RowArray.of(deep, 2)])
    assert kept is not None
    assert kept.dropped.tolist() == [0, 1, 7]


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_values_of_a_graph_take_memory_while_some_are_left_out(form: str) -> None:
    graph = sparse.random_array((30, 30), density=0.2, format=form)
    parts = (graph.data, graph.indices, graph.indptr)
    matrix = SparseMatrix(form, (30, 30), *parts, "g")
    assert matrix.selecting_bytes == 0
    assert select_matrix_rows(matrix, all_but_every(2, 30), "obsp/g").selecting_bytes > 0  # type: ignore[union-attr]


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run an export that stops when all but its manifests is written."""

    def stop(*given: Any, **options: Any) -> None:
        def fail(*_: Any) -> Any:
            raise RuntimeError("stops here")

        with monkeypatch.context() as patch:
            patch.setattr(run_module, "save_rest", fail)
            with pytest.raises(RuntimeError, match="stops here"):
                export(*given, **options)

    return stop


HOW: dict[str, Any] = {"created_at": STAMP[1], "quiet": True, "dataset_name": "One"}
LEFT_OUT: dict[str, Any] = {**HOW, "drop_cells_without_embedding": True}


def test_going_on_with_a_run_that_left_cells_out(
    tmp_path: Path, saved: Callable[..., Path], stopped: Callable[..., None]
) -> None:
    adata = make()
    adata.obsm["X_umap_3d"][[3, 40]] = np.nan
    path = saved(adata)
    export(path, tmp_path / "whole", **LEFT_OUT)
    stopped(path, tmp_path / "out", **LEFT_OUT)
    result = export(path, tmp_path / "out", **LEFT_OUT)
    assert result.resumed
    assert [w for w in result.warnings if "2 of 60 cells have NaN" in w]
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_run_that_leaves_no_cells_out_does_not_go_on_with_one_that_does(
    tmp_path: Path, saved: Callable[..., Path], stopped: Callable[..., None]
) -> None:
    path = saved(make())
    stopped(path, tmp_path / "out", **LEFT_OUT)
    with pytest.raises(CellucidDaskError, match="drop_cells_without_embedding was True, is False"):
        export(path, tmp_path / "out", **HOW)
