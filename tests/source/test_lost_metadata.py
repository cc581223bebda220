"""Metadata of zarr that a copy lacks or that is none: what depends on it does not go unnoticed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import zarr
from atlas import atlas
from chunked import KINDS, write_chunked, zipped
from oracle import silent

from cellucid_dask import CellucidDaskError, check

TOLD = "has no metadata of zarr, so it is not known what it is"


def told(path: Path, **options: Any) -> str:
    """All problems and warnings."""
    try:
        found = check(path, **options)
    except CellucidDaskError as error:
        return str(error)
    return "\n".join(map(str, (*found.problems, *found.warnings)))


@pytest.mark.parametrize("kind", ["v2 .", "v3"])
@pytest.mark.parametrize("key", ["X", "obsp", "obsp/connectivities", "layers"])
def test_a_group_that_lost_its_metadata(tmp_path: Path, kind: str, key: str) -> None:
    path = write_chunked(atlas(), tmp_path / "atlas.zarr", KINDS[kind], chunk=60)
    for name in (".zgroup", ".zattrs", "zarr.json"):
        (path / key / name).unlink(missing_ok=True)
    for pack in (Path, zipped):
        assert TOLD in told(pack(path))
        assert key.removesuffix("/indices") in told(path)
        assert check(path).ok == (key == "layers"), "which is not asked for"
    assert check(path, expression=False, connectivity=False).ok


def test_an_empty_folder_is_nothing(tmp_path: Path) -> None:
    made = atlas()
    del made.obsp["connectivities"]
    path = write_chunked(made, tmp_path / "atlas.zarr", chunk=60)
    shutil.rmtree(path / "obsp")
    (path / "obsp").mkdir()
    assert not told(path)


@pytest.mark.parametrize("text", ["null", "[]", "5"])
@pytest.mark.parametrize("key", ["X/indices", "obsm/X_umap_2d", "obs/n_counts", ""])
def test_metadata_that_are_no_object(tmp_path: Path, text: str, key: str) -> None:
    path = write_chunked(atlas(), tmp_path / "atlas.zarr", chunk=60)
    (path / key / "zarr.json").write_text(text)
    assert "cannot be " in told(path)
    assert key.removesuffix("/indices") in told(path)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stores with consolidated metadata, which anndata writes."""
    made = atlas()
    made.uns["cell_type_colors"] = ["#ff0000", "#00ff00", "#0000ff"]
    made.layers["counts"] = made.X
    folder = tmp_path_factory.mktemp("listed")
    for kind in ("v2 .", "v3"):
        write_chunked(made, folder / kind / "atlas.zarr", KINDS[kind], chunk=60)
        silent(zarr.consolidate_metadata, folder / kind / "atlas.zarr")
        assert not told(folder / kind / "atlas.zarr")
    return {kind: folder / kind / "atlas.zarr" for kind in ("v2 .", "v3")}


@pytest.mark.parametrize(("kind", "pack"), [("v2 .", Path), ("v3", zipped)])
@pytest.mark.parametrize("key", ["X", "X/data", "obsm/X_pca", "obsp", "layers", "uns"])
def test_an_array_that_only_the_listing_tells_of(
    listed: dict[str, Path], tmp_path: Path, kind: str, pack: Any, key: str
) -> None:
    """A copy that ended early lacks all of it: there would be no genes, or no graph."""
    path = Path(shutil.copytree(listed[kind], tmp_path / "atlas.zarr"))
    shutil.rmtree(path / key)
    path, options = pack(path), {"layer": "counts"} if key == "layers" else {}
    gone = f"{key}: is not there, but the consolidated metadata lists it"
    if options:
        assert not told(path), "it is not asked for"
    assert gone in told(path, **options)
    assert not check(path, **options).ok
    if key not in ("layers", "X/data"):
        accepted = check(path, accept_missing_chunks=True)
        assert accepted.ok
        assert gone in "\n".join(accepted.warnings)


@pytest.mark.parametrize("key", ["obs", "obs/cell_type"])
def test_attributes_that_are_lost(tmp_path: Path, key: str) -> None:
    path = write_chunked(atlas(), tmp_path / "atlas.zarr", KINDS["v2 ."], chunk=60)
    (path / key / ".zattrs").unlink()
    assert ("encoding-type, so it is not known what it is" in told(path)) == (key != "obs")
    (path / key / ".zgroup").unlink()
    assert f"{key}: {TOLD}" in told(path)
