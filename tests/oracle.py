"""Run the reference exporter, read exports back into arrays, and compare two of them.

The reader knows nothing of `cellucid_dask`, so that an error there cannot hide here.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata as ad
import cellucid
import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

import cellucid_dask

CREATED = "2026-01-31T12:00:00Z"
CHECKSUMS = "checksums.json"  # of which the oracle knows nothing
CELL_IDS = "_index.ids"  # a file that they ignore, too
ADDITIONS = {  # members that viewers of the oracle ignore, as paths
    "dataset_identity.json": ("embeddings/sources",),
    "obs_manifest.json": ("_categoryColors", "_index"),
    "var_manifest.json": ("_symbols",),
}
NAMES = {  # of the options of `export`, as the oracle calls them
    "obs_quantization": "obs_continuous_quantization",
    "categorical_dtype": "obs_categorical_dtype",
    "centroid_quantile": "centroid_outlier_quantile",
    "genes": "gene_identifiers",
    "gene_id_column": "var_gene_id_column",
    "description": "dataset_description",
    "citation": "source_citation",
}
DEFAULTS = {"compression": 6, "var_quantization": 8, "obs_quantization": 8}
BINARY_DTYPES = {"f32": "<f4", "u8": "u1", "u16": "<u2"}


def silent(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call code that is not ours without its warnings, prints and progress bars."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        with contextlib.redirect_stderr(io.StringIO()), np.errstate(all="ignore"):
            return work(*args, **kwargs)


# --------------------------------------------------------------------------- inputs for both


def make_atlas(n_cells: int = 220, n_genes: int = 30, seed: int = 0) -> AnnData:
    """Make an atlas: CSR float32 X, 2D and 3D embeddings, velocities, a graph, mixed obs."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 5, n_cells)
    cells = pd.Index([f"cell{i}" for i in range(n_cells)])
    obs = pd.DataFrame(
        {
            "group": pd.Categorical.from_codes(groups, list("abcde")),
            "rare": pd.Categorical(np.where(np.arange(n_cells) < 4, "few", "many")),
            "score": rng.normal(size=n_cells),
            "depth": rng.integers(0, 5000, n_cells),
        },
        index=cells,
    )
    var = pd.DataFrame(
        {"symbol": [f"S{j}" for j in range(n_genes)]}, index=[f"gene{j}" for j in range(n_genes)]
    )
    adata = AnnData(make_counts(n_cells, n_genes, seed), obs=obs, var=var)
    center = rng.normal(size=(5, 6))[groups]
    adata.obsm["X_pca"] = (center + 0.3 * rng.normal(size=(n_cells, 6))).astype(np.float32)
    adata.obsm["X_umap_2d"] = (7 * adata.obsm["X_pca"][:, :2] + 3).astype(np.float32)
    adata.obsm["X_umap_3d"] = adata.obsm["X_pca"][:, 2:5].copy()
    adata.obsm["velocity_umap"] = rng.normal(size=(n_cells, 2)).astype(np.float32)
    adata.obsp["connectivities"] = make_graph(n_cells, seed)
    return adata


def make_atlas_around(matrix: Any) -> AnnData:
    """Make an atlas of `matrix` with few other parts, which is quick to write."""
    whole = make_atlas()
    parts = {key: whole.obsm[key] for key in ("X_pca", "X_umap_2d")}
    return AnnData(matrix, obs=whole.obs[["group"]], var=whole.var, obsm=parts)


def make_counts(n_cells: int, n_genes: int, seed: int = 0) -> sparse.csr_matrix:
    """Log-normalized counts, a fifth of them stored."""
    rng = np.random.default_rng(seed)
    dense = np.log1p(rng.poisson(0.25, (n_cells, n_genes)) * rng.uniform(0.5, 2, (n_cells, 1)))
    return sparse.csr_matrix(dense.astype(np.float32))


def make_graph(n_cells: int, seed: int = 0) -> sparse.csr_matrix:
    """Five directed neighbours of each cell."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(n_cells), 5)
    columns = rng.integers(0, n_cells, rows.size)
    weights = rng.uniform(0.1, 1, rows.size)
    return sparse.csr_matrix((weights, (rows, columns)), shape=(n_cells, n_cells))


# ---------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Export:
    """What an export directory holds: manifests by name, arrays by path without ``.gz``."""

    manifests: dict[str, dict[str, Any]]
    arrays: dict[str, NDArray[Any]]

    @property
    def obs(self) -> dict[str, Any]:
        """The manifest of obs."""
        return self.manifests["obs_manifest.json"]

    @property
    def identity(self) -> dict[str, Any]:
        """The identity."""
        return self.manifests["dataset_identity.json"]

    def categorical(self, key: str) -> list[Any]:
        """Manifest entry of a categorical column."""
        return next(entry for entry in self.obs["_categoricalFields"] if entry[0] == key)


def read_export(folder: Path) -> Export:
    """Decode every file of an export."""
    manifests = {
        path.name: json.loads(path.read_text(), parse_constant=_not_json)
        for path in folder.glob("*.json")
        if path.name != CHECKSUMS
    }
    edges = manifests.get("connectivity_manifest.json", {}).get("index_dtype", "")
    arrays = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.suffix == ".json" or path.name.startswith(CELL_IDS):
            continue
        name = path.relative_to(folder).as_posix()
        payload = path.read_bytes()
        if name.endswith(".gz"):
            name, payload = name.removesuffix(".gz"), gzip.decompress(payload)
        ending = name.rsplit(".", 1)[1]
        dtype = BINARY_DTYPES.get(ending) or (edges if name.startswith("connectivity") else "<f4")
        arrays[name] = np.frombuffer(payload, dtype)
    return Export(manifests, arrays)


def _not_json(literal: str) -> None:
    raise AssertionError(f"{literal} is no JSON")


def file_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a folder that a viewer reads, as it is stored."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != CHECKSUMS
    }


def as_live(files: dict[str, bytes]) -> dict[str, bytes]:
    """Files of an export that is not compressed, as a live server has them.

    It answers each block of the ids of cells at a path of its own.
    """
    manifest = json.loads(files["obs_manifest.json"])
    index = manifest.get("_index")
    if index is None:
        return files
    live = {path: body for path, body in files.items() if path != index["path"]}
    for block, (start, stop) in enumerate(pairwise(index["offsets"])):
        live[f"obs/_index/{block}.json"] = files[index["path"]][start:stop]
    manifest["_index"] = {"pathPattern": "obs/_index/{block}.json", "blockSize": 2048}
    return live | {"obs_manifest.json": json.dumps(manifest).encode()}


# -------------------------------------------------------------------------------- comparing


def assert_same_export(
    ours: Export, theirs: Export, *, same_latent_key: bool = False, ties: int = 0
) -> None:
    """Compare as the format says: to the bit, but for centroids and a few tied ranks.

    Parameters
    ----------
    same_latent_key
        Whether both must call the latent space the same, as they do for loose arrays.
    ties
        How many cells of a column may differ in their outlier quantile.
    """
    assert sorted(ours.arrays) == sorted(theirs.arrays)
    for path, array in theirs.arrays.items():
        if ".outliers." in path:
            _assert_same_ranks(ours.arrays[path], array, path, ties)
        else:
            assert_same_bits(ours.arrays[path], array, path)
    assert sorted(ours.manifests) == sorted(theirs.manifests)
    for name in theirs.manifests:
        mine, reference = (
            _comparable(name, export.manifests[name], same_latent_key=same_latent_key)
            for export in (ours, theirs)
        )
        if name == "dataset_identity.json":  # the oracle counts the input's genes for a subset
            n_exported = len(theirs.manifests.get("var_manifest.json", {}).get("fields", []))
            reference["stats"]["n_genes"] = n_exported
        if name == "obs_manifest.json":
            _assert_same_columns(mine, reference, exact=not ties)
        assert mine == reference, name


def assert_same_bits(ours: NDArray[Any], theirs: NDArray[Any], label: str) -> None:
    """Compare arrays to the bit; a NaN is any NaN."""
    assert ours.dtype == theirs.dtype, label
    assert ours.shape == theirs.shape, label
    if ours.dtype.kind == "f":
        ours, theirs = (np.where(np.isnan(a), np.float32(np.nan), a) for a in (ours, theirs))
        ours, theirs = ours.view(np.uint32), theirs.view(np.uint32)
    differs = np.flatnonzero(ours != theirs)
    assert not differs.size, f"{label}: {differs.size} differ, first at {differs[:5]}"


def _assert_same_ranks(ours: NDArray[Any], theirs: NDArray[Any], label: str, ties: int) -> None:
    if not ties:
        assert_same_bits(ours, theirs, label)
        return
    assert ours.shape == theirs.shape, label
    differs = ~np.isclose(ours.astype(float), theirs.astype(float), rtol=0, equal_nan=True)
    assert differs.sum() <= ties, f"{label}: {differs.sum()} ranks differ"


def _comparable(name: str, manifest: Mapping[str, Any], *, same_latent_key: bool) -> dict[str, Any]:
    """The manifest without what may differ."""
    rest = deepcopy(dict(manifest))
    for member in ADDITIONS.get(name, ()):
        *folders, key = member.split("/")
        reduce(dict.__getitem__, folders, rest).pop(key, None)
    if name == "dataset_identity.json":
        for key in ("cellucid_data_version", "created_at"):
            rest.pop(key)
        rest["embeddings"].pop("umap_resolution", None)
    if name == "obs_manifest.json" and not same_latent_key:
        rest.pop("latent_key")
    return rest


def _assert_same_columns(ours: dict[str, Any], theirs: dict[str, Any], *, exact: bool) -> None:
    """Compare the entries of categorical columns and take them out of both manifests."""
    mine, reference = ours.pop("_categoricalFields"), theirs.pop("_categoricalFields")
    assert [entry[:4] for entry in mine] == [entry[:4] for entry in reference]
    for a, b in zip(mine, reference, strict=True):
        assert_same_centroids(a[4], b[4], a[0])
        assert len(a) == len(b)
        if exact:
            assert a[5:] == b[5:]
        else:
            assert a[5:] == [bound if bound in a[5:] else _near(bound) for bound in b[5:]]


def _near(value: float) -> Any:
    import pytest

    return pytest.approx(value, abs=0.02)


def assert_same_centroids(ours: dict[str, Any], theirs: dict[str, Any], label: str) -> None:
    """Compare the centroids of a column: equal cells, positions to 1e-5."""
    assert sorted(ours) == sorted(theirs), label
    for dim, expected in theirs.items():
        told = [(c["category"], c["n_points"]) for c in ours[dim]]
        assert told == [(c["category"], c["n_points"]) for c in expected], (label, dim)
        for a, b in zip(ours[dim], expected, strict=True):
            assert len(a["position"]) == int(dim)
            np.testing.assert_allclose(a["position"], b["position"], rtol=0, atol=1e-5)


# ---------------------------------------------------------------------------- running both


def oracle_prepare(out: Path, **arguments: Any) -> Export:
    """Run the oracle and read what it wrote."""
    fields = arguments.get("vector_fields") or {}  # it scales float32 ones where they are
    arguments["vector_fields"] = {key: np.array(value) for key, value in fields.items()} or None
    silent(cellucid.prepare, out_dir=out, **arguments)
    return read_export(out)


def oracle_arguments(adata: AnnData, latent: str = "X_pca", graph: str = "connectivities") -> Any:
    """What a user of the oracle passes for an AnnData that is in memory."""
    embeddings = {
        f"X_umap_{d}d": adata.obsm[f"X_umap_{d}d"]
        for d in (1, 2, 3)
        if f"X_umap_{d}d" in adata.obsm
    }
    if "X_umap" in adata.obsm:
        umap = np.asarray(adata.obsm["X_umap"])
        embeddings.setdefault(f"X_umap_{umap.shape[1]}d", umap)
    vectors = {key: adata.obsm[key] for key in adata.obsm if "_umap" in key[2:]}
    return {
        "latent_space": adata.obsm[latent],
        "obs": adata.obs,
        "var": adata.var,
        "gene_expression": adata.X,
        "connectivities": adata.obsp.get(graph),
        "vector_fields": vectors or None,
        **embeddings,
    }


def assert_parity(
    folder: Path,
    data: Any,
    theirs: AnnData | None = None,
    *,
    change: Mapping[str, Any] | None = None,
    ties: int = 0,
    **options: Any,
) -> Export:
    """Export `data` with both programs and compare; returns what ours holds.

    Parameters
    ----------
    theirs
        What the oracle gets; by default `data`, which anndata reads when it is a path.
    change
        Arguments of the oracle in place of those of `oracle_arguments`.
    **options
        Options of both, by the names `cellucid_dask.export` has for them.
    """
    if theirs is None:
        theirs = data if isinstance(data, AnnData) else read_anndata(data)
    chosen = DEFAULTS | options
    ours, reference = folder / "ours" / "atlas", folder / "theirs" / "atlas"
    cellucid_dask.export(data, ours, quiet=True, workers=1, created_at=CREATED, **chosen)
    only_ours = ("layer", "raw", "latent_key", "graph", "embeddings", "rename_duplicates")
    arguments = {NAMES.get(k, k): v for k, v in chosen.items() if k not in only_ours}
    expected = oracle_prepare(
        reference, **(oracle_arguments(theirs) | arguments | dict(change or {}))
    )
    made = read_export(ours)
    assert_same_export(made, expected, ties=ties)
    return made


def read_anndata(path: Path) -> AnnData:
    """Read a whole file the way a user of the oracle does."""
    if path.suffix == ".h5ad":
        return silent(ad.read_h5ad, path)
    if path.suffix != ".zip":
        return silent(ad.read_zarr, path)
    import zarr

    with zarr.storage.ZipStore(path, mode="r") as store:
        return silent(ad.io.read_elem, zarr.open_group(store, mode="r"))
