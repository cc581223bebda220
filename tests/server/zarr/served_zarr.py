"""What the tests of served zarr stores share."""

from __future__ import annotations

import zipfile
from pathlib import Path

from anndata import AnnData
from layouts import laid_out
from oracle import make_atlas
from versions import write_zarr

ROOT = "/_cellucid/zarr"

METADATA = (".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json")

CHUNK = {"v2": "X/data/0", "v3": "X/data/c/0"}

ODD = "a%b+c?d#e"  # the name of a column, which clients must quote in a path


def atlas_of(layout: str = "csr") -> AnnData:
    """An atlas in a layout, with a column whose name is not ASCII."""
    atlas = make_atlas(n_genes=14)
    atlas.X = laid_out(atlas.X, layout)
    atlas.obs["µm² Zelle"] = atlas.obs["score"] * 2
    return atlas


def tidied(path: Path, kind: str) -> Path:
    """A store as anndata writes it, with its metadata consolidated."""
    atlas = atlas_of()
    atlas.obs[ODD] = atlas.obs["depth"] * 2
    return write_zarr(atlas, path, kind)


def zipped(folder: Path) -> Path:
    """The same store in one file."""
    path = folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return path


def members(path: Path) -> dict[str, bytes]:
    """Everything in a store, by key."""
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.is_file()]
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
