"""The graph of ready files: against scipy, in every layout, and in little memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multimodal import write_mudata
from ready_units import catalog_of, chunk_stores, read_array, run_units
from scipy import sparse

from cellucid_dask.exporter.checks.ready import graph as graph_check
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.checks.ready.graph import survey_graph
from cellucid_dask.exporter.planning import ready_memory
from cellucid_dask.exporter.stages.ready import csr_writer, graph
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.rows.row_selection import RowSelection
from cellucid_dask.source.select_cells import select_cells

N = 90
ROOM = 1 << 20


def symmetric(n: int = N, share: float = 0.1, dtype: str = "f4") -> sparse.csr_matrix:
    """A graph as scanpy makes it."""
    rng = np.random.default_rng(3)
    upper = np.triu(np.where(rng.random((n, n)) < share, rng.random((n, n)) + 0.01, 0), 1)
    return sparse.csr_matrix((upper + upper.T).astype(dtype))


def directed(n: int = N, dtype: str = "f8") -> sparse.csr_matrix:
    """Neighbors of each cell, itself among them; some are mutual, with other weights."""
    rng = np.random.default_rng(4)
    return sparse.csr_matrix(
        np.where(rng.random((n, n)) < 0.2, rng.random((n, n)), 0).astype(dtype)
    )


def reference(matrix: Any) -> sparse.csr_matrix:
    """What a ready file holds of a graph, by scipy."""
    made = sparse.csr_matrix(matrix).astype(np.float64)
    made.sum_duplicates()
    made.setdiag(0)
    made.eliminate_zeros()
    made = made.maximum(made.T).tocsr().astype(np.float32)
    made.sort_indices()
    return made


def atlas(matrix: Any) -> ad.AnnData:
    adata = ad.AnnData(obs=pd.DataFrame(index=[f"c{i}" for i in range(matrix.shape[0])]))
    adata.obsp["connectivities"] = matrix
    return adata


def survey(data: Any, modality: str | None = None, **options: Any) -> ReadyCatalog:
    catalog = catalog_of(data, modality)
    survey_graph(catalog.source, ExportOptions(**options), catalog)
    return catalog


def stored(
    catalog: ReadyCatalog, folder: Path, room: int = ROOM
) -> tuple[sparse.csr_matrix, dict[str, int]]:
    """The graph as it is stored, and the facts of its unit."""
    assert catalog.problems == []
    assert ready_memory.graph_bytes(catalog) > 0
    works = run_units(graph.graph_units(catalog, chunk_stores(folder), room))
    facts = dict(works[graph.PATH].facts)
    nodes = csr_writer.graph_nodes(graph.PATH, catalog.n_cells, facts["nnz"])
    data, indices, indptr = (
        read_array(works.values(), nodes[name]) for name in ("data", "indices", "indptr")
    )
    assert (data.dtype, indices.dtype, indptr.dtype) == (np.float32, np.int32, np.int32)
    assert list((folder / "scratch").glob("graph-*")) == []
    return sparse.csr_matrix((data, indices, indptr), (catalog.n_cells,) * 2), facts


def assert_equal(found: sparse.csr_matrix, expected: sparse.csr_matrix) -> None:
    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


LAYOUTS = ["csr", "csc", "dense"]


def laid_out(matrix: Any, layout: str) -> Any:
    return matrix.toarray() if layout == "dense" else matrix.asformat(layout)


@pytest.mark.parametrize("make", [symmetric, directed])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["", "a.h5ad", "a.zarr"])
def test_a_graph_of_any_layout_is_as_scipy_makes_it(
    tmp_path: Path, saved: Callable[..., Path], name: str, layout: str, make: Any
) -> None:
    adata = atlas(laid_out(make(), layout))
    catalog = survey(saved(adata, name) if name else adata)
    found, facts = stored(catalog, tmp_path)
    assert_equal(found, reference(make()))
    assert facts["nnz"] == found.nnz
    told = " ".join(catalog.warnings)
    assert ("is not symmetric" in told) == (make is directed)
    assert ("with themselves" in told) == (make is directed)


def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read few entries at a time, and write chunks of few."""
    for module in (csr_writer, graph):
        monkeypatch.setattr(module, "WHOLE", 64)
    monkeypatch.setattr("cellucid_dask.ready.layout.WHOLE", 64)
    monkeypatch.setattr(graph_check, "ENTRIES", 50)
    monkeypatch.setattr(graph, "ENTRIES", 50)
    monkeypatch.setattr(graph, "READ_CHUNKS", 2)
    monkeypatch.setattr(graph, "UNIT_CHUNKS", 3)


@pytest.mark.parametrize("make", [symmetric, directed])
@pytest.mark.parametrize("layout", ["csr", "dense"])
@pytest.mark.parametrize("room", [1, 48 * 100, ROOM])
def test_chunks_and_buckets_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, layout: str, room: int
) -> None:
    small_steps(monkeypatch)
    catalog = survey(atlas(laid_out(make(), layout)))
    assert_equal(stored(catalog, tmp_path, room)[0], reference(make()))


def test_a_sound_graph_is_cut_into_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_steps(monkeypatch)
    catalog = survey(atlas(symmetric()))
    units = graph.graph_units(catalog, chunk_stores(tmp_path), ROOM)
    n = -(-symmetric().nnz // 64)
    spans = [f"{graph.PATH}/{i}-{min(i + 3, n)}" for i in range(0, n, 3)]
    assert [unit.key for unit in units] == [graph.PATH, *spans]


def test_zeros_repeats_order_and_the_diagonal_are_put_right(tmp_path: Path) -> None:
    """The sum of what stands twice is made in float64, as the public writer does."""
    pairs = {
        (0, 1): [0.1, 0.2, 0.3],
        (2, 5): [0.0],
        (3, 4): [1e-3] * 5,
        (6, 6): [2.0],
        (7, 8): [1e8, *[1.0] * 8],  # whose sum in float32 depends on the order
    }
    entries = [
        (r, c, w)
        for (i, j), ws in pairs.items()
        for r, c, weights in ((j, i, ws), (i, j, ws[::-1]))
        for w in weights
    ]
    row, column, weights = zip(*sorted(entries, key=lambda e: (e[0], -e[1])), strict=True)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=N))])
    matrix = sparse.csr_matrix((np.array(weights, "f4"), np.array(column), indptr), (N, N))
    matrix.has_sorted_indices = matrix.has_canonical_format = False
    catalog = survey(atlas(matrix))
    assert not any("symmetric" in text for text in catalog.warnings)
    found, facts = stored(catalog, tmp_path)
    assert_equal(found, reference(matrix))
    assert found[0, 1] == np.float32(sum(map(float, np.array([0.1, 0.2, 0.3], "f4"))))
    assert facts == {"nnz": 6, "symmetrized": 0, "self_loops": 1}


def test_weights_of_one_direction_are_counted_and_taken_for_both(tmp_path: Path) -> None:
    dense = np.zeros((N, N))
    dense[1, 2] = dense[2, 1] = 1  # equal
    dense[3, 4], dense[4, 3] = 5, 7  # not
    dense[8, 5] = 2  # of one direction
    found, facts = stored(survey(atlas(sparse.csr_matrix(dense))), tmp_path)
    assert facts == {"nnz": 6, "symmetrized": 2, "self_loops": 0}
    assert found[3, 4] == found[4, 3] == 7
    assert found[5, 8] == found[8, 5] == 2


def test_equal_places_with_other_weights_are_not_symmetric() -> None:
    matrix = symmetric().toarray()
    row, column = np.argwhere(matrix)[0]
    matrix[row, column] = np.nextafter(matrix[row, column], np.float32(9))
    facts = survey(atlas(sparse.csr_matrix(matrix))).graph_facts
    assert facts is not None
    assert not facts.symmetric


@pytest.mark.parametrize(
    ("value", "what"),
    [(np.nan, "NaN, Inf or beyond"), (np.inf, "NaN, Inf or beyond"), (1e39, "beyond"), (-1, "neg")],
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_that_cannot_be_are_refused(value: float, what: str, layout: str) -> None:
    dense = symmetric(dtype="f8").toarray()
    dense[7, 9] = dense[9, 7] = value
    (problem,) = survey(atlas(laid_out(sparse.csr_matrix(dense), layout))).problems
    assert what in problem.what
    assert problem.what.startswith("2 weights")
    assert "(cells 7, 9)" in problem.what
    assert "--no-graph" in problem.fix


def test_a_weight_that_is_0_in_float32_stays_as_the_public_writer_keeps_it(tmp_path: Path) -> None:
    dense = np.zeros((N, N))
    dense[1, 2] = dense[2, 1] = 1e-50
    dense[1, 3] = dense[3, 1] = 1
    found, _ = stored(survey(atlas(sparse.csr_matrix(dense))), tmp_path)
    assert found.indices.tolist() == [2, 3, 1, 1]
    assert found.data.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("dtype", ["bool", "i8", "u1", "f2"])
def test_weights_of_any_type_become_float32(tmp_path: Path, dtype: str) -> None:
    dense = (symmetric().toarray() * 50).astype(dtype)
    given = dense if dtype == "f2" else sparse.csr_matrix(dense)
    expected = reference(dense.astype("f8"))
    assert_equal(stored(survey(atlas(given)), tmp_path)[0], expected)


@pytest.mark.parametrize("make", [symmetric, directed])
@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_a_graph_of_dask_is_read_by_blocks(tmp_path: Path, kind: str, make: Any) -> None:
    import dask.array as da

    blocks = da.from_array(make().toarray(), chunks=(20, N))
    lazy = blocks.map_blocks(sparse.csr_matrix) if kind == "csr" else blocks
    assert_equal(stored(survey(atlas(lazy)), tmp_path)[0], reference(make()))


def test_a_modality_has_its_own_graph(tmp_path: Path) -> None:
    own = atlas(symmetric())
    path = write_mudata(
        tmp_path / "m.h5mu", {"rna": own}, own.obs, obsp={"connectivities": directed()}
    )
    assert_equal(stored(survey(path, "rna"), tmp_path)[0], reference(symmetric()))
    whole = survey(path, "rna", graph="whole:connectivities")
    assert_equal(stored(whole, tmp_path)[0], reference(directed()))


@pytest.mark.parametrize("make", [symmetric, directed])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_graph_of_some_cells_holds_those(tmp_path: Path, layout: str, make: Any) -> None:
    source = catalog_of(atlas(laid_out(make(), layout))).source
    dropped = np.array([0, 17, 18, N - 1])
    chosen = select_cells(source, RowSelection(N, dropped))
    catalog = ReadyCatalog(chosen.n_cells, chosen)
    survey_graph(chosen, ExportOptions(), catalog)
    kept = np.delete(np.arange(N), dropped)
    assert_equal(stored(catalog, tmp_path)[0], reference(make()[kept][:, kept]))


@pytest.mark.parametrize("matrix", [sparse.csr_matrix((N, N)), sparse.eye(N, format="csr")])
def test_a_graph_without_edges_is_stored_empty(tmp_path: Path, matrix: Any) -> None:
    found, facts = stored(survey(atlas(matrix)), tmp_path)
    assert found.nnz == facts["nnz"] == 0


def test_no_graph_is_no_unit(tmp_path: Path) -> None:
    catalog = survey(atlas(symmetric()), connectivity=False)
    assert graph.graph_units(catalog, chunk_stores(tmp_path), ROOM) == []
    assert ready_memory.graph_bytes(catalog) == 0
    assert survey(ad.AnnData(np.ones((3, 1), "f4"))).graph is None


def test_another_graph_can_be_chosen(tmp_path: Path) -> None:
    adata = atlas(directed())
    adata.obsp["wnn"] = symmetric()
    assert_equal(stored(survey(adata, graph="wnn"), tmp_path)[0], reference(symmetric()))
    assert survey(adata, graph="none").problems[0].where == "--graph"


@settings(max_examples=60)
@given(
    entries=st.lists(
        st.tuples(st.integers(0, 7), st.integers(0, 7), st.sampled_from([0.0, 0.5, 1.0, 1e-3])),
        max_size=40,
    ),
    layout=st.sampled_from(["csr", "csc", "dense"]),
    mirror=st.booleans(),
    room=st.sampled_from([1, 200, ROOM]),
)
def test_any_graph_is_as_scipy_makes_it(
    tmp_path_factory: pytest.TempPathFactory,
    entries: list[tuple[int, int, float]],
    layout: str,
    room: int,
    *,
    mirror: bool,
) -> None:
    both = entries + [(j, i, w) for i, j, w in entries if i != j] if mirror else entries
    dense = np.zeros((8, 8))
    for i, j, weight in both:
        dense[i, j] += weight
    catalog = survey(atlas(laid_out(sparse.csr_matrix(dense), layout)))
    facts = catalog.graph_facts
    assert facts is not None
    assert facts.symmetric == np.array_equal(dense, dense.T)
    found, _ = stored(catalog, tmp_path_factory.mktemp("graph"), room)
    assert_equal(found, reference(dense))
