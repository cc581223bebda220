"""Several embeddings of one dimension in an export: the first is the default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from atlas import atlas, here, save
from numpy.typing import NDArray
from oracle import file_bytes, read_export

from cellucid_dask import CellucidDaskError, check, export, prepare
from cellucid_dask.verify import verify

FIXED = {"quiet": True, "workers": 1, "created_at": "2026-01-31T12:00:00Z", "dataset_name": "a"}
SEVERAL = {2: ["X_umap_2d", "X tsne", "spatial"], 3: "X_umap_3d", 1: ["time"]}
MANIFESTS = {"dataset_identity.json", "checksums.json"}


def tissue(cells: int = 60) -> AnnData:
    """An atlas with a t-SNE, pixels of a wide image, and a pseudotime."""
    adata, rng = atlas(cells), np.random.default_rng(5)
    adata.obsm["X tsne"] = rng.normal(size=(cells, 2)) * 40
    adata.obsm["spatial"] = rng.uniform((0, 0), (20_000, 5_000), (cells, 2)).astype("i4")
    adata.obsm["time"] = rng.random((cells, 1)).astype("f4")
    return adata


def normalized(values: NDArray[Any]) -> NDArray[np.float32]:
    """Coordinates on one scale for all axes, the widest from -1 to 1."""
    values = values.astype("f4")
    lo, hi = values.min(axis=0), values.max(axis=0)
    points: NDArray[np.float32] = (values - (lo + hi) / np.float32(2)) * (2 / (hi - lo).max())
    return points


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_files_of_additional_embeddings(tmp_path: Path, suffix: str) -> None:
    adata = tissue()
    path = save(adata, tmp_path / f"a{suffix}")
    result = export(path, tmp_path / "several", embeddings=SEVERAL, **FIXED)
    assert result.n_embeddings == 5
    several = read_export(tmp_path / "several")
    for key, name, dim in (("X tsne", "X_tsne", 2), ("spatial", "spatial", 2)):
        points = several.arrays[f"points/{name}_{dim}d.bin"].reshape(-1, dim)
        np.testing.assert_array_equal(points, normalized(adata.obsm[key]))
    width, height = np.ptp(points, axis=0)
    x, y = np.ptp(adata.obsm["spatial"], axis=0)
    assert height / width == pytest.approx(y / x), "pixels keep their proportions"
    assert several.identity["embeddings"]["sources"] == [
        {"id": "time", "dimension": 1, "path": "points_1d.bin.gz"},
        {"id": "X_umap_2d", "dimension": 2, "path": "points_2d.bin.gz"},
        {"id": "X_umap_3d", "dimension": 3, "path": "points_3d.bin.gz"},
        {"id": "X tsne", "dimension": 2, "path": "points/X_tsne_2d.bin.gz"},
        {"id": "spatial", "dimension": 2, "path": "points/spatial_2d.bin.gz", "y_down": True},
    ]
    found = verify(tmp_path / "several", path)
    assert (found.problems, found.not_compared) == ((), ())
    export(path, tmp_path / "one", embeddings={2: "X_umap_2d", 1: "time"}, **FIXED)
    one, more = file_bytes(tmp_path / "one"), file_bytes(tmp_path / "several")
    assert more.keys() - one.keys() == {"points/X_tsne_2d.bin.gz", "points/spatial_2d.bin.gz"}
    assert all(more[name] == one[name] for name in one.keys() - MANIFESTS), "the rest is as it was"


def test_the_first_is_the_default(tmp_path: Path, capfd: Any) -> None:
    """On the command line, where the order is that of the options."""
    adata = tissue()
    path, out = save(adata, tmp_path / "a.h5ad"), tmp_path / "out"
    words = [w for key in ("spatial", "X_umap_2d") for w in ("--embedding", f"2d={key}")]
    assert here(capfd, "export", path, "-o", out, "--compression", 0, *words).code == 0
    made = read_export(out)
    points = made.arrays["points_2d.bin"].reshape(-1, 2)
    np.testing.assert_array_equal(points, normalized(adata.obsm["spatial"]))
    sources = made.identity["embeddings"]["sources"]
    assert [entry["id"] for entry in sources] == ["spatial", "X_umap_3d", "X_umap_2d"]
    assert sources[0]["y_down"]
    assert here(capfd, "verify", out, "--against", path, *words).code == 0
    done = here(capfd, "verify", out, "--against", path, *words, "--embedding", "1d=time")
    assert done.code == 0
    done = here(capfd, "verify", out, *words, "--embedding", "2d=X tsne")
    assert (done.code, "has no additional embedding 'X tsne'" in done.out) == (1, True)
    listed = here(capfd, "check", path, *words).out
    assert "embedding obsm/spatial as 2d\n" in listed
    assert "embedding obsm/X_umap_2d as 2d, additional" in listed
    assert "is ignored" not in listed


def test_what_cannot_be_shown_is_told_together(tmp_path: Path) -> None:
    adata = tissue()
    adata.obsm["X_tsne"] = adata.obsm["x tsne"] = adata.obsm["X tsne"]
    adata.obsm["holes"] = adata.obsm["X tsne"].copy()
    adata.obsm["holes"][[3, 8]] = np.nan
    keys = ["X_umap_2d", "X_tsne", "x tsne", "holes", "X_pca", "nothing", "X_umap_2d"]
    with pytest.raises(CellucidDaskError) as caught:
        export(adata, tmp_path / "out", embeddings={2: keys, 3: []}, **FIXED)
    told = "\n".join(str(problem) for problem in caught.value.problems)
    for part in (
        "embeddings: 'X_umap_2d' is given twice for 2d",
        "embeddings: no key is given for 3d",
        "embeddings[2]: there is no obsm key 'nothing'",
        "obsm/X_pca: has shape (60, 5), not (60, 2)",
        "obsm/holes: 2 of 60 cells have NaN or Inf (rows 3, 8)",
        "embeddings: 'X_tsne', 'x tsne' would share the file name 'X_tsne'",
    ):
        assert part in told
    assert len(caught.value.problems) == 6
    assert not (tmp_path / "out").exists()
    del adata.obsm["holes"]
    assert check(adata, embeddings={2: ["X_umap_2d", "X_tsne"], 1: "time"}).problems == ()


def test_cells_without_a_place_in_an_additional_embedding(tmp_path: Path) -> None:
    adata = tissue()
    adata.obsm["X tsne"][[3, 8]] = np.nan
    path = save(adata, tmp_path / "a.h5ad")
    how = {"drop_cells_without_embedding": True, "embeddings": {2: ["X_umap_2d", "X tsne"]}}
    export(path, tmp_path / "out", **how, **FIXED)
    made = read_export(tmp_path / "out")
    kept = np.delete(adata.obsm["X tsne"], [3, 8], axis=0)
    points = made.arrays["points/X_tsne_2d.bin"].reshape(-1, 2)
    np.testing.assert_array_equal(points, normalized(kept))
    assert verify(tmp_path / "out", path, drop_cells_without_embedding=True).problems == ()


def test_no_latent_space_is_guessed_of_what_is_shown(tmp_path: Path) -> None:
    adata = tissue()
    for key in ("X_pca", "time"):
        del adata.obsm[key]
    result = export(adata, tmp_path / "a", embeddings={2: ["X_umap_2d", "X tsne", "spatial"]},
                    **FIXED)  # fmt: skip
    assert "latent    obsm/X_umap_3d" in result.discovered
    result = export(adata, tmp_path / "b", embeddings={2: ["X_umap_2d", "X tsne"]}, **FIXED)
    assert any(line.startswith("latent    obsm/spatial, a guess") for line in result.discovered)


@pytest.mark.parametrize("name", ["zarr", "h5ad"])
def test_ready_files_show_the_first(tmp_path: Path, name: str) -> None:
    adata = tissue()
    out = tmp_path / f"out.{name}"
    how = {"quiet": True, "workers": 1, "format": name}
    export(adata, out, embeddings={2: ["X tsne", "spatial"]}, **how)
    export(out, tmp_path / "folder", **FIXED)
    sources = read_export(tmp_path / "folder").identity["embeddings"]["sources"]
    assert [entry["id"] for entry in sources] == ["X tsne", "X_umap_3d"]
    with pytest.raises(CellucidDaskError, match="there is no obsm key 'nothing'"):
        export(adata, out, embeddings={2: ["X tsne", "nothing"]}, force=True, **how)


def test_both_formats_at_once(tmp_path: Path) -> None:
    how = {"embeddings": {2: ["X_umap_2d", "X tsne"]}}
    export(tissue(), tmp_path / "out", format="folder,h5ad", **how, **FIXED)
    export(tissue(), tmp_path / "alone", **how, **FIXED)
    alone = file_bytes(tmp_path / "alone")
    (folder,) = (p for p in tmp_path.glob("out*") if p.is_dir())
    assert file_bytes(folder) == alone


def test_prepare_takes_loose_arrays(tmp_path: Path) -> None:
    adata = tissue()
    more = {key: adata.obsm[key] for key in ("X tsne", "spatial", "time")}
    arrays = {"latent_space": adata.obsm["X_pca"], "obs": adata.obs, "var": adata.var}
    arrays |= {"gene_expression": adata.X, "connectivities": adata.obsp["connectivities"]}
    arrays |= {f"X_umap_{d}d": adata.obsm[f"X_umap_{d}d"] for d in (2, 3)}
    how = {"quiet": True, "created_at": FIXED["created_at"], "dataset_name": "a"}
    prepare(out_dir=tmp_path / "ours", additional_embeddings=more, compression=6, **arrays, **how)
    named = {"embeddings": SEVERAL, "latent_key": "X_pca", "compression": 6}
    export(adata, tmp_path / "theirs", var_quantization=None, obs_quantization=None, **named,
           **FIXED)  # fmt: skip
    ours, theirs = file_bytes(tmp_path / "ours"), file_bytes(tmp_path / "theirs")
    assert {name for name in theirs if ours[name] != theirs[name]} == {
        "obs_manifest.json"  # it names the latent space
    }
    wrong = {"X_pca": adata.obsm["X_pca"], "X_umap_2d": more["spatial"], "flat": np.ones(60)}
    with pytest.raises(CellucidDaskError) as caught:
        prepare(out_dir=tmp_path / "no", additional_embeddings=wrong, **arrays, **how)
    assert [str(problem).partition("\n")[0] for problem in caught.value.problems] == [
        "additional_embeddings['X_pca']: has shape (60, 5), not (n_cells, 1, 2 or 3)",
        "additional_embeddings['X_umap_2d']: is the name of another argument",
        "additional_embeddings['flat']: has shape (60,), not (n_cells, 1, 2 or 3)",
    ]
