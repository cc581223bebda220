"""Two copies of a zarr folder export the same bytes, in whichever order their folders were made."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import zarr
from atlas import atlas
from oracle import file_bytes, silent

from cellucid_dask import check, export

FIXED = {"quiet": True, "workers": 1, "created_at": "2026-01-31T12:00:00Z", "dataset_name": "a"}


def several() -> ad.AnnData:
    """An atlas whose latent space has no known name, with several of everything."""
    rng = np.random.default_rng(2)
    adata = atlas()
    del adata.obsm["X_pca"]
    for name in ("B_factors", "a_scores", "A_scores", "C"):
        adata.obsm[name] = rng.normal(size=(60, 4)).astype("f4")
    for name in ("velocity_umap_2d", "drift_umap_2d", "Velocity_umap_3d"):
        adata.obsm[name] = rng.normal(size=(60, int(name[-2]))).astype("f4")
    for name in ("z", "y", "x"):
        adata.layers[name] = adata.X.copy()
        adata.obsp[name] = adata.obsp["connectivities"].copy()
    return adata


def copied(source: Path, copy: Path, *, backwards: bool) -> Path:
    """Copy a folder, making what is in it in the order of the names or in the other one."""
    copy.mkdir()
    for there in sorted(source.iterdir(), reverse=backwards):
        if there.is_dir():
            copied(there, copy / there.name, backwards=backwards)
        else:
            shutil.copy(there, copy / there.name)
    return copy


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    """Folder of a file system that lists in the order of making, where there is one."""
    fast = Path("/dev/shm")
    if not os.access(fast, os.W_OK):
        yield tmp_path
        return
    own = Path(tempfile.mkdtemp(prefix="cellucid-copies-", dir=fast))
    yield own
    shutil.rmtree(own)


@pytest.mark.parametrize("version", [2, 3])
def test_copies_give_the_same_bytes(tmp_path: Path, folder: Path, version: Any) -> None:
    root = zarr.open_group(folder / "one.zarr", mode="w", zarr_format=version)
    silent(ad.io.write_elem, root, "/", several())
    copies = [
        copied(folder / "one.zarr", folder / f"copy{i}.zarr", backwards=bool(i)) for i in range(2)
    ]
    silent(zarr.consolidate_metadata, str(folder / "one.zarr"))
    paths = [folder / "one.zarr", *copies]
    if folder != tmp_path:
        listings = [[p.name for p in (path / "obsm").iterdir()] for path in copies]
        assert listings[0] != listings[1], "the copies do not differ: this shows nothing"
    several().write_h5ad(tmp_path / "one.h5ad")
    found = []
    for i, path in enumerate([*paths, tmp_path / "one.h5ad"]):
        export(path, tmp_path / f"out{i}", **FIXED, dataset_id="a")
        found.append((check(path).discovered, file_bytes(tmp_path / f"out{i}")))
    assert any(line.startswith("latent    obsm/A_scores, a guess") for line in found[0][0])
    assert all(other == found[0] for other in found[1:])
