"""Exports decoded and compared with those of the reference exporter, option by option."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from oracle import (
    CREATED,
    assert_parity,
    assert_same_bits,
    assert_same_export,
    make_atlas,
    make_counts,
    oracle_arguments,
    oracle_prepare,
    read_anndata,
    read_export,
    silent,
)
from scipy import sparse

import cellucid_dask
from cellucid_dask import export, prepare

Save = Callable[..., Path]

ENCODINGS = [
    pytest.param({}, id="default"),
    pytest.param({"var_quantization": 16, "obs_quantization": 16}, id="16bit"),
    pytest.param({"var_quantization": None, "obs_quantization": None}, id="float32"),
    pytest.param({"compression": 0}, id="plain"),
    pytest.param(
        {"var_quantization": None, "obs_quantization": None, "compression": 0}, id="plain-float32"
    ),
]


# -------------------------------------------------------------------------------- real files


@pytest.mark.parametrize("options", ENCODINGS)
@pytest.mark.parametrize(("name", "ties"), [("pbmc68k_reduced.h5ad", 8), ("cellrank_50.h5ad", 2)])
def test_real_file(
    tmp_path: Path,
    real_file: Callable[[str], Path],
    name: str,
    ties: int,
    options: dict[str, Any],
) -> None:
    path = real_file(name)
    made = assert_parity(tmp_path, path, ties=ties, **options)
    assert made.identity["stats"]["n_genes"] == silent(read_anndata, path).n_vars


@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({"layer": "spliced"}, lambda adata: {"gene_expression": adata.layers["spliced"]}),
        ({"raw": True}, lambda adata: {"gene_expression": adata.raw.X, "var": adata.raw.var}),
        ({"graph": "distances"}, lambda adata: {"connectivities": adata.obsp["distances"]}),
    ],
    ids=["layer", "raw", "graph"],
)
def test_real_file_with_other_matrices(
    tmp_path: Path,
    real_file: Callable[[str], Path],
    options: dict[str, Any],
    change: Callable[[AnnData], dict[str, Any]],
) -> None:
    path = real_file("cellrank_50.h5ad")
    adata = read_anndata(path)
    assert_parity(tmp_path, path, adata, change=change(adata), ties=2, **options)


# --------------------------------------------------------------------------------- encodings


@pytest.mark.parametrize("options", ENCODINGS)
def test_encoding(tmp_path: Path, atlas: AnnData, saved: Save, options: dict[str, Any]) -> None:
    assert_parity(tmp_path, saved(atlas), **options)


def test_text_of_the_identity(tmp_path: Path, atlas: AnnData) -> None:
    assert_parity(
        tmp_path,
        atlas,
        dataset_name="Łódź lung atlas (v2)",
        description="cells — of a lung",
        source_name="Consortium",
        source_url="https://example.org/a?b=1",
        citation="Someone et al.",
    )


def test_given_dataset_id(tmp_path: Path, atlas: AnnData) -> None:
    made = assert_parity(tmp_path, atlas, dataset_id="lung-2", dataset_name="Lung")
    assert (made.identity["id"], made.identity["name"]) == ("lung-2", "Lung")


def test_gzip_members_name_no_time(tmp_path: Path, atlas: AnnData) -> None:
    export(atlas, tmp_path / "out", quiet=True)
    members = list((tmp_path / "out").rglob("*.gz"))
    assert members
    for path in members:
        head = path.read_bytes()[:10]
        assert head[:4] == b"\x1f\x8b\x08\x00"  # no name, no comment
        assert head[4:8] == bytes(4)  # mtime


# ------------------------------------------------------------------------------------- genes


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize("where", ["file", "memory"])
def test_gene_subset_in_the_order_asked_for(
    tmp_path: Path, atlas: AnnData, saved: Save, layout: str, where: str
) -> None:
    atlas.X = atlas.X.toarray() if layout == "dense" else atlas.X.asformat(layout)
    genes = [f"gene{j}" for j in (17, 3, 29, 0, 18, 16)]
    data = saved(atlas) if where == "file" else atlas
    made = assert_parity(tmp_path, data, atlas, genes=genes)
    assert [field[0] for field in made.manifests["var_manifest.json"]["fields"]] == genes
    assert made.identity["stats"]["n_genes"] == 6


def test_no_gene_asked_for(tmp_path: Path, atlas: AnnData) -> None:
    made = assert_parity(tmp_path, atlas, genes=[])
    assert made.manifests["var_manifest.json"]["fields"] == []


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_genes_with_nothing_to_show(
    tmp_path: Path, atlas: AnnData, saved: Save, layout: str
) -> None:
    dense = atlas.X.toarray()
    dense[:, 0] = 0
    dense[:, 1] = 2.5
    dense[:, 2] = np.nan
    dense[:, 3] = np.where(np.arange(dense.shape[0]) % 3, np.nan, np.inf)
    dense[5:9, 4] = [np.nan, np.inf, -np.inf, 7]
    dense[:, 5] -= 1
    dense[:, 6] = -4
    dense[:, 7] = np.where(np.arange(dense.shape[0]) == 11, 1e-38, 0)
    dense[0, 8] = 3e38
    dense[1, 8] = -3e38
    atlas.X = dense if layout == "dense" else sparse.csr_matrix(dense).asformat(layout)
    path = saved(atlas)
    for i, bits in enumerate((8, 16, None)):
        assert_parity(tmp_path / str(i), path, var_quantization=bits)


def test_gene_whose_range_is_lost_in_float32(tmp_path: Path, atlas: AnnData) -> None:
    """One step of 1 above 2**60 is no step: the range must still be one."""
    atlas.X = np.full(atlas.shape, 2.0**60, np.float32)
    export(atlas, tmp_path / "out", quiet=True)
    made = read_export(tmp_path / "out")
    _, lo, hi = made.manifests["var_manifest.json"]["fields"][0]
    assert (lo, hi > lo) == (2.0**60, True)
    assert not made.arrays["var/gene0.values.u8"].any()


def test_gene_id_column(tmp_path: Path, atlas: AnnData, saved: Save) -> None:
    atlas.var["number"] = np.arange(atlas.n_vars) + 0.5
    atlas.var["kind"] = pd.Categorical([f"k/{j}" for j in range(atlas.n_vars)])
    for column in ("symbol", "number", "kind"):
        made = assert_parity(tmp_path / column, saved(atlas), gene_id_column=column)
        assert made.manifests["var_manifest.json"]["var_gene_id_column"] == column


def test_rename_duplicates(tmp_path: Path, atlas: AnnData, saved: Save) -> None:
    names = [*"AABAAB", *(f"g{j}" for j in range(6, atlas.n_vars))]
    silent(setattr, atlas, "var_names", names)
    theirs = silent(atlas.copy)
    theirs.var_names_make_unique()
    made = assert_parity(tmp_path, saved(atlas), theirs, rename_duplicates=True)
    fields = made.manifests["var_manifest.json"]["fields"]
    assert [field[0] for field in fields[:6]] == ["A", "A-1", "B", "A-2", "A-3", "B-1"]


def test_gene_names_that_are_no_file_names(tmp_path: Path, atlas: AnnData, saved: Save) -> None:
    odd = ["HLA-A", "a b/c", "..x..", "Ü", "gène 1", "_g_"]
    atlas.var_names = [*odd, *(f"g{j}" for j in range(len(odd), atlas.n_vars))]
    made = assert_parity(tmp_path, saved(atlas))
    assert {"var/a_b_c.values.u8", "var/field.values.u8", "var/g_ne_1.values.u8"} <= set(
        made.arrays
    )


@pytest.mark.parametrize("where", ["file", "memory"])
def test_layer_and_raw(tmp_path: Path, atlas: AnnData, saved: Save, where: str) -> None:
    atlas.raw = atlas.copy()
    atlas.layers["half"] = (atlas.X / 2).tocsc()
    atlas = atlas[:, 5:20].copy()
    data = saved(atlas) if where == "file" else atlas
    change = {"gene_expression": atlas.layers["half"]}
    assert_parity(tmp_path / "layer", data, atlas, change=change, layer="half")
    change = {"gene_expression": atlas.raw.X, "var": atlas.raw.var}
    made = assert_parity(tmp_path / "raw", data, atlas, change=change, raw=True)
    assert made.identity["stats"]["n_genes"] == 30


@pytest.mark.parametrize("where", ["h5ad", "zarr", "memory"])
def test_no_expression_at_all(tmp_path: Path, atlas: AnnData, saved: Save, where: str) -> None:
    bare = AnnData(obs=atlas.obs, var=atlas.var, obsm=dict(atlas.obsm), obsp=dict(atlas.obsp))
    data = bare if where == "memory" else saved(bare, f"bare.{where}")
    made = assert_parity(tmp_path, data, bare, change={"gene_expression": None})
    assert "var_manifest.json" not in made.manifests


# ------------------------------------------------------------------- embeddings and vectors


@pytest.mark.parametrize("where", ["file", "memory"])
def test_all_dimensions_and_kinds_of_vectors(
    tmp_path: Path, atlas: AnnData, saved: Save, where: str
) -> None:
    rng = np.random.default_rng(1)
    n = atlas.n_obs
    atlas.obsm["X_umap_1d"] = rng.normal(size=(n, 1)) * 1e3
    atlas.obsm["X_umap"] = rng.normal(size=(n, 2))  # X_umap_2d comes before it
    atlas.obsm["velocity_umap_2d"] = rng.normal(size=(n, 2))  # so does this before velocity_umap
    atlas.obsm["velocity_umap_3d"] = rng.normal(size=(n, 3))
    atlas.obsm["T_fwd_umap"] = rng.normal(size=(n, 1)).astype(np.float32)
    atlas.obsm["X_ray_umap"] = rng.normal(size=(n, 2))  # starts with X_
    made = assert_parity(
        tmp_path,
        saved(atlas) if where == "file" else atlas,
        atlas,
        change={
            "vector_fields": {
                key: atlas.obsm[key]
                for key in ("velocity_umap", "velocity_umap_2d", "velocity_umap_3d", "T_fwd_umap")
            }
        },
    )
    assert made.identity["embeddings"]["default_dimension"] == 3
    resolution = made.identity["embeddings"]["umap_resolution"]
    assert (resolution["source_key"], resolution["action"], resolution["dim"]) == (
        "X_umap",
        "ignored",
        2,
    )
    fields = made.identity["vector_fields"]["fields"]
    assert fields["velocity_umap"]["available_dimensions"] == [2, 3]
    assert fields["T_fwd_umap"]["label"] == "T fwd (UMAP)"


def test_plain_umap_takes_the_place_that_is_free(tmp_path: Path, atlas: AnnData) -> None:
    atlas.obsm["X_umap"] = atlas.obsm.pop("X_umap_3d")
    made = assert_parity(tmp_path, atlas)
    assert made.identity["embeddings"]["umap_resolution"] == {
        "source_key": "X_umap",
        "action": "used_as",
        "dim": 3,
        "alias_key": "X_umap_3d",
    }


def test_embedding_and_latent_space_of_choice(tmp_path: Path, atlas: AnnData, saved: Save) -> None:
    atlas.obsm["X_tsne"] = np.random.default_rng(2).normal(size=(atlas.n_obs, 2))
    atlas.obsm["mine"] = atlas.obsm["X_pca"][:, ::-1].copy()
    made = assert_parity(
        tmp_path,
        saved(atlas),
        atlas,
        change={"X_umap_2d": atlas.obsm["X_tsne"], "latent_space": atlas.obsm["mine"]},
        embeddings={2: "X_tsne"},
        latent_key="mine",
    )
    assert made.obs["latent_key"] == "mine"


@pytest.mark.parametrize("where", ["h5ad", "zarr", "memory"])
@pytest.mark.parametrize(
    "kind", ["frame", "mixed frame", "csr", "csc", "csr_array", "float64", "int"]
)
def test_obsm_of_every_kind(
    tmp_path: Path, atlas: AnnData, saved: Save, kind: str, where: str
) -> None:
    umap, pca = atlas.obsm["X_umap_2d"].astype(np.float64), atlas.obsm["X_pca"].astype(np.float64)
    umap[::7] = 0
    frame = {"index": atlas.obs_names}
    umap_f, pca_f = (pd.DataFrame(a, **frame).rename(columns="c{}".format) for a in (umap, pca))
    atlas.obsm["X_umap_2d"], atlas.obsm["X_pca"] = {
        "frame": (umap_f, pca_f),
        "mixed frame": (
            umap_f.astype({"c0": "float32"}),
            pca_f.assign(c1=(pca[:, 1] * 9).astype(int), c2=pca[:, 2] > 0),
        ),
        "csr": (sparse.csr_matrix(umap), sparse.csr_matrix(pca)),
        "csc": (sparse.csc_matrix(umap), sparse.csc_matrix(pca)),
        "csr_array": (sparse.csr_array(umap), sparse.csr_array(pca)),
        "float64": (umap, pca),
        "int": ((umap * 10).astype(int), (pca * 10).astype(np.int8)),
    }[kind]
    data = atlas if where == "memory" else saved(atlas, f"atlas.{where}")
    plain = {
        key: value.toarray() if sparse.issparse(value) else np.asarray(value, dtype=float)
        for key, value in atlas.obsm.items()
        if key in ("X_umap_2d", "X_pca")
    }
    change = {"X_umap_2d": plain["X_umap_2d"], "latent_space": plain["X_pca"]}
    assert_parity(tmp_path, data, atlas, change=change, ties=8)


def test_flat_embedding(tmp_path: Path, atlas: AnnData) -> None:
    """All cells at one point have no extent to scale by."""
    atlas.obsm["X_umap_3d"] = np.full((atlas.n_obs, 3), 4.25, np.float32)
    made = assert_parity(tmp_path, atlas)
    assert not made.arrays["points_3d.bin"].any()


# ------------------------------------------------------------------- centroids and outliers


@pytest.mark.parametrize("min_points", [1, 2, 10, 45, 1000])
@pytest.mark.parametrize("quantile", [0.95, 0.51, 0.7, 0.999, None])
def test_centroids(tmp_path: Path, quantile: float | None, min_points: int) -> None:
    """Sizes where quantile * (size - 1) is a whole number in exact arithmetic only, too."""
    sizes = [91, 171, 51, 21, 11, 10, 9, 2, 1]
    atlas = make_atlas(sum(sizes))
    names = np.repeat([f"c{i}" for i in range(len(sizes))], sizes)
    atlas.obs["size"] = pd.Categorical(names)
    atlas.obs["gaps"] = pd.Categorical(np.where(np.arange(len(names)) % 3, names, None))
    made = assert_parity(
        tmp_path, atlas, centroid_quantile=quantile, centroid_min_points=min_points
    )
    if quantile is None:
        assert made.categorical("size")[4] == {"2": [], "3": []}


def test_latent_space_that_is_not_finite_everywhere(tmp_path: Path, atlas: AnnData) -> None:
    """Only the categories of those cells are concerned."""
    atlas.obsm["X_pca"][np.flatnonzero(atlas.obs["group"] == "b")[0]] = np.nan
    made = assert_parity(tmp_path, atlas, obs_keys=["group"])
    assert np.isfinite(made.arrays["obs/group.outliers.u8"]).all()


# ------------------------------------------------------------------------------------- graph


def graphs() -> dict[str, sparse.csr_matrix]:
    """Graphs that a careless reader gets wrong, on 220 cells."""
    n, rng = 220, np.random.default_rng(3)
    plain = make_atlas().obsp["connectivities"].copy()
    zeros = plain.copy()
    zeros.data[::3] = 0
    upper = np.triu(rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.05), 1)
    cancelling = sparse.csr_matrix(upper - upper.T * (rng.random((n, n)) < 0.5))
    loops = sparse.csr_matrix(plain + sparse.diags_array(np.arange(n) % 2.0).tocsr())
    twice = sparse.csr_matrix(
        (
            np.tile(plain.data, 2),
            np.concatenate([np.r_[a, a] for a in np.split(plain.indices, plain.indptr[1:-1])]),
            plain.indptr * 2,
        ),
        shape=(n, n),
    )
    return {
        "one-sided": sparse.csr_matrix(sparse.triu(plain)),
        "stored zeros": zeros,
        "cancelling": cancelling,
        "diagonal": loops,
        "duplicates": twice,
        "empty": sparse.csr_matrix((n, n)),
        "bool": plain.astype(bool),
        "int64 indices": sparse.csr_matrix(
            (plain.data, plain.indices.astype(np.int64), plain.indptr.astype(np.int64)), (n, n)
        ),
        "float32": plain.astype(np.float32),
        "integers": (plain * 5).astype(np.int32),
    }


@pytest.mark.parametrize("where", ["file", "memory"])
@pytest.mark.parametrize("name", graphs())
def test_graph(tmp_path: Path, atlas: AnnData, saved: Save, name: str, where: str) -> None:
    atlas.obsp["connectivities"] = graphs()[name]
    made = assert_parity(tmp_path, saved(atlas) if where == "file" else atlas)
    edges = made.manifests["connectivity_manifest.json"]
    assert (edges["n_edges"] == 0) == (name == "empty")


@pytest.mark.parametrize("where", ["h5ad", "zarr", "memory"])
@pytest.mark.parametrize("layout", ["csc", "dense"])
def test_graph_layout(tmp_path: Path, atlas: AnnData, saved: Save, layout: str, where: str) -> None:
    for name in ("cancelling", "diagonal", "stored zeros"):
        graph = graphs()[name]
        atlas.obsp["connectivities"] = graph.toarray() if layout == "dense" else graph.tocsc()
        data = atlas if where == "memory" else saved(atlas, f"{name}.{where}")
        change = {"connectivities": graph}
        assert_parity(tmp_path / name, data, atlas, change=change)


def test_graph_of_many_cells_has_wider_indices(tmp_path: Path) -> None:
    n = 70_000
    rng = np.random.default_rng(4)
    graph = sparse.csr_matrix((np.ones(300), rng.integers(0, n, (2, 300))), shape=(n, n))
    atlas = AnnData(
        obs=pd.DataFrame({"x": np.arange(n)}, index=np.arange(n).astype(str)),
        obsm={"X_umap_2d": rng.normal(size=(n, 2)), "X_pca": rng.normal(size=(n, 2))},
        obsp={"connectivities": graph},
    )
    made = assert_parity(tmp_path, atlas, change={"gene_expression": None})
    assert made.manifests["connectivity_manifest.json"]["index_dtype"] == "uint32"


def test_no_graph_no_vectors_no_genes(tmp_path: Path, atlas: AnnData, saved: Save) -> None:
    ours = tmp_path / "ours" / "atlas"
    leave_out = {"connectivity": False, "vectors": False, "expression": False}
    export(saved(atlas), ours, quiet=True, created_at=CREATED, **leave_out)
    theirs = oracle_prepare(
        tmp_path / "theirs" / "atlas",
        **oracle_arguments(atlas)
        | {"connectivities": None, "vector_fields": None, "gene_expression": None},
        compression=6,
        obs_continuous_quantization=8,
        var_quantization=8,
    )
    assert_same_export(read_export(ours), theirs)


def test_latent_space_does_not_depend_on_vectors(tmp_path: Path, atlas: AnnData) -> None:
    """A field that is left out is still no latent space."""
    del atlas.obsm["X_pca"]
    atlas.obsm["zzz"] = np.random.default_rng(0).normal(size=(atlas.n_obs, 4))
    keys = []
    for vectors in (True, False):
        out = tmp_path / str(vectors)
        export(atlas, out, quiet=True, vectors=vectors)
        keys.append(read_export(out).obs["latent_key"])
    assert keys[0] == keys[1]


# ----------------------------------------------------------------------------------- prepare


@pytest.mark.parametrize("kind", ["numpy", "matrix", "array", "csc", "coo", "dask", "dask sparse"])
def test_prepare_takes_arrays_of_every_kind(tmp_path: Path, atlas: AnnData, kind: str) -> None:
    import dask.array as da

    arguments = oracle_arguments(atlas) | {
        "var_quantization": 8,
        "obs_continuous_quantization": 16,
        "compression": 6,
        "dataset_name": "Loose arrays",
        "vector_fields": {"velocity_umap_2d": atlas.obsm["velocity_umap"], "drift": np.ones(220)},
        "X_umap_1d": atlas.obsm["X_umap_2d"][:, :1],
        "gene_identifiers": ["gene7", "gene2"],
        "obs_keys": ["depth", "group"],
    }
    x, graph, pca = arguments["gene_expression"], arguments["connectivities"], atlas.obsm["X_pca"]
    mine: dict[str, Any] = {
        "numpy": {"gene_expression": x.toarray(), "connectivities": graph.toarray()},
        "matrix": {"latent_space": sparse.csr_matrix(pca)},
        "array": {
            "gene_expression": sparse.csr_array(x),
            "connectivities": sparse.csr_array(graph),
            "latent_space": sparse.csr_array(pca),
        },
        "csc": {"gene_expression": sparse.csc_array(x), "connectivities": graph.tocsc()},
        "coo": {"gene_expression": sparse.coo_array(x), "connectivities": graph.tocoo()},
        "dask": {
            "gene_expression": da.from_array(x.toarray(), chunks=(50, 7)),
            "latent_space": da.from_array(pca, chunks=(64, 2)),
            "X_umap_2d": da.from_array(atlas.obsm["X_umap_2d"], chunks=(100, 1)),
            "connectivities": da.from_array(graph.toarray(), chunks=(90, 90)),
        },
        "dask sparse": {
            "gene_expression": da.concatenate(
                [da.from_array(x[i : i + 60], chunks=-1, asarray=False) for i in range(0, 220, 60)]
            ),
        },
    }[kind]
    theirs = oracle_prepare(tmp_path / "theirs" / "out", **arguments)
    ours = tmp_path / "ours" / "out"
    prepare(out_dir=ours, quiet=True, **arguments | mine)
    assert_same_export(read_export(ours), theirs, same_latent_key=True)


def test_prepare_has_the_defaults_of_the_oracle(tmp_path: Path, atlas: AnnData) -> None:
    arguments = oracle_arguments(atlas)
    theirs = oracle_prepare(tmp_path / "theirs" / "out", **arguments)
    prepare(out_dir=tmp_path / "ours" / "out", quiet=True, **arguments)
    assert_same_export(read_export(tmp_path / "ours" / "out"), theirs, same_latent_key=True)


def test_prepare_has_the_signature_of_the_oracle() -> None:
    import inspect

    import cellucid

    mine, theirs = (inspect.signature(f).parameters for f in (prepare, cellucid.prepare))
    assert list(theirs) == [n for n, p in mine.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    different = {n for n in theirs if mine[n].default != theirs[n].default}
    assert different == {"out_dir"}  # the oracle's is the folder of its import


# -------------------------------------------------------------------------------------- misc


def test_a_single_cell_and_a_single_gene(tmp_path: Path) -> None:
    atlas = AnnData(
        make_counts(1, 1),
        obs=pd.DataFrame({"c": ["x"], "v": [2.0]}, index=["cell"]),
        obsm={"X_umap_2d": np.ones((1, 2)), "X_pca": np.ones((1, 3))},
    )
    assert_parity(tmp_path, atlas)


def test_source_date_epoch_fixes_the_time(
    tmp_path: Path, atlas: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    export(atlas, tmp_path / "out", quiet=True)
    identity = read_export(tmp_path / "out").identity
    assert identity["created_at"] == "1970-01-02T00:00:00Z"
    assert identity["cellucid_data_version"] == f"cellucid-dask {cellucid_dask.__version__}"


def test_readers_find_the_values_they_were_given(tmp_path: Path, atlas: AnnData) -> None:
    """Without the oracle: what is stored is the input, within one step of quantization."""
    export(atlas, tmp_path / "out", quiet=True, var_quantization=16)
    made = read_export(tmp_path / "out")
    for j, (gene, lo, hi) in enumerate(made.manifests["var_manifest.json"]["fields"]):
        step = (hi - lo) / 65534
        read = lo + made.arrays[f"var/{gene}.values.u16"] * step
        np.testing.assert_allclose(read, atlas.X[:, j].toarray().ravel(), rtol=0, atol=1.01 * step)
    group = atlas.obs["group"].cat
    assert made.categorical("group")[1] == list(group.categories)
    assert_same_bits(
        made.arrays["obs/group.codes.u8"], group.codes.to_numpy().astype(np.uint8), "codes"
    )


def test_every_stage_has_its_seconds_in_the_result(tmp_path: Path, atlas: AnnData) -> None:
    seconds = export(atlas, tmp_path / "out").seconds
    stages = {"check", "points", "obs columns", "obs manifest", "genes", "manifests", "publish"}
    assert stages <= seconds.keys()
