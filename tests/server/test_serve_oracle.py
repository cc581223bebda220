"""What live data answers is what an export of it holds, and what the reference server answers.

Every path of an export is asked for in every coding and compared byte by byte.
"""

from __future__ import annotations

import gzip
import http.client
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from copy import deepcopy
from pathlib import Path
from typing import Any

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from comparing import LAYOUTS, LIVE, assert_alike, assert_serves, export_of, index_state
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from layouts import columns, laid_out, store_anew, untidy
from numpy.typing import NDArray
from oracle import (
    CREATED,
    assert_same_bits,
    assert_same_centroids,
    make_atlas,
    read_export,
    silent,
)
from scipy import sparse
from serving import SECONDS, Client, serving, wait_until
from versions import write_zarr

from cellucid_dask import AnnDataServer, CellucidDaskError, CellucidServer, check, export
from cellucid_dask.exporter.stages import edges
from cellucid_dask.source.arrays.matrix import matrix_in_memory

Save = Callable[..., Path]
Made = tuple[Any, dict[str, Any]]  # what is served, and options of it
GENE = "var/gene0.values.f32"


# ------------------------------------------------------------------ served and exported alike


# ------------------------------------------------------------------------------------ inputs


def rich(layout: str = "csr") -> AnnData:
    """An atlas with layers, raw, other ids of genes, an embedding and a graph by other names."""
    atlas = make_atlas(n_genes=14)
    atlas.X = laid_out(atlas.X, layout)
    atlas.layers["counts"] = laid_out(atlas.X, layout)
    atlas.layers["counts"] *= 3
    atlas.raw = atlas.copy()
    atlas.obsm["X_tsne"] = np.asarray(atlas.obsm["X_pca"][:, :2] * [3, -1])
    atlas.obsm["drift_umap_3d"] = atlas.obsm["X_pca"][:, 1:4] * 0.1
    atlas.obsp["distances"] = sparse.csr_matrix(make_atlas(seed=3).obsp["connectivities"])
    return atlas


def _file(folder: Path, atlas: AnnData) -> Path:
    path = folder / "atlas.h5ad"
    silent(atlas.write_h5ad, path)
    return path


def _h5ad(layout: str, **how: Any) -> Callable[[Path, ExitStack], Any]:
    def make(folder: Path, _: ExitStack) -> Any:
        path = _file(folder, rich(layout))
        if how:
            keys = ["X"] if layout == "dense" else ["X/data", "X/indices"]
            store_anew(path, *keys, **how)
        return path

    return make


def _in_memory(layout: str) -> Callable[[Path, ExitStack], Any]:
    return lambda *_: rich(layout)


def _dask(blocks: Callable[[Any], Any]) -> Callable[[Path, ExitStack], Any]:
    def make(*_: Any) -> Any:
        atlas, x = make_atlas(), make_atlas().X
        parts = [da.from_array(blocks(x[i : i + 64]), chunks=-1, asarray=False)
                 for i in range(0, 220, 64)]  # fmt: skip
        atlas.X = da.concatenate(parts)
        return atlas

    return make


def _backed(layout: str) -> Callable[[Path, ExitStack], Any]:
    def make(folder: Path, stack: ExitStack) -> Any:
        adata = ad.read_h5ad(_file(folder, rich(layout)), backed="r")
        stack.enter_context(closing(adata.file))
        return adata

    return make


def _untidy(layout: str, where: str) -> Callable[[Path, ExitStack], Any]:
    def make(folder: Path, _: ExitStack) -> Any:
        atlas = make_atlas()
        atlas.X = untidy(layout)
        return _file(folder, atlas) if where == "file" else atlas

    return make


def _wild(layout: str) -> Callable[[Path, ExitStack], Any]:
    """NaN, infinities, genes of nothing else, constants and -0.0."""

    def make(folder: Path, _: ExitStack) -> Any:
        atlas = make_atlas()
        x = atlas.X.toarray()
        x[::3, 1], x[::4, 2], x[1::4, 2], x[:, 3] = np.nan, np.inf, -np.inf, np.nan
        x[:, 4], x[:, 5], x[:, 6], x[::2, 7] = np.inf, 0, -3.5, -0.0
        x[:, 8] = np.where(np.arange(220) % 2, np.nan, np.inf)
        x[5, 9] = 3e38
        atlas.X = laid_out(x, layout)
        return _file(folder, atlas)

    return make


def _obs(where: str) -> Callable[[Path, ExitStack], Any]:
    def make(folder: Path, _: ExitStack) -> Any:
        atlas = make_atlas(n_genes=3)
        table = columns()
        table["days"] = pd.date_range("2020-01-01", periods=220, freq="D").floor("7D")
        if where == "file":
            del table["days"]
        atlas.obs = pd.DataFrame(table, index=atlas.obs_names)
        path = folder / "atlas.h5ad"
        if where == "memory":
            return atlas
        with ad.settings.override(allow_write_nullable_strings=True):
            silent(atlas.write_h5ad, path)
        return path

    return make


def _graph(name: str) -> Callable[[Path, ExitStack], Any]:
    def make(folder: Path, _: ExitStack) -> Any:
        atlas = make_atlas(n_genes=3)
        atlas.obsp["connectivities"] = graphs()[name]
        return _file(folder, atlas)

    return make


def graphs(n: int = 220) -> dict[str, Any]:
    """Graphs of every kind."""
    one_way = sparse.csr_matrix(make_atlas(n).obsp["connectivities"])
    both = sparse.csr_matrix(one_way + one_way.T)
    zeros, negative, loops = both.copy(), both.copy(), sparse.lil_matrix(both)
    zeros.data[::7] = 0
    negative.data[::5] *= -1
    loops.setdiag(np.arange(n) % 3)
    cancelling = sparse.csr_matrix(one_way - one_way.T)
    nearly = sparse.lil_matrix(both)
    row, column = (int(part[0]) for part in both.nonzero())
    nearly[row, column] = 0
    return {
        "one way": one_way,
        "symmetric": both,
        "symmetric csc": sparse.csc_matrix(both),
        "dense": both.toarray(),
        "explicit zeros": zeros,
        "negative": negative,
        "loops": sparse.csr_matrix(loops),
        "cancelling": cancelling,
        "nearly symmetric": sparse.csr_matrix(nearly),
        "no edge": sparse.csr_matrix((n, n)),
        "bool": both.astype(bool),
    }


INPUTS: dict[str, Callable[[Path, ExitStack], Any]] = {
    **{f"h5ad {layout}": _h5ad(layout) for layout in LAYOUTS},
    "h5ad csr gzip": _h5ad("csr", chunks=(97,), compression="gzip", shuffle=True),
    "h5ad csc gzip": _h5ad("csc", chunks=(97,), compression="gzip"),
    "h5ad dense tiles": _h5ad("dense", chunks=(50, 7), compression="gzip"),
    "h5ad dense columns": _h5ad("dense", chunks=(220, 1)),
    **{f"memory {layout}": _in_memory(layout) for layout in LAYOUTS},
    "dask dense": _dask(lambda rows: rows.toarray()),
    "dask csr": _dask(sparse.csr_array),
    **{f"backed {layout}": _backed(layout) for layout in LAYOUTS},
    **{f"untidy {x} {w}": _untidy(x, w) for x in ("csr", "csc") for w in ("file", "memory")},
    **{f"wild {layout}": _wild(layout) for layout in LAYOUTS},
}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as held:
        yield held


@pytest.mark.parametrize("name", INPUTS)
def test_every_answer_is_what_an_export_holds(tmp_path: Path, stack: ExitStack, name: str) -> None:
    assert_alike(INPUTS[name](tmp_path, stack), tmp_path, {})


QUANTIZED = [
    ("h5ad csr", 8),
    ("h5ad csr", 16),
    ("h5ad csc gzip", 8),
    ("h5ad csc gzip", 16),
    ("h5ad dense tiles", 8),
    ("memory csr", 16),
    ("dask csr", 8),
    ("backed dense", 16),
    ("untidy csr file", 8),
    ("untidy csc memory", 16),
    ("wild csr", 8),
    ("wild csc", 8),
    ("wild dense", 16),
]


@pytest.mark.parametrize(("name", "bits"), QUANTIZED)
def test_quantized_answers_are_what_a_quantized_export_holds(
    tmp_path: Path, stack: ExitStack, name: str, bits: int
) -> None:
    assert_alike(INPUTS[name](tmp_path, stack), tmp_path, {}, bits=bits)


@pytest.mark.parametrize(("ending", "bits"), [("h5ad", None), ("zarr", 8), ("zarr.zip", None)])
def test_data_read_whole_before_they_are_served(
    tmp_path: Path, ending: str, bits: int | None
) -> None:
    """They keep the name of their file."""
    path = tmp_path / f"atlas.{ending}"
    if ending == "h5ad":
        silent(rich().write_h5ad, path)
    else:
        write_zarr(rich(), path)
    assert_alike(path, tmp_path, {}, bits=bits, backed=False)


OPTIONS: dict[str, dict[str, Any]] = {
    "layer": {"layer": "counts"},
    "raw": {"raw": True},
    "ids of a column": {"gene_id_column": "symbol"},
    "another embedding": {"embeddings": {2: "X_tsne"}},
    "another graph": {"graph": "distances"},
    "no graph": {"connectivity": False},
    "no vectors": {"vectors": False},
    "no genes": {"expression": False},
    "some genes": {"genes": ("gene13", "gene0", "gene7")},
    "some columns": {"obs_keys": ("score", "rare")},
    "another latent space": {"latent_key": "X_umap_3d"},
    "wide codes": {"categorical_dtype": "uint16"},
    "no centroids": {"centroid_quantile": None},
    "other centroids": {"centroid_quantile": 0.6, "centroid_min_points": 2},
    "other words": {"dataset_name": "Ätlas of all", "dataset_id": "x.y", "description": "d",
                    "source_name": "s", "source_url": "https://x.org", "citation": "c"},
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_an_export_are_options_of_a_server(
    tmp_path: Path, saved: Save, name: str
) -> None:
    assert_alike(saved(rich()), tmp_path, OPTIONS[name])


@pytest.mark.parametrize("layout", ["csc", "dense"])
@pytest.mark.parametrize("bits", [None, 8])
def test_some_genes_of_other_layouts(
    tmp_path: Path, saved: Save, layout: str, bits: int | None
) -> None:
    assert_alike(saved(rich(layout)), tmp_path, OPTIONS["some genes"], bits=bits)


def test_renamed_duplicates(tmp_path: Path, saved: Save) -> None:
    atlas = rich()
    atlas.var_names = ["A", "A", "B", "A-1", "B", *atlas.var_names[5:]]
    path = saved(atlas)
    assert_alike(path, tmp_path, {"rename_duplicates": True}, bits=16)
    with pytest.raises(CellucidDaskError, match="not unique"):
        CellucidServer(path, quiet=True, cache_dir=tmp_path)


@pytest.mark.parametrize("where", ["file", "memory"])
@pytest.mark.parametrize("bits", [None, 8])
def test_columns_of_every_kind(
    tmp_path: Path, stack: ExitStack, where: str, bits: int | None
) -> None:
    assert_alike(_obs(where)(tmp_path, stack), tmp_path, {}, bits=bits)


@pytest.mark.parametrize("name", graphs())
def test_graphs_of_every_kind(tmp_path: Path, stack: ExitStack, name: str) -> None:
    assert_alike(_graph(name)(tmp_path, stack), tmp_path, {"expression": False})


REAL: list[tuple[str, dict[str, Any], int | None]] = [
    ("pbmc68k_reduced.h5ad", {}, None),
    ("pbmc68k_reduced.h5ad", {"raw": True}, 8),
    ("cellrank_50.h5ad", {}, None),
    ("cellrank_50.h5ad", {"layer": "spliced"}, 16),
]


@pytest.mark.parametrize(("name", "options", "bits"), REAL)
def test_real_files(
    tmp_path: Path,
    real_file: Callable[[str], Path],
    name: str,
    options: dict[str, Any],
    bits: int | None,
) -> None:
    assert_alike(real_file(name), tmp_path, options, bits=bits)


@pytest.mark.parametrize("bits", [None, 8])
def test_without_an_index_and_with_one_that_is_there(
    tmp_path: Path, saved: Save, bits: int | None
) -> None:
    path, cache = saved(rich()), tmp_path / "cache"
    files = export_of(path, tmp_path / "export", bits=bits, dataset_name="atlas")
    options: dict[str, Any] = {"cache_dir": cache, "created_at": CREATED, "quantize": bits}
    with serving(path, index=False, **options) as server:
        assert_serves(server, files)
        assert index_state(server) == "off"
    assert not cache.exists(), "--no-index writes nothing"
    with serving(path, **options) as server:
        wait_until(lambda: index_state(server) == "ready", "the index is never ready")
    with serving(path, **options) as server:
        assert index_state(server) == "ready", "it is found again"
        assert_serves(server, files)


def test_genes_while_the_index_is_built(tmp_path: Path) -> None:
    """Asked for from the first moment on; at least some come before the index is there."""
    rng = np.random.default_rng(1)
    n_cells, n_genes = 30_000, 800
    x = sparse.random_array((n_cells, n_genes), density=0.1, rng=rng, dtype="f4", format="csr")
    atlas = AnnData(sparse.csr_matrix(x), obsm={"X_umap_2d": rng.normal(size=(n_cells, 2))})
    atlas.var_names = [f"g{i}" for i in range(n_genes)]
    path = _file(tmp_path, atlas)
    truth = laid_out(x, "dense")
    states = []
    with (
        serving(path, cache_dir=tmp_path / "cache", cache_size="16MB") as server,
        Client(server) as get,
    ):
        for i in range(10_000):
            gene = int(rng.integers(n_genes))
            state = json.loads(get("/_cellucid/info").body)["index"]["state"]
            answer = get(f"/var/g{gene}.values.f32")
            assert answer.body == truth[:, gene].tobytes(), (i, gene, state)
            states.append(state)
            if states.count("ready") > 20:
                break
    assert set(states) <= {"waiting", "building", "ready"}
    assert states.count("ready") > 20
    assert states.count("ready") < len(states), "the index was there before the first gene"


def test_the_time_of_creation_is_that_of_the_start_and_stays(tmp_path: Path, saved: Save) -> None:
    path = saved(make_atlas())
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as get:
        first, again = (get("/dataset_identity.json") for _ in range(2))
        assert first.body == again.body
        identity = json.loads(first.body)
        names = {"created_at": identity["created_at"], "dataset_name": "atlas"}
        files = export_of(path, tmp_path / "export", **names)
        assert first.body == files["dataset_identity.json"]


def test_under_its_id_as_at_the_root(tmp_path: Path, saved: Save) -> None:
    path = saved(make_atlas(), "my atlas.h5ad")
    files = export_of(path, tmp_path / "export", dataset_name="my atlas")
    prefixed = {f"my_atlas/{name}": stored for name, stored in files.items()}
    with serving(path, cache_dir=tmp_path / "cache", created_at=CREATED) as server:
        assert_serves(server, prefixed)
        with Client(server) as get:
            assert get("/my%20atlas/points_2d.bin").status == 404
            assert get("/my_atlas/my_atlas/points_2d.bin").status == 404


# ------------------------------------------------------------------- what an export refuses


def _nan(atlas: AnnData) -> Any:
    atlas.obsm["X_umap_2d"][[3, 7], 1] = np.nan


def _no_embedding(atlas: AnnData) -> Any:
    for key in ("X_umap_2d", "X_umap_3d"):
        del atlas.obsm[key]


def _twice(atlas: AnnData) -> Any:
    atlas.var_names = ["A", "A", *atlas.var_names[2:]]


def _colliding_columns(atlas: AnnData) -> Any:
    atlas.obs["a b"] = atlas.obs["A_b"] = 1.0


def _colliding_genes(atlas: AnnData) -> Any:
    atlas.var_names = ["HLA-A", "hla-a", *atlas.var_names[2:]]


def _lists(atlas: AnnData) -> Any:
    atlas.obs["listed"] = [[1]] * atlas.n_obs


def _complex(atlas: AnnData) -> Any:
    atlas.obs["complex"] = np.arange(atlas.n_obs) * 1j


def _many_problems(atlas: AnnData) -> Any:
    for spoil in (_nan, _twice, _colliding_columns):
        spoil(atlas)


def _bad_vector(atlas: AnnData) -> Any:
    atlas.obsm["a b_umap"] = atlas.obsm["velocity_umap"]


def _nothing(_: AnnData) -> Any:
    """The options are wrong, not the data."""


REFUSED: dict[str, tuple[Callable[[AnnData], Any], dict[str, Any]]] = {
    "NaN in an embedding": (_nan, {}),
    "no embedding": (_no_embedding, {}),
    "duplicate genes": (_twice, {}),
    "colliding columns": (_colliding_columns, {}),
    "colliding genes": (_colliding_genes, {}),
    "columns of lists": (_lists, {}),
    "complex numbers": (_complex, {}),
    "vector field id": (_bad_vector, {}),
    "many problems": (_many_problems, {"obs_keys": ["grop"], "graph": "distances"}),
    "unknown column": (_nothing, {"obs_keys": ["grop"]}),
    "unknown gene": (_nothing, {"genes": ["gene1O", "gene2"]}),
    "unknown layer": (_nothing, {"layer": "count"}),
    "no raw": (_nothing, {"raw": True}),
    "unknown graph": (_nothing, {"graph": "connectivity"}),
    "unknown latent space": (_nothing, {"latent_key": "X_pcaa"}),
    "unknown embedding": (_nothing, {"embeddings": {2: "X_umap2d"}}),
    "embedding of another width": (_nothing, {"embeddings": {2: "X_umap_3d"}}),
    "no dimension": (_nothing, {"embeddings": {4: "X_umap_3d"}}),
    "unknown id column": (_nothing, {"gene_id_column": "symbl"}),
    "quantile": (_nothing, {"centroid_quantile": 2}),
    "quantile and data": (_many_problems, {"centroid_quantile": 2}),
    "dataset id": (_nothing, {"dataset_id": "a/b"}),
    "a time that is none": (_nothing, {"created_at": "soon"}),
    "layer and raw": (_nothing, {"layer": "counts", "raw": True}),
    "an option there is not": (_nothing, {"obs_kys": ["group"]}),
    "uint8 for too many": (_nothing, {"categorical_dtype": "uint8", "obs_keys": ["many"]}),
}


def problems_of(refuse: Callable[[], Any]) -> list[str]:
    """What a call that must be refused says."""
    with pytest.raises(CellucidDaskError) as caught:
        refuse()
    return [str(problem) for problem in caught.value.problems]


def problems_of_check(data: Any, **options: Any) -> list[str]:
    """What `check` finds, which raises where nothing can be opened at all."""
    try:
        found = check(data, **options)
    except CellucidDaskError as error:
        return [str(problem) for problem in error.problems]
    return [str(problem) for problem in found.problems]


def without_options(problems: list[str]) -> list[str]:
    """Problems without the list of options there are, which a server has more of."""
    return [text.partition("\n")[0] if "no such option" in text else text for text in problems]


CASES = [
    (name, where)
    for name in REFUSED
    for where in ("h5ad", "memory")
    if (name, where) != ("columns of lists", "h5ad")  # no file can hold it
]


@pytest.mark.parametrize(("name", "where"), CASES)
def test_what_an_export_refuses_is_refused_with_the_same_words(
    tmp_path: Path, saved: Save, temporary: Path, name: str, where: str
) -> None:
    spoil, options = REFUSED[name]
    atlas = make_atlas(300)
    atlas.obs["many"] = pd.Categorical(range(300))
    spoil(atlas)
    data = saved(atlas) if where == "h5ad" else atlas
    expected = problems_of_check(data, **options)
    assert expected
    cache = tmp_path / "cache"
    told = problems_of(lambda: CellucidServer(data, port=0, quiet=True, cache_dir=cache, **options))
    assert without_options(told) == without_options(expected)
    assert not cache.exists()
    assert list(temporary.iterdir()) == [], "nothing is left of a server that never was"


def _text(path: Path) -> None:
    path.write_text("cell,gene\n1,2\n" * 99)


def _other_hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["matrix"] = np.arange(3)


def _truncated(path: Path) -> None:
    silent(make_atlas().write_h5ad, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 5])


def _transposed(path: Path) -> None:
    import h5py

    silent(make_atlas().write_h5ad, path)
    with h5py.File(path, "r+") as file:
        del file["X"]
        file["X"] = np.zeros((30, 220), "f4")


def _empty(path: Path) -> None:
    silent(make_atlas()[:0].copy().write_h5ad, path)


@pytest.mark.parametrize(
    "make", [None, _text, _other_hdf5, _truncated, _transposed, _empty, Path.touch]
)
def test_files_that_are_refused_are_refused_with_the_same_words(
    tmp_path: Path, make: Callable[[Path], Any] | None
) -> None:
    path = tmp_path / "some.h5ad"
    if make is not None:
        make(path)
    expected = problems_of_check(path)
    assert expected
    for server in (CellucidServer, AnnDataServer):
        told = problems_of(lambda: server(path, port=0, quiet=True, cache_dir=tmp_path))  # noqa: B023
        assert told == expected


def test_what_is_no_anndata_at_all(tmp_path: Path) -> None:
    for data in (np.zeros(3), 7, pd.DataFrame({"a": [1]})):
        assert problems_of(lambda: CellucidServer(data, quiet=True)) == problems_of_check(data)  # noqa: B023
    (told,) = problems_of(lambda: CellucidServer(None, quiet=True))
    assert told.startswith("data: there is nothing to serve")


def test_problems_of_options_of_the_server_are_told_with_those_of_the_data(
    tmp_path: Path, saved: Save
) -> None:
    atlas = make_atlas()
    _nan(atlas)
    path = saved(atlas)
    wrong = {"port": -1, "cache_size": "much", "quantize": 7, "base_path": "a b"}
    told = "\n".join(problems_of(lambda: CellucidServer(path, quiet=True, **wrong)))
    for part in ("port: -1", "cache_size:", "quantize:", "base_path:", "NaN or Inf"):
        assert part in told


def test_fixed_options_are_not_taken(tmp_path: Path, saved: Save) -> None:
    path = saved(make_atlas())
    for name in LIVE:
        told = problems_of(lambda: CellucidServer(path, quiet=True, **{name: 8}))  # noqa: B023
        assert len(told) == 1
        assert name in told[0]


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


@settings(max_examples=150, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
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
        made = edges.write_edges(str(folder), name, matrix_in_memory(graph, "obsp"), 0, room)
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


# ---------------------------------------------------------------- the reference's server

ORACLE = """
import json, sys, threading, warnings
warnings.simplefilter("ignore")
from cellucid.anndata_server import AnnDataServer

ports = []
for path in sys.argv[1:]:
    server = AnnDataServer(path, port=0, quiet=True)
    server.web_proxy = False
    server.start(blocking=False)
    ports.append(server._server.server_address[1])
print(json.dumps(ports), flush=True)
sys.stdin.read()
"""

# What the reference's manifests hold and ours do not, or differently, and why. A path names a
# key; `*` stands for all of a list or of an object.
DIFFERENCES = {
    "dataset_identity.json": {
        "id": "the reference keeps the ending of a zarr folder in the name, ours is that of export",
        "name": "as the id",
        "description": "the reference says that it is live; an export of the file does not",
        "created_at": "the moment of the request, not that of the start",
        "cellucid_data_version": "names the program",
        "source": "a path of the machine, which no answer may hold",
        "_anndata_adapter": "no field of the format",
        "vector_fields/fields/*/obsm_keys": "no field of the format",
    },
    "obs_manifest.json": {
        "_continuousFields": "ranges, which the format has only of quantized columns",
        "_categoricalFields": "ranges of outliers likewise; centroids are compared by themselves",
    },
    "var_manifest.json": {},
    "connectivity_manifest.json": {},
}


class Oracle:
    """Answers of the reference's server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)) as line:
            line.request("GET", path, headers=headers)
            with line.getresponse() as answer:
                body = answer.read()
                if answer.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                return answer.status, body


FILES = ["csr.h5ad", "dense.h5ad", "csc.zarr", "odd.h5ad", "pbmc68k_reduced.h5ad",
         "cellrank_50.h5ad"]  # fmt: skip


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, Oracle]]]:
    """Files, each with the reference's server of it; all in one process of its own."""
    folder = tmp_path_factory.mktemp("reference")
    silent(rich("csr").write_h5ad, folder / "csr.h5ad")
    silent(rich("dense").write_h5ad, folder / "dense.h5ad")
    write_zarr(rich("csc"), folder / "csc.zarr", "v2")  # the reference knows zarr by .zgroup
    silent(odd_names().write_h5ad, folder / "odd.h5ad")
    shared = Path(__file__).parents[3] / "shared" / "data"
    paths = [folder / name if (folder / name).exists() else shared / name for name in FILES]
    paths = [path for path in paths if path.exists()]
    with subprocess.Popen(
        [sys.executable, "-c", ORACLE, *map(str, paths)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            ports = json.loads(process.stdout.readline())
            made = zip(paths, map(Oracle, ports), strict=True)
            yield {path.name: (path, oracle) for path, oracle in made}
        finally:
            process.kill()


def odd_names() -> AnnData:
    """X_umap for two dimensions, implicit vectors, no latent space, names with odd characters."""
    atlas = make_atlas()
    atlas.obsm["X_umap"] = atlas.obsm["X_umap_2d"]
    atlas.obsm["X_umap_1d"] = atlas.obsm["X_pca"][:, :1]
    del atlas.obsm["X_umap_2d"], atlas.obsm["X_pca"]
    atlas.obs["µm² Zelle"] = atlas.obs["score"] * 2
    atlas.obs["gaps (%)"] = pd.Categorical(np.where(np.arange(220) % 4 == 1, None, "x y"))
    atlas.obs["yes"] = np.arange(220) % 3 == 0
    atlas.obs["many"] = pd.Categorical(np.arange(220) % 9, range(300))
    atlas.var_names = ["HLA-A*01:01", "π", "a.b", *atlas.var_names[3:]]
    return atlas


@pytest.fixture(params=FILES)
def both(
    request: pytest.FixtureRequest, reference: dict[str, tuple[Path, Oracle]], tmp_path: Path
) -> Iterator[tuple[Oracle, Client]]:
    """The reference's server and ours of one file."""
    if request.param not in reference:
        pytest.skip(f"{request.param} is not there")
    path, oracle = reference[request.param]
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as client:
        yield oracle, client


def test_answers_of_the_reference(both: tuple[Oracle, Client]) -> None:
    oracle, client = both
    mine, theirs = {}, {}
    for name in DIFFERENCES:
        (status, body), answer = oracle.get(f"/{name}"), client(f"/{name}")
        assert answer.status == status, name
        if status == 200:
            theirs[name], mine[name] = json.loads(body), json.loads(answer.body)
    assert {"dataset_identity.json", "obs_manifest.json", "var_manifest.json"} <= set(mine)
    ranks, paths = paths_of(theirs)
    assert len(paths) > 20
    step = 1 + len(paths) // 100
    for i, path in enumerate(paths):
        codings = [{}, {"Accept-Encoding": "gzip"}]
        for headers in codings[: 1 if path.startswith("/var/") and i % step else 2]:
            (status, expected), answer = oracle.get(path, **headers), client(path, headers)
            assert (answer.status, status) == (200, 200), path
            body = answer.body
            if answer.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if path in ranks:
                assert_same_ranks(body, expected, path)
            else:
                kind = {"f32": "<u4", "bin": "<u4"}.get(path.rsplit(".", 1)[1], "u1")
                kind = "u1" if "connectivity" in path else kind
                a, b = (np.frombuffer(part, kind) for part in (body, expected))
                assert_same_bits(a, b, path)
    for name in mine:
        compare_manifests(name, mine[name], theirs[name])


def paths_of(manifests: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Paths of outliers, and all paths that the reference's manifests name."""
    identity, obs, var = (
        manifests[name] for name in ("dataset_identity.json", "obs_manifest.json",
                                     "var_manifest.json")
    )  # fmt: skip
    files = list(identity["embeddings"]["files"].values())
    for field in identity.get("vector_fields", {}).get("fields", {}).values():
        files += field["files"].values()
    schema = obs["_obsSchemas"]

    def filled(pattern: str, key: str, ext: str = "") -> str:
        return pattern.replace("{key}", safe(key)).replace("{ext}", ext)

    for entry in obs["_continuousFields"]:
        files.append(filled(schema["continuous"]["pathPattern"], entry[0]))
    ranks = []
    for entry in obs["_categoricalFields"]:
        ext = {"uint8": "u8", "uint16": "u16"}[entry[2]]
        files.append(filled(schema["categorical"]["codesPathPattern"], entry[0], ext))
        ranks.append("/" + filled(schema["categorical"]["outlierPathPattern"], entry[0]))
    files += [filled(var["_varSchema"]["pathPattern"], entry[0]) for entry in var["fields"]]
    graph = manifests.get("connectivity_manifest.json")
    if graph:
        files += [graph["sourcesPath"], graph["destinationsPath"]]
    return ranks, [*("/" + name for name in files), *ranks]


def safe(key: str) -> str:
    """File name of a key, by the reference's rule."""
    from cellucid.prepare_data import _safe_filename_component

    return str(_safe_filename_component(key))


def assert_same_ranks(ours: bytes, theirs: bytes, label: str) -> None:
    """Compare outlier quantiles; sums in another order may move a few that tie."""
    a, b = (np.frombuffer(part, "<f4") for part in (ours, theirs))
    assert a.shape == b.shape, label
    moved = ~np.isclose(a, b, rtol=0, atol=1e-7, equal_nan=True)
    assert moved.sum() <= 2, f"{label}: {moved.sum()} ranks differ"
    np.testing.assert_allclose(a, b, rtol=0, atol=0.05)


def compare_manifests(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Compare all but what `DIFFERENCES` names; each of these must be a difference indeed."""
    if name == "obs_manifest.json":
        compare_columns(ours, theirs)
    mine, reference = deepcopy(ours), deepcopy(theirs)
    for path in DIFFERENCES[name]:
        for manifest in (mine, reference):
            drop(manifest, path.split("/"))
    if name == "obs_manifest.json" and mine["latent_key"] != reference["latent_key"]:
        # The reference takes the first array that is not named X_umap..., be it a vector field.
        assert reference.pop("latent_key") == "velocity_umap"
        mine.pop("latent_key")
    assert mine == reference, name


def compare_columns(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Compare the columns without the ranges that only the reference gives."""
    mine, reference = ours["_continuousFields"], theirs["_continuousFields"]
    assert mine == [entry[:1] for entry in reference]
    mine, reference = ours["_categoricalFields"], theirs["_categoricalFields"]
    assert all(entry[5:] == [0.0, 1.0] for entry in reference)
    assert [entry[:4] for entry in mine] == [entry[:4] for entry in reference]
    for a, b in zip(mine, reference, strict=True):
        assert len(a) == 5
        assert_same_centroids(a[4], b[4], a[0])


def drop(manifest: Any, path: list[str]) -> None:
    """Take out what a path names."""
    head, *rest = path
    if head == "*":
        for value in manifest.values() if isinstance(manifest, dict) else manifest:
            drop(value, rest)
    elif rest and head in manifest:
        drop(manifest[head], rest)
    elif not rest:
        manifest.pop(head, None)


def test_service_paths_of_the_reference(both: tuple[Oracle, Client]) -> None:
    """Health and the list hold all that the reference's hold, under the same names."""
    oracle, client = both
    theirs, mine = (
        json.loads(body)
        for body in (oracle.get("/_cellucid/health")[1], client("/_cellucid/health").body)
    )
    assert sorted(theirs) == sorted(mine)
    differs = {key for key in theirs if theirs[key] != mine[key]}
    # A zarr is never backed for the reference, which reads it whole.
    assert differs <= ({"version", "is_backed"} if mine["format"] == "zarr" else {"version"})
    (theirs,), (mine,) = (
        json.loads(body)["datasets"]
        for body in (oracle.get("/_cellucid/datasets")[1], client("/_cellucid/datasets").body)
    )
    assert set(theirs) <= set(mine)
    assert mine["path"] == theirs["path"] == "/"
    for name in ("id", "name"):
        assert mine[name] == theirs[name].removesuffix(".zarr")


def test_what_the_reference_does_not_know_is_unknown_to_us(both: tuple[Oracle, Client]) -> None:
    oracle, client = both
    for path in ("/points_9d.bin", "/obs/nothing.values.f32", "/var/nothing.values.f32",
                 "/vectors/nothing_2d.bin", "/connectivity/edges.up.bin", "/nothing",
                 "/var/gene0.values.u8", "/points_4d.bin.gz"):  # fmt: skip
        assert oracle.get(path)[0] == client(path).status == 404, path


def test_outliers_differ_from_the_reference_only_where_the_latent_space_does(
    reference: dict[str, tuple[Path, Oracle]], tmp_path: Path
) -> None:
    """With the reference's choice of the latent space, ranks are its ranks."""
    path, oracle = reference["odd.h5ad"]
    options = {"latent_key": "velocity_umap", "cache_dir": tmp_path}
    with serving(path, **options) as server, Client(server) as client:
        for key in ("group", "rare", "gaps", "yes", "many"):
            name = f"/obs/{key}.outliers.f32"
            status, expected = oracle.get(name)
            assert status == 200
            assert_same_ranks(client(name).body, expected, name)
