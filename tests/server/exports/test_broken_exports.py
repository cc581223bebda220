"""Exports that cannot be served: the reason, and the others beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from exported import check_every_file, edit_manifest, list_datasets
from serving import Client, ask, serving

from cellucid_dask import CellucidDaskError, CellucidServer

BROKEN: dict[str, Callable[[Path], object]] = {
    "no identity": lambda path: (path / "dataset_identity.json").unlink(),
    "no obs manifest": lambda path: (path / "obs_manifest.json").unlink(),
    "empty identity": lambda path: (path / "dataset_identity.json").write_bytes(b""),
    "bad json": lambda path: (path / "dataset_identity.json").write_bytes(b'{"id": '),
    "no utf-8": lambda path: (path / "obs_manifest.json").write_bytes(b'{"a": "\xff\xfe"}'),
    "a list": lambda path: (path / "dataset_identity.json").write_bytes(b"[1]"),
    "no id": lambda path: edit_manifest(path / "dataset_identity.json", id=None),
    "id no text": lambda path: edit_manifest(path / "dataset_identity.json", id=7),
    "no name": lambda path: edit_manifest(path / "dataset_identity.json", name=None),
    "no embeddings": lambda path: edit_manifest(path / "dataset_identity.json", embeddings=None),
    "files a list": lambda path: edit_manifest(
        path / "dataset_identity.json", embeddings={"files": ["points_2d.bin"]}
    ),
    "names the parent": lambda path: edit_manifest(
        path / "dataset_identity.json", embeddings={"files": {"2d": "../one/points_2d.bin.gz"}}
    ),
    "names the root": lambda path: edit_manifest(
        path / "dataset_identity.json", embeddings={"files": {"2d": "/etc/passwd"}}
    ),
    "names a number": lambda path: edit_manifest(
        path / "dataset_identity.json", embeddings={"files": {"2d": 5}}
    ),
    "vectors a list": lambda path: edit_manifest(path / "dataset_identity.json", vector_fields=[1]),
    "fields a number": lambda path: edit_manifest(path / "obs_manifest.json", _continuousFields=5),
    "field empty": lambda path: edit_manifest(path / "obs_manifest.json", _categoricalFields=[[]]),
    "field no list": lambda path: edit_manifest(
        path / "obs_manifest.json", _categoricalFields=[None]
    ),
    "dtype unknown": lambda path: edit_manifest(
        path / "obs_manifest.json", _categoricalFields=[["a", ["x"], "uint64", 1, {}]]
    ),
    "no schemas": lambda path: edit_manifest(path / "obs_manifest.json", _obsSchemas=None),
    "pattern of elsewhere": lambda path: edit_manifest(
        path / "var_manifest.json", _varSchema={"pathPattern": "../{key}"}
    ),
    "genes a number": lambda path: edit_manifest(path / "var_manifest.json", fields=5),
    "gene a number": lambda path: edit_manifest(path / "var_manifest.json", fields=[5]),
    "var a folder": lambda path: (
        (path / "var_manifest.json").unlink(),
        (path / "var_manifest.json").mkdir(),
    ),
    "edges elsewhere": lambda path: edit_manifest(
        path / "connectivity_manifest.json", sourcesPath="/dev/zero"
    ),
    "no edges": lambda path: edit_manifest(path / "connectivity_manifest.json", sourcesPath=None),
}


DEEP: dict[str, Callable[[Path], object]] = {
    "deep json": lambda path: (path / "dataset_identity.json").write_bytes(b"[" * 200_000),
    "deep obs": lambda path: (path / "obs_manifest.json").write_bytes(b'{"a":' * 200_000),
}


def test_broken_exports_are_listed_with_a_reason(exports: dict[str, Path], tmp_path: Path) -> None:
    """The others are served, and the reason holds no path of this machine."""
    root = tmp_path / "root"
    shutil.copytree(exports["eight"], root / "good")
    for name, spoil in BROKEN.items():
        shutil.copytree(exports["eight"], root / name)
        spoil(root / name)
    with serving(root) as server, Client(server) as client:
        entries = list_datasets(server)
        assert set(entries) == {f"/{quote(name)}/" for name in ("good", *BROKEN)}
        for name in BROKEN:
            entry = entries[f"/{quote(name)}/"]
            assert entry["error"], name
            assert str(tmp_path) not in entry["error"]
            assert "\n" not in entry["error"]
            for file in ("dataset_identity.json", "obs_manifest.json", "points_2d.bin.gz"):
                assert client(f"/{quote(name)}/{file}").status in (404, 503), (name, file)
        check_every_file(client, root / "good", "/good/")
        catalog = json.loads(client("/datasets.json").body)
        assert [entry["path"] for entry in catalog["datasets"]] == ["good/"]


@pytest.mark.parametrize("name", DEEP)
def test_too_deep_json_does_not_block_other_exports(folder: Path, name: str) -> None:
    DEEP[name](folder / "one")
    with serving(folder) as server:
        assert list_datasets(server)["/one/"]["error"]
        assert ask(server, "/one/obs_manifest.json").status in (404, 503)
        assert ask(server, "/id1/obs_manifest.json").status == 200


@pytest.mark.parametrize("name", [*BROKEN, *DEEP])
def test_a_broken_export_alone_is_refused(export_copy: Path, name: str) -> None:
    (BROKEN | DEEP)[name](export_copy)
    with pytest.raises(CellucidDaskError) as told:
        CellucidServer(export_copy, port=0, quiet=True)
    assert len(str(told.value)) < 2000


def test_folder_without_exports_is_refused(tmp_path: Path, exports: dict[str, Path]) -> None:
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    with pytest.raises(CellucidDaskError, match="no export"):
        CellucidServer(tmp_path / "empty", port=0, quiet=True)
    (tmp_path / "bad" / "one").mkdir(parents=True)
    (tmp_path / "bad" / "one" / "dataset_identity.json").write_text("{")
    with pytest.raises(CellucidDaskError, match="one"):
        CellucidServer(tmp_path / "bad", port=0, quiet=True)
    for path in (tmp_path / "missing", exports["eight"] / "obs_manifest.json"):
        with pytest.raises(CellucidDaskError):
            CellucidServer(path, port=0, quiet=True)
