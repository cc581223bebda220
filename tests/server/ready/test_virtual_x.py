"""X of virtual stores against what an export to zarr writes, over every layout of the input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
from atlas import save
from layouts import store_anew, untidy
from scipy import sparse
from virtual_x import check_x, opened, store_nodes, with_points

from cellucid_dask.exporter.planning import cuts
from cellucid_dask.native.library import SWITCH
from cellucid_dask.ready import layout

KINDS = ("a.h5ad", "v2.zarr", "v3.zarr", "sharded.zarr", "a.zarr.zip", "memory")
STORES = {"v2.zarr": "v2", "v3.zarr": "v3", "sharded.zarr": "v3 sharded"}
DTYPES = ("?", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Genes are in many chunks, chunks hold many genes, and cells are read in many row chunks."""
    monkeypatch.setattr(layout, "SLICED", 64)
    monkeypatch.setattr(cuts, "CHUNK_NNZ", 60)
    monkeypatch.setattr(cuts, "LEAST_NNZ", 60)


def stored(matrix: Any, folder: Path, kind: str, **how: Any) -> Any:
    """What holds a matrix: a path, or an AnnData."""
    adata = with_points(matrix, how.pop("points", None))
    if kind == "memory":
        return adata
    if kind in STORES:
        how["kind"] = STORES[kind]
    return save(adata, folder / kind, **how)


def some(dtype: str, shape: tuple[int, int] = (150, 23), *, large: bool = False) -> Any:
    """CSR with zeros that are stored, and genes of very different counts."""
    rng = np.random.default_rng(3)
    chance = rng.random(shape[1]) ** 3
    dense = rng.integers(0, 200, shape) if np.dtype(dtype).kind in "iub" else rng.normal(size=shape)
    dense = np.where(rng.random(shape) < chance, dense, 0).astype(dtype)
    if large:
        places = rng.random(shape) < 0.05
        dense[places] = rng.integers(1 << 24, 1 << 31, places.sum()).astype(dtype)
    made = sparse.csr_matrix(dense)
    made.data[::9] = 0
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_x_is_what_an_export_writes(tmp_path: Path, form: str, kind: str) -> None:
    matrix = untidy("csc" if form == "csc" else "csr")
    matrix = matrix.toarray() if form == "dense" else matrix
    check_x(stored(matrix, tmp_path, kind), tmp_path)


def test_x_without_an_index_is_what_an_export_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one container, in fewer chunks: each gene is found by a scan of all, which takes long."""
    monkeypatch.setattr(layout, "SLICED", 512)
    check_x(stored(untidy("csr"), tmp_path, "a.h5ad"), tmp_path, index=False)


@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_of_every_type(tmp_path: Path, dtype: str, form: str) -> None:
    matrix = some("f4" if dtype == "f2" else dtype)  # scipy has no half precision; files have
    matrix = matrix.toarray() if form == "dense" else matrix.asformat(form)
    path = stored(matrix, tmp_path, "a.h5ad")
    if dtype == "f2":
        with h5py.File(path, "r+") as file:
            key = "X" if form == "dense" else "X/data"
            attributes, values = dict(file[key].attrs), file[key][:].astype("f2")
            del file[key]
            file.create_dataset(key, data=values).attrs.update(attributes)
    check_x(path, tmp_path)


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("form", ["csr", "csc", "dense", "rows", "dense rows"])
@pytest.mark.parametrize("dtype", ["u4", "i8", "f8", "f4"])
def test_whole_numbers_that_float32_skips(
    tmp_path: Path, dtype: str, form: str, index: bool
) -> None:
    """They are kept as float64, if all values are whole and of a type that has them."""
    matrix = np.abs(some("i8", large=True)).astype(dtype)
    data = in_form(matrix, tmp_path, form)
    check_x(data, tmp_path, index=index)
    with opened(data, tmp_path, index=index) as expression:
        assert expression.matrix_layout().dtype == ("<f4" if dtype == "f4" else "<f8")


@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
@pytest.mark.parametrize(("largest", "dtype"), [(1 << 24, "<f4"), ((1 << 24) + 1, "<f8")])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_first_whole_number_that_float32_skips(
    tmp_path: Path, sign: int, largest: int, dtype: str, form: str
) -> None:
    """As float32 both are the same number."""
    matrix = sparse.csr_matrix(np.array([[1, 0, 2], [0, sign * largest, 5]], "i8"))
    data = in_form(matrix, tmp_path, form)
    check_x(data, tmp_path)
    with opened(data, tmp_path) as expression:
        assert expression.matrix_layout().dtype == dtype


@pytest.mark.parametrize("form", ["csr", "csc", "dense", "rows", "dense rows"])
def test_one_value_that_is_not_whole_makes_all_float32(tmp_path: Path, form: str) -> None:
    matrix = some("f8", large=True)
    matrix.data = np.floor(matrix.data)
    matrix.data[4] = 3 + 2.0**-40  # which float32 shows as 3
    data = in_form(matrix, tmp_path, form)
    check_x(data, tmp_path)
    with opened(data, tmp_path) as expression:
        assert expression.matrix_layout().dtype == "<f4"


def in_form(matrix: Any, folder: Path, form: str) -> Any:
    """A file of a matrix; or an AnnData with rows of dask, which are read by rows."""
    if form == "dense":
        return stored(matrix.toarray(), folder, "a.h5ad")
    if "rows" not in form:
        return stored(matrix.asformat(form), folder, "a.h5ad")
    lazy = da.from_array(matrix.toarray(), chunks=(40, matrix.shape[1]))
    if form == "rows":
        lazy = lazy.map_blocks(sparse.csr_matrix, dtype=matrix.dtype)
    return with_points(lazy)


@pytest.mark.parametrize("form", ["rows", "dense rows"])
def test_rows_of_dask(tmp_path: Path, form: str) -> None:
    matrix = some("f4")
    check_x(in_form(matrix, tmp_path, form), tmp_path)


@pytest.mark.parametrize("order", ["C", "F", "tall chunks", "wide chunks"])
def test_a_dense_matrix_in_any_order(
    tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of tall chunks columns are read, of others rows, to see whether values are whole."""
    monkeypatch.setattr(layout, "WHOLE", 100)  # a chunk has some of the cells
    dense = np.abs(some("i8", large=True)).toarray().astype("f8")
    if order == "F":
        check_x(with_points(np.asfortranarray(dense)), tmp_path)
        return
    path = stored(dense, tmp_path, "a.h5ad")
    chunks = {"C": None, "tall chunks": (150, 2), "wide chunks": (7, 23)}[order]
    store_anew(path, "X", **({"chunks": chunks} if chunks else {}))
    check_x(path, tmp_path)


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("form", ["csr", "csc", "dense", "rows", "dense rows"])
@pytest.mark.parametrize("dtype", ["f4", "i8", "u2"])
def test_kept_cells_and_chosen_genes(tmp_path: Path, form: str, dtype: str, index: bool) -> None:
    """NaN in cells and genes that are left out is none of its business."""
    matrix = some(dtype, large=dtype == "i8")
    points = np.ones((matrix.shape[0], 2), "f4")
    points[[0, 5, 6, 7, 60, 149]] = np.nan
    if dtype == "f4":
        matrix = matrix.tolil()
        matrix[6, :] = np.nan
        matrix[:, 8] = np.inf
        matrix = matrix.tocsr()
    if "rows" in form:
        data = in_form(matrix, tmp_path, form)
        data.obsm["X_umap_2d"] = points
    else:
        matrix = matrix.toarray() if form == "dense" else matrix.asformat(form)
        data = stored(matrix, tmp_path, "a.h5ad", points=points)
    chosen = {"genes": ["g7", "g2", "g3", "g22", "g0"], "drop_cells_without_embedding": True}
    check_x(data, tmp_path, index=index, **chosen)


@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_without_genes_and_without_values(tmp_path: Path, form: str) -> None:
    nothing = sparse.csr_matrix((30, 8), dtype="f4")
    nothing = nothing.toarray() if form == "dense" else nothing.asformat(form)
    check_x(stored(nothing, tmp_path, "a.h5ad"), tmp_path)
    no_genes = nothing[:, :0]
    check_x(stored(no_genes, tmp_path, "b.h5ad"), tmp_path)


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("n", [63, 64, 65, 128, 129])
def test_entries_that_end_at_the_edge_of_a_chunk(tmp_path: Path, form: str, n: int) -> None:
    """Also a gene of several chunks, and empty genes at every edge."""
    dense = np.zeros((n, 9), "f4")
    dense[:64, 1] = 1
    dense[:n, 4] = 2
    dense[0, 7] = 3
    for i, columns in enumerate((range(9), [1], [4], [0, 4, 8], [0, 8], [1, 4])):
        matrix = sparse.csr_matrix(dense[:, list(columns)]).asformat(form)
        (tmp_path / str(i)).mkdir()
        check_x(with_points(matrix), tmp_path / str(i))


@pytest.mark.parametrize("form", ["csr", "csc", "dense", "rows"])
def test_values_that_float32_shows_as_zero_are_dropped(tmp_path: Path, form: str) -> None:
    matrix = some("f8")
    matrix.data[::4] = 1e-60
    matrix.data[1::4] = -1e-60
    check_x(in_form(matrix, tmp_path, form), tmp_path)


@pytest.mark.parametrize("index", [True, False])
def test_without_the_native_library(
    tmp_path: Path, index: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, "0")
    check_x(stored(untidy("csr"), tmp_path, "a.h5ad"), tmp_path, index=index)


def test_chunks_need_little_time_to_make(tmp_path: Path) -> None:
    """Arrays of X have a fast codec; files never have."""
    with opened(stored(some("f4"), tmp_path, "a.h5ad"), tmp_path) as expression:
        nodes = store_nodes(expression)
        assert sorted(nodes) == ["X/data", "X/indices", "X/indptr"]
        assert all(node.fast for node in nodes.values())
