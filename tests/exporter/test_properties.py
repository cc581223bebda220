"""What must hold for any input, against plain numpy, scipy and the reference exporter."""

from __future__ import annotations

import gzip
import string
import tempfile
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from cellucid.prepare_data import (
    _compute_latent_space_quantiles,
    _quantize_continuous,
    _safe_filename_component,
)
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracle import assert_parity, make_atlas, silent
from scipy import sparse

from cellucid_dask import format as fmt
from cellucid_dask.compute.shared import share
from cellucid_dask.encode import encode_gene, encode_values, quantize, value_range
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.planning.cuts import cut_gene_blocks, cut_row_chunks, cut_spans
from cellucid_dask.exporter.stages.edges import write_edges
from cellucid_dask.exporter.stages.genes.transpose import transpose_chunk
from cellucid_dask.exporter.stages.obs.outliers import outlier_quantiles
from cellucid_dask.source.arrays import sparse_matrix
from cellucid_dask.source.arrays.matrix import wrap_matrix
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.store import Store

settings.register_profile("tests", max_examples=60, derandomize=True)
settings.load_profile("tests")

# As modules, for setattr.
edges, cuts = (
    import_module(f"cellucid_dask.exporter.{name}") for name in ("stages.edges", "planning.cuts")
)

BITS = st.sampled_from([8, 16])
FLOATS = st.floats(width=32)
VECTORS = hnp.arrays(np.float32, st.integers(1, 40), elements=FLOATS)


# ---------------------------------------------------------------------------- names and paths


@given(st.text(max_size=20))
@example("..a b/c..")
@example("Ünï")
@example("")
def test_safe_is_the_rule_of_the_oracle_and_changes_nothing_twice(key: str) -> None:
    assert fmt.safe(key) == _safe_filename_component(key)
    assert fmt.safe(fmt.safe(key)) == fmt.safe(key)


@st.composite
def resources(draw: st.DrawFn) -> fmt.Resource:
    """Any file of an export."""
    kind = draw(
        st.sampled_from(
            ["points", "embedding", "vectors", "values", "codes", "outliers", "gene", "src"]
        )
    )
    gz = draw(st.booleans())
    if kind == "src":
        return fmt.Resource(draw(st.sampled_from(["src", "dst"])), gz=gz)
    dim = draw(st.integers(1, 3))
    if kind == "points":
        return fmt.Resource(kind, dim=dim, gz=gz)
    name = fmt.safe(draw(st.text(string.ascii_letters + "._- 1é", max_size=12)))
    if kind in ("embedding", "vectors"):
        return fmt.Resource(kind, name, dim, gz=gz)
    exts = ["u8", "u16"] if kind == "codes" else ["f32", "u8", "u16"]
    return fmt.Resource(kind, name, ext=draw(st.sampled_from(exts)), gz=gz)


@given(resources())
@example(fmt.Resource("gene", "a.values.u8", ext="u16", gz=True))
@example(fmt.Resource("vectors", "x_1d.bin_2d", 3))
def test_parse_inverts_path(resource: fmt.Resource) -> None:
    assert fmt.parse(resource.path) == resource


@given(resources(), st.data())
def test_parse_refuses_every_other_spelling(resource: fmt.Resource, data: st.DataObject) -> None:
    path = resource.path
    at = data.draw(st.integers(0, len(path)))
    other = path[:at] + data.draw(st.sampled_from(["/", " ", "\n", "..", "é", "%41"])) + path[at:]
    try:
        assert fmt.parse(other).path == other
    except ValueError:
        return
    assert other.count("..") > path.count("..")  # dots within a name are fine


@pytest.mark.parametrize(
    "path", ["", "/points_2d.bin", "points_4d.bin", "var/../obs/x.values.u8", "obs/x.codes.f32",
             "obs/_x.values.u8", "var/x.values.u8.gz\n", "dataset_identity.json", "var/.values.u8"]
)  # fmt: skip
def test_no_path_of_an_export(path: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        fmt.parse(path)


@given(st.lists(st.text("aB_.*{} é", max_size=6)), st.sampled_from([8, 16, None]), st.booleans())
def test_paths_of_many_genes_are_those_of_each(ids: list[str], bits: int | None, gz: bool) -> None:
    ext = fmt.value_ext(bits)
    each = [fmt.Resource("gene", fmt.safe(gene), ext=ext, gz=gz).path for gene in ids]
    assert fmt.gene_paths(ids, bits, gz=gz) == each


@given(st.lists(st.text("aAbB_. é", max_size=3), unique=True, max_size=8))
def test_collisions_are_keys_of_one_file_name(keys: list[str]) -> None:
    groups = fmt.collisions(keys)
    together = {(a, b) for group in groups for a in group for b in group}
    assert together == {
        (a, b)
        for a in keys
        for b in keys
        if fmt.safe(a).lower() == fmt.safe(b).lower()
        and any(c != a and fmt.safe(c).lower() == fmt.safe(a).lower() for c in keys)
    }


# ------------------------------------------------------------------------------- quantization


def decode(payload: bytes, bits: int | None) -> np.ndarray:
    """The numbers in a payload."""
    return np.frombuffer(gzip.decompress(payload), fmt.value_dtype(bits))


@given(VECTORS, BITS)
def test_quantize_is_that_of_the_oracle(values: np.ndarray, bits: int) -> None:
    span = value_range(values)
    assume(not span.constant or abs(span.lo) < 2**53)  # the oracle divides by zero
    assume(span.hi - span.lo > 1e-30)  # the oracle multiplies by infinity
    codes, lo, hi, _, stats = silent(_quantize_continuous, values.copy(), bits)
    assert (span.lo, span.hi, span.n_nan, span.n_inf) == (lo, hi, stats["n_nan"], stats["n_inf"])
    np.testing.assert_array_equal(quantize(values, span, bits), codes)


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(-1000, 1000, width=32)), BITS)
def test_a_reader_is_within_one_step(values: np.ndarray, bits: int) -> None:
    span = value_range(values)
    top = fmt.CODES[bits].missing - 1
    step = (span.hi - span.lo) / top
    read = span.lo + quantize(values, span, bits) * step
    rounding = 2.0**-22 * max(abs(span.lo), abs(span.hi))  # of float32, up to two units
    assert np.abs(read - values).max() <= step + rounding


@given(VECTORS, BITS)
def test_codes_stay_within_their_range(values: np.ndarray, bits: int) -> None:
    """However small or large the values are."""
    codes = quantize(values, value_range(values), bits)
    np.testing.assert_array_equal(codes == fmt.CODES[bits].missing, ~np.isfinite(values))
    finite = np.isfinite(values)
    order = np.argsort(values[finite], kind="stable")
    assert (np.diff(codes[finite][order].astype(int)) >= 0).all()


@st.composite
def genes(draw: st.DrawFn) -> tuple[np.ndarray, list[tuple[int, Any, np.ndarray]]]:
    """A dense vector, and the same in sparse and dense pieces."""
    n = draw(st.integers(1, 40))
    elements = st.one_of(st.just(0.0), st.floats(width=32).filter(lambda v: v != 0))
    dense = draw(hnp.arrays(np.float32, n, elements=elements, fill=st.just(0.0)))
    cuts = [0, *sorted(draw(st.sets(st.integers(1, n), max_size=3))), n]
    pieces: list[tuple[int, Any, np.ndarray]] = []
    for start, stop in pairwise(cuts):
        part = dense[start:stop]
        if draw(st.booleans()):
            pieces.append((start, slice(0, part.size), part))
            continue
        explicit = draw(hnp.arrays(bool, part.size))  # zeros that are stored
        cells = np.flatnonzero((part != 0) | explicit)
        cells = np.asarray(draw(st.permutations(cells)), np.uint16)
        pieces.append((start, cells, part[cells]))
    return dense, pieces


@given(genes(), st.sampled_from([8, 16, None]))
def test_sparse_pieces_encode_as_the_dense_vector(gene: Any, bits: int | None) -> None:
    dense, pieces = gene
    whole = encode_values(dense, bits, 6)
    made = encode_gene(pieces, dense.size, bits, 6)
    assert made.span == whole.span
    np.testing.assert_array_equal(decode(made.payload, bits), decode(whole.payload, bits))


# --------------------------------------------------------------------------- plan and transpose


@given(hnp.arrays(np.int64, st.integers(0, 60), elements=st.integers(0, 50)), st.integers(1, 200))
def test_blocks_cover_every_gene_in_order(weights: np.ndarray, n_bytes: int) -> None:
    found = cut_gene_blocks(weights, n_bytes)
    assert [i for a, b in found for i in range(a, b)] == list(range(weights.size))
    for a, b in found:
        assert b - a == 1 or weights[a:b].sum() <= n_bytes


@given(st.integers(1, 50_000_000))
def test_spans_cover_every_cell_in_order(n_cells: int) -> None:
    found = cut_spans(n_cells)
    assert (found[0][0], found[-1][1]) == (0, n_cells)
    assert all(a[1] == b[0] for a, b in pairwise(found))
    assert all(a < b for a, b in found)
    assert len(found) <= 16


@st.composite
def sparse_matrices(draw: st.DrawFn, values: Any = None) -> sparse.csr_array:
    """Small CSR matrices; entries may be out of order, stored zeros, or stand twice."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 8)))
    counts = draw(hnp.arrays(np.int64, shape[0], elements=st.integers(0, 6)))
    nnz = int(counts.sum())
    indices = draw(hnp.arrays(np.int32, nnz, elements=st.integers(0, shape[1] - 1)))
    data = draw(hnp.arrays(np.float32, nnz, elements=values or st.integers(-3, 300)))
    return sparse.csr_array((data, indices, np.r_[0, np.cumsum(counts)]), shape=shape)


@given(sparse_matrices(), st.booleans(), st.lists(st.integers(0, 12), max_size=4), st.data())
def test_transposed_row_chunks_are_the_columns(
    rows: sparse.csr_array, dense: bool, cuts: list[int], data: st.DataObject
) -> None:
    n_cells, n_genes = rows.shape
    matrix = wrap_matrix(rows.toarray() if dense else rows, "X")
    bounds = sorted({0, n_cells, *(cut for cut in cuts if cut < n_cells)})
    chosen, kept = None, list(range(n_genes))
    if data.draw(st.booleans()):
        kept = list(data.draw(st.permutations(kept)))[: data.draw(st.integers(1, n_genes))]
        chosen = np.asarray(kept, np.int64)
    made = np.zeros((n_cells, len(kept)), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        genes = None if chosen is None else share(folder, "columns", chosen)
        spills = [transpose_chunk(matrix, a, b, genes, folder) for a, b in pairwise(bounds)]
        first = data.draw(st.integers(0, len(kept) - 1))
        for spill in spills:
            assert spill.counts().shape == (len(kept),)
            for part in (slice(0, first), slice(first, len(kept))):
                block = spill.read(part.start, part.stop)
                for i in range(part.stop - part.start):
                    start, cells, values = block.gene(i)
                    made[start:, part.start + i][cells] = values
    np.testing.assert_array_equal(made, rows.toarray()[:, kept])


@given(
    hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 9)),
    st.integers(1, 30),
    st.integers(1, 20),
    st.integers(1, 12),
)
def test_row_chunks_are_as_long_as_they_may_be(
    counts: np.ndarray, limit: int, most_rows: int, step: int
) -> None:
    """Also where a chunk spans several of the pieces in which indptr is read."""
    indptr = np.r_[0, np.cumsum(counts)]
    nnz = int(indptr[-1])
    matrix = wrap_matrix(
        sparse.csr_array(
            (np.ones(nnz, np.float32), np.zeros(nnz, np.int32), indptr), (counts.size, 1)
        ),
        "X",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuts, "CHUNK_NNZ", limit)
        patch.setattr(cuts, "CHUNK_ROWS", most_rows)
        patch.setattr(sparse_matrix, "INDPTR_STEP", step)
        found = cut_row_chunks(Genes(["g"], np.zeros(1, np.int64), matrix), 1 << 30)
    expected, start = [], 0
    while start < counts.size:
        stop = start + 1
        while (
            stop < counts.size
            and stop - start < most_rows
            and indptr[stop + 1] - indptr[start] <= limit
        ):
            stop += 1
        expected.append((start, stop))
        start = stop
    assert list(found) == expected


# -------------------------------------------------------------------------------------- edges


@st.composite
def square_matrices(draw: st.DrawFn) -> sparse.csr_array:
    """Directed graphs with loops, stored zeros, repeated and cancelling entries."""
    n = draw(st.integers(1, 12))
    pairs = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=40))
    rows, columns = np.asarray(pairs, int).reshape(-1, 2).T
    values = draw(
        hnp.arrays(np.float64, rows.size, elements=st.sampled_from([0, 0.5, 1, -1, -0.5]))
    )
    order = np.argsort(rows, kind="stable")
    indptr = np.r_[0, np.cumsum(np.bincount(rows, minlength=n))]
    return sparse.csr_array((values[order], columns[order], indptr), shape=(n, n))


@given(
    square_matrices(), st.sampled_from(["csr", "csc", "dense"]), st.sampled_from([64, 500, 1 << 30])
)
def test_edges_are_the_pairs_that_scipy_finds(
    graph: sparse.csr_array, layout: str, room: int
) -> None:
    """In buckets on disk or in memory, read a few entries at a time."""
    dense = graph.toarray()
    linked = (dense + dense.T) != 0
    given_graph = dense if layout == "dense" else graph.tocsc() if layout == "csc" else graph
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(edges, "CHUNK", 7)
        for name in ("scratch", "parts"):
            Path(folder, name).mkdir()
        Path(folder, "export", "connectivity").mkdir(parents=True)
        matrix = wrap_matrix(given_graph, "obsp")
        made = write_edges(f"{folder}/export", f"{folder}/scratch", matrix, 0, room)
        source, target = (
            np.fromfile(Path(folder, "export", receipt.path), np.uint16)
            for receipt in made.receipts
        )
    expected = np.nonzero(np.triu(linked, 1))
    np.testing.assert_array_equal(np.stack([source, target]), np.stack(expected))
    assert (made.n_edges, made.max_neighbors) == (source.size, linked.sum(axis=1).max())


# ----------------------------------------------------------------------------------------- obs


def column_values(n: int) -> st.SearchStrategy[Any]:
    """A column of `n` rows of any kind."""
    words = st.sampled_from(["b", "a", "Z", "é", "10", "9", ""])
    missing = st.none() | words
    strategies: Sequence[st.SearchStrategy[Any]] = (
        st.lists(words, min_size=n, max_size=n).map(lambda v: np.asarray(v, object)),
        st.lists(missing, min_size=n, max_size=n).map(pd.Categorical),
        st.lists(st.none() | st.booleans(), min_size=n, max_size=n).map(
            lambda v: pd.array(v, "boolean")
        ),
        st.lists(missing, min_size=n, max_size=n).map(lambda v: pd.array(v, "string")),
        hnp.arrays(st.sampled_from([np.int8, np.uint16, np.int64, bool]), n),
        hnp.arrays(np.float64, n, elements=st.floats(-1e30, 1e30) | st.just(np.nan)),
        hnp.arrays(np.float32, n, elements=st.floats(width=32, allow_subnormal=False)),
        st.permutations(range(5)).flatmap(
            lambda order: st.lists(st.integers(-1, 4), min_size=n, max_size=n).map(
                lambda codes: pd.Categorical.from_codes(codes, list(order))
            )
        ),
    )
    return st.one_of(*strategies)


@settings(max_examples=25)
@given(
    st.dictionaries(
        st.sampled_from(["a b", "c/d", "e", "ü1", "f."]), column_values(24), min_size=1
    ),
    st.sampled_from([8, 16, None]),
)
def test_obs_frames_are_exported_as_by_the_oracle(table: dict[str, Any], bits: int | None) -> None:
    atlas = make_atlas(24)
    adata = AnnData(
        obs=pd.DataFrame(table, index=atlas.obs_names),
        obsm={key: atlas.obsm[key] for key in ("X_pca", "X_umap_2d")},
    )
    with tempfile.TemporaryDirectory() as folder:
        assert_parity(Path(folder), adata, obs_quantization=bits, centroid_min_points=4)


@given(
    st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 6)), min_size=1, max_size=25),
    st.integers(1, 8),
)
def test_outlier_quantiles_are_those_of_the_oracle(
    half: list[tuple[int, int]], min_points: int
) -> None:
    """On whole numbers that lie evenly around 0, so that the oracle's distances are exact."""
    codes = np.asarray([code for code, _ in half for _ in range(2)])
    place = np.asarray([[sign * x] for _, x in half for sign in (1, -1)], np.float32)
    expected = _compute_latent_space_quantiles(place, codes, list("abcd"), min_points)
    stored = np.where(codes < 0, fmt.U16.missing, codes).astype(np.uint16)
    counts = np.bincount(codes[codes >= 0], minlength=4)
    made = outlier_quantiles(stored, np.abs(place[:, 0]), counts, min_points)
    np.testing.assert_array_equal(made, expected)


# ------------------------------------------------------------------------------------- reading


@given(
    hnp.arrays(st.sampled_from([np.float32, np.int64, np.uint8]), st.integers(0, 60)),
    st.integers(1, 20),
    st.sampled_from([{}, {"shuffle": True}, {"fletcher32": True}]),
    st.slices(60),
)
def test_a_part_of_a_gzip_dataset_is_what_hdf5_reads(
    values: np.ndarray, chunk: int, how: dict[str, Any], part: slice
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.h5")
        with h5py.File(path, "w") as file:
            made = file.create_dataset(
                "a", data=values, chunks=(chunk,), maxshape=(None,), compression="gzip", **how
            )
            array = FileArray.of(Store(str(path), "hdf5"), "a", made)
        rows = slice(part.start, part.stop)
        np.testing.assert_array_equal(array[rows], values[rows], strict=True)
