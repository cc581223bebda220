"""Metadata of zarr that a copy lacks or that is none: what depends on it does not go unnoticed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from atlas import atlas
from chunked import KINDS, write_chunked, zipped

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
