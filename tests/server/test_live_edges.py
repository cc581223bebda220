"""Edges of graphs of every kind, as an export writes them and a server gives them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from comparing import LAYOUTS, LIVE
from hypothesis import example, given, settings
from hypothesis import strategies as st
from layouts import laid_out
from live_inputs import graphs
from numpy.typing import NDArray
from oracle import make_atlas, read_export
from scipy import sparse

from cellucid_dask import export
from cellucid_dask.exporter.stages import edges
from cellucid_dask.source.arrays.matrix import wrap_matrix

Save = Callable[..., Path]
Made = tuple[Any, dict[str, Any]]  # what is served, and options of it
GENE = "var/gene0.values.f32"


# ------------------------------------------------------------------------- edges, any graph


def plain_edges(dense: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], int]:
    """Pairs of cells where the graph and its transpose add up to anything but 0."""
    linked = dense + dense.T != 0
    source, target = np.nonzero(np.triu(linked, 1))
    return source, target, int(linked.sum(axis=1).max(initial=0))


@st.composite
def nearly_symmetric(draw: st.DrawFn) -> NDArray[Any]:
    """A dense symmetric positive graph of small whole numbers, with a few entries changed."""
    n = draw(st.integers(1, 14))
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))
    graph = np.zeros((n, n))
    for (i, j), weight in draw(st.dictionaries(pairs, st.integers(1, 3), max_size=30)).items():
        graph[i, j] = graph[j, i] = weight
    values = st.sampled_from([0, 0, 1, 2, -1, -2, 3])
    for (i, j), weight in draw(st.dictionaries(pairs, values, max_size=3)).items():
        graph[i, j] = weight
    return graph


def loosely(dense: NDArray[Any], layout: str, rng: np.random.Generator) -> Any:
    """A sparse matrix of the same sums: shuffled, with entries in two parts and stored zeros."""
    i, j = np.nonzero(dense)
    values = dense[i, j]
    extra = rng.integers(0, dense.shape[0], (2, 3))
    rows = np.concatenate([i, i, extra[0]])
    cells = np.concatenate([j, j, extra[1]])
    data = np.concatenate([values - 5, np.full(i.size, 5.0), np.zeros(3)])
    order = rng.permutation(rows.size)
    rows, cells, data = rows[order], cells[order], data[order]
    if layout == "csc":
        rows, cells = cells, rows
    order = np.argsort(rows, kind="stable")
    kind = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}[layout]
    made = kind(dense.shape)
    made.data, made.indices = data[order], cells[order].astype(np.int32)
    made.indptr = np.searchsorted(rows[order], np.arange(dense.shape[0] + 1)).astype(np.int32)
    return made


@settings(max_examples=150, derandomize=True)  # fmt: skip
@given(
    nearly_symmetric(),
    st.sampled_from(["csr", "csc", "dense", "loose csr", "loose csc"]),
    st.sampled_from([1, 3, 1_000_000]),
    st.sampled_from([100, 10**9]),
    st.sampled_from(["f8", "f4", "i8", "i1"]),
)
@example(np.ones((3, 3)), "csr", 1, 100, "f8")
@example(np.zeros((1, 1)), "csr", 1, 100, "f8")
@example(np.asarray([[0, 1, 0], [1, 0, 0], [0, 1, 0.0]]), "csr", 1, 100, "f4")
@example(np.asarray([[0, 2, 1], [-2, 0, 0], [1, 0, 0.0]]), "csc", 1, 100, "i1")
def test_edges_of_nearly_symmetric_graphs(
    dense: NDArray[Any], layout: str, chunk: int, room: int, dtype: str
) -> None:
    """Both ways of finding edges, whatever the pieces that the graph is read in."""
    rng = np.random.default_rng(0)
    dense = dense.astype(dtype)
    if layout == "dense":
        graph: Any = dense
    elif layout.startswith("loose"):
        graph = loosely(dense.astype(float), layout.split()[1], rng).astype(dtype)
    else:
        graph = laid_out(dense, layout)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name, "export")
        for needed in (folder / "connectivity", Path(name, "parts")):
            needed.mkdir(parents=True)
        patch.setattr(edges, "CHUNK", chunk)
        made = edges.write_edges(str(folder), name, wrap_matrix(graph, "obsp"), 0, room)
        found = [np.fromfile(folder / f"connectivity/edges.{e}.bin", "<u2") for e in ("src", "dst")]
    source, target, most = plain_edges(dense.astype(float))
    np.testing.assert_array_equal(found[0], source)
    np.testing.assert_array_equal(found[1], target)
    assert (made.n_edges, made.max_neighbors) == (source.size, most)


def _blocks(graph: Any, kind: Callable[[Any], Any], step: int = 60) -> da.Array:
    parts = [da.from_array(kind(graph[i : i + step]), chunks=-1, asarray=False)
             for i in range(0, graph.shape[0], step)]  # fmt: skip
    return da.concatenate(parts)


def _backwards(rows: Any) -> Any:
    """The same rows, each with its entries in falling order."""
    made = sparse.csr_matrix(rows)
    for part in (made.indices, made.data):
        part[:] = np.concatenate([a[::-1] for a in np.split(part, made.indptr[1:-1])])
    made.has_sorted_indices = False
    return made


def _in_halves(rows: Any) -> Any:
    """The same rows, each entry in two parts."""
    made = sparse.csr_matrix(rows)
    halves = sparse.csr_matrix(made.shape)
    halves.data, halves.indices = np.repeat(made.data / 2, 2), np.repeat(made.indices, 2)
    halves.indptr = made.indptr * 2
    halves.has_canonical_format = False
    return halves


@pytest.mark.parametrize(
    "kind",
    [sparse.csr_matrix, sparse.csc_matrix, lambda rows: rows.toarray(), _backwards, _in_halves],
    ids=["csr", "csc", "dense", "unsorted", "in halves"],
)
@pytest.mark.parametrize("name", ["symmetric", "one way", "loops", "explicit zeros"])
def test_edges_of_a_lazy_graph(tmp_path: Path, name: str, kind: Callable[[Any], Any]) -> None:
    """Of an AnnData in memory whose graph is a dask array, with blocks of any kind."""
    graph = sparse.csr_matrix(graphs()[name])
    atlas = make_atlas(n_genes=2)
    atlas.obsp["connectivities"] = _blocks(graph, kind)
    export(atlas, tmp_path / "out", quiet=True, expression=False, **LIVE)
    assert_edges(tmp_path / "out", graph.toarray())


def assert_edges(out: Path, dense: NDArray[Any]) -> None:
    """Compare the edges of an export with those of a dense graph."""
    made = read_export(out)
    source, target, most = plain_edges(dense)
    np.testing.assert_array_equal(made.arrays["connectivity/edges.src.bin"], source)
    np.testing.assert_array_equal(made.arrays["connectivity/edges.dst.bin"], target)
    manifest = made.manifests["connectivity_manifest.json"]
    assert (manifest["n_edges"], manifest["max_neighbors"]) == (source.size, most)


@pytest.mark.parametrize("name", graphs())
def test_edges_of_every_kind_of_graph(tmp_path: Path, name: str) -> None:
    graph = graphs()[name]
    atlas = make_atlas(n_genes=2)
    atlas.obsp["connectivities"] = graph
    export(atlas, tmp_path / "out", quiet=True, expression=False, **LIVE)
    dense = graph if isinstance(graph, np.ndarray) else graph.toarray()
    assert_edges(tmp_path / "out", dense.astype(float))


@pytest.mark.parametrize("low", [np.nan, np.inf, -np.inf, 0.0, 1.0])
@pytest.mark.parametrize("high", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_edges(tmp_path: Path, low: float, high: float) -> None:
    """Also inf opposite to -inf, whose sum is no number but not 0 either."""
    rows, cells = [1, 2, 5, 6, 9], [2, 1, 6, 5, 9]
    graph = sparse.csr_matrix(([low, high, 1.0, 2.0, 1.0], (rows, cells)), shape=(220, 220))
    atlas = make_atlas(n_genes=2)
    atlas.obsp["connectivities"] = graph
    export(atlas, tmp_path / "out", quiet=True, expression=False, **LIVE)
    made = read_export(tmp_path / "out").arrays
    pairs = [made[f"connectivity/edges.{end}.bin"].tolist() for end in ("src", "dst")]
    assert pairs == [[1, 5], [2, 6]]


@pytest.mark.parametrize("dtype", ["u1", "i1", "u8", "i8", "f4"])
def test_weights_whose_sum_is_beyond_their_type_are_edges(tmp_path: Path, dtype: str) -> None:
    kind = np.dtype(dtype)
    large = 1e38 * 3 if kind.kind == "f" else np.iinfo(kind).max // 2 + 1
    dense = np.zeros((220, 220), kind)
    dense[1, 2] = dense[2, 1] = dense[3, 4] = dense[7, 7] = large
    atlas = make_atlas(n_genes=2)
    for name, graph in (("both", dense), ("one", np.triu(dense))):
        atlas.obsp["connectivities"] = sparse.csr_matrix(graph)
        export(atlas, tmp_path / name, quiet=True, expression=False, **LIVE)
        assert_edges(tmp_path / name, (graph != 0).astype(float))


def test_a_symmetric_graph_in_a_file_that_is_read_in_pieces(
    tmp_path: Path, saved: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    atlas = make_atlas(60, n_genes=2)
    graph = graphs(60)["symmetric"]
    for layout in LAYOUTS:
        atlas.obsp["connectivities"] = laid_out(graph, layout)
        path = saved(atlas, f"{layout}.h5ad")
        for chunk in (7, 50):
            monkeypatch.setattr(edges, "CHUNK", chunk)
            out = tmp_path / f"{layout}-{chunk}"
            export(path, out, quiet=True, workers=1, expression=False, **LIVE)
            assert_edges(out, graph.toarray())


def test_more_cells_than_two_bytes_count(tmp_path: Path) -> None:
    n = 65_536
    rng = np.random.default_rng(4)
    ends = rng.integers(0, n, (2, 3 * n))
    graph = sparse.csr_matrix((np.ones(3 * n), ends), shape=(n, n))
    graph = sparse.csr_matrix(graph + graph.T)
    atlas = AnnData(obs=pd.DataFrame(index=np.arange(n).astype(str)))
    atlas.obsm["X_umap_2d"] = rng.normal(size=(n, 2))
    atlas.obsp["connectivities"] = graph
    export(atlas, tmp_path / "out", quiet=True, **LIVE)
    made = read_export(tmp_path / "out")
    upper = sparse.triu(graph, 1, "csr").tocoo()
    assert made.manifests["connectivity_manifest.json"]["index_dtype"] == "uint32"
    np.testing.assert_array_equal(made.arrays["connectivity/edges.src.bin"], upper.row)
    np.testing.assert_array_equal(made.arrays["connectivity/edges.dst.bin"], upper.col)
    most = made.manifests["connectivity_manifest.json"]["max_neighbors"]
    assert most == np.diff(graph.indptr).max()
