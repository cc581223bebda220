"""Files that a server reads into memory: their record counts as that of a file on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from served_ready import READY, store_url
from serving import ask, serving
from versions import write_zarr
from virtual_inputs import OPTIONS, everything
from virtual_stores import export_store, read_files

from cellucid_dask import CellucidDaskError


def save(folder: Path, kind: str, record: Any = None) -> Path:
    adata = everything()
    adata.obs_names_make_unique()
    if record is not None:
        adata.uns["cellucid"] = record
    adata.strings_to_categoricals()
    if kind == "h5ad":
        adata.write_h5ad(folder / "a.h5ad")
        return folder / "a.h5ad"
    return write_zarr(adata, folder / "a.zarr", kind)


@pytest.mark.parametrize("kind", ["h5ad", "v3"])
def test_every_key_is_that_of_an_export(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path, kind)
    written = read_files(export_store(path, tmp_path / "out", "a", **OPTIONS))
    with serving(path, backed=False, cache_dir=tmp_path / "cache", **READY, **OPTIONS) as server:
        url = store_url(server)
        assert url == "/_cellucid/anndata/own-id.zarr/"
        for key, body in written.items():
            if key != ".zmetadata" and not key.startswith("X"):  # whose codecs differ
                assert ask(server, url + quote(key)).body == body, key


@pytest.mark.parametrize("record", [{"id": "no id", "name": " "}, "a text"])
def test_a_record_that_an_export_refuses_is_refused(tmp_path: Path, record: Any) -> None:
    path = save(tmp_path, "h5ad", record)
    with pytest.raises(CellucidDaskError) as wanted:
        export_store(path, tmp_path / "out", "a", genes=["none"])
    for backed in (True, False):
        options = {"backed": backed, "cache_dir": tmp_path / "cache", "genes": ["none"]}
        with pytest.raises(CellucidDaskError) as found, serving(path, **READY, **options):
            pass
        assert {problem.what for problem in found.value.problems} == {
            problem.what for problem in wanted.value.problems
        }


def test_the_folder_is_named_by_the_record_too(tmp_path: Path) -> None:
    with serving(save(tmp_path, "h5ad"), backed=False, viewer="none", **OPTIONS) as server:
        assert b"Own name" in ask(server, "/dataset_identity.json").body
    broken = save(tmp_path, "h5ad", "a text")
    with serving(broken, backed=False, viewer="none", **OPTIONS) as server:
        assert ask(server, "/dataset_identity.json").status == 200
