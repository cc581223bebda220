"""What live data answers is what an export of it holds, and what the reference server answers.

Every path of an export is asked for in every coding and compared byte by byte.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from comparing import LAYOUTS, assert_alike, assert_serves, export_of, index_state
from layouts import columns, laid_out, store_anew, untidy
from live_inputs import graphs, rich
from oracle import CREATED, make_atlas, silent
from scipy import sparse
from serving import Client, serving, wait_until
from versions import write_zarr

from cellucid_dask import CellucidDaskError, CellucidServer

Save = Callable[..., Path]
Made = tuple[Any, dict[str, Any]]  # what is served, and options of it
GENE = "var/gene0.values.f32"


# ------------------------------------------------------------------ served and exported alike


# ------------------------------------------------------------------------------------ inputs


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
