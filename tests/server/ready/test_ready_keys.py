"""Zarr folders key by key, and the consolidated metadata that the server makes for them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import zarr
from oracle import silent
from served_ready import READY, ROOTS, forget, store_url
from serving import Client, ask, serving

from cellucid_dask import CellucidServer
from cellucid_dask.server.ready.consolidate import consolidate, has_same_metadata
from cellucid_dask.server.ready.documents import read_documents
from cellucid_dask.source.storage.store import locate_store

FOLDERS = ("two.zarr", "three.zarr", "shards.zarr")


@pytest.mark.parametrize("kind", FOLDERS)
def test_every_file_is_a_key(
    kind: str, ready_files: dict[str, Path], ready_servers: dict[str, CellucidServer]
) -> None:
    folder, url = ready_files[kind], store_url(ready_servers[kind])
    with Client(ready_servers[kind]) as client:
        for path in folder.rglob("*"):
            if path.is_file():
                reply = client(url + path.relative_to(folder).as_posix())
                assert (reply.status, reply.body) == (200, path.read_bytes()), path


@pytest.fixture(scope="module")
def littered(
    tmp_path_factory: pytest.TempPathFactory, ready_files: dict[str, Path]
) -> Iterator[tuple[Path, CellucidServer]]:
    """A store with files among its keys that are none, and its server."""
    above = tmp_path_factory.mktemp("littered")
    folder = Path(shutil.copytree(ready_files["two.zarr"], above / "a.zarr"))
    (above / "secret").write_text("secret")
    for name in ("notes.txt", "X/notes.txt", "X/data/notes", "X/data/1.txt", "X/0", "obs/.hidden"):
        (folder / name).write_text("secret")
    (folder / ".git").mkdir()
    (folder / ".git" / ".zarray").write_text("secret")
    (folder / "X" / "data" / "7").mkdir()
    os.mkfifo(folder / "X" / "data" / "8")
    (folder / "X" / "data" / "9").symlink_to(above / "secret")
    (folder / "X" / "data" / "10").symlink_to(folder / "X" / "data" / "0")
    with serving(folder, **READY) as server:
        assert "a ready zarr" in server.opened.describe("it")[0], "as it lies"
        yield folder, server


def test_a_link_that_leaves_the_store_is_an_error(littered: tuple[Path, CellucidServer]) -> None:
    """Not 404, which a reader takes for a chunk of zeros; nor what it leads to."""
    _, server = littered
    for method in ("GET", "HEAD"):
        reply = ask(server, store_url(server) + "X/data/9", method=method)
        assert reply.status == 503
        assert b"secret" not in reply.body


@pytest.mark.parametrize(
    "key",
    [
        "",
        "X",
        "X/",
        "X/data",
        "X/data/",
        "X/data/7",
        "X/data/8",
        "X/data/99",
        "X/data/-1",
        "X/data/0/",
        "X/data/0.txt",
        "X/data/1.txt",
        "X/data/notes",
        "X/data/c/0",
        "X/0",
        "X/notes.txt",
        "notes.txt",
        "obs/.hidden",
        ".git/.zarray",
        "absent/.zarray",
        "/.zgroup",
        "X//data/0",
        "X/./data/0",
        "X/../X/data/0",
        "../secret",
        "../a.zarr/X/data/0",
        "X/data/../../../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "X%2f..%2f..%2fsecret",
        "..%5csecret",
        "X%5Cdata%5C0",
        "X\\data\\0",
        "X/data/0%00",
        "X/data/%00",
        "%2fetc/passwd",
        "X/data/\xb2",
        "X/data/" + "0" * 300,
        "/".join("a" * 400),
    ],
)
def test_all_else_is_not_found(key: str, littered: tuple[Path, CellucidServer]) -> None:
    _, server = littered
    for method in ("GET", "HEAD"):
        path = (store_url(server) + key).encode("latin-1")
        reply = ask(server, path, method=method)
        assert reply.status in ((404,) if key.isascii() else (400, 404)), key
        assert b"secret" not in reply.body


def test_a_link_inside_is_a_key(littered: tuple[Path, CellucidServer]) -> None:
    folder, server = littered
    url = store_url(server)
    assert ask(server, f"{url}X/data/10").body == (folder / "X/data/0").read_bytes()
    assert ask(server, f"{url}X%2Fdata%2F0").body == (folder / "X/data/0").read_bytes()


# ---------------------------------------------------------------------------- consolidated metadata


def forget_an_array(folder: Path) -> None:
    """Leave an array out of them, as of a store that was written to afterwards."""
    if (folder / ".zmetadata").exists():
        document = json.loads((folder / ".zmetadata").read_bytes())
        document["metadata"] = {
            key: value for key, value in document["metadata"].items() if "obs/score" not in key
        }
        (folder / ".zmetadata").write_text(json.dumps(document))
    else:
        document = json.loads((folder / "zarr.json").read_bytes())
        del document["consolidated_metadata"]["metadata"]["obs/score"]
        (folder / "zarr.json").write_text(json.dumps(document))


def change_a_chunk_length(folder: Path) -> None:
    name = ROOTS["two.zarr" if (folder / ".zmetadata").exists() else "three.zarr"]
    text = (folder / name).read_text()
    assert text.count("[696]")
    (folder / name).write_text(text.replace("[696]", "[695]"))


def damage(folder: Path) -> None:
    if (folder / ".zmetadata").exists():
        (folder / ".zmetadata").write_text('{"metadata": [')
    else:
        document = json.loads((folder / "zarr.json").read_bytes())
        document["consolidated_metadata"] = {"metadata": [3]}
        (folder / "zarr.json").write_text(json.dumps(document))


@pytest.mark.parametrize("kind", ROOTS)
@pytest.mark.parametrize("spoil", [forget, forget_an_array, change_a_chunk_length, damage])
def test_consolidated_metadata_are_those_of_the_store(
    kind: str, spoil: Callable[[Path], None], ready_files: dict[str, Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(ready_files[kind], tmp_path / "copy.zarr"))
    spoil(copy)
    before = (copy / ROOTS[kind]).read_bytes() if (copy / ROOTS[kind]).exists() else None
    with serving(copy, **READY) as server:
        assert ROOTS[kind] in "\n".join(server.opened.describe("it")), "said at the start"
        reply = ask(server, store_url(server) + ROOTS[kind])
        assert reply.status == 200
        assert reply.get("Content-Type") == "application/octet-stream"
    after = (copy / ROOTS[kind]).read_bytes() if (copy / ROOTS[kind]).exists() else None
    assert before == after, "the store is left as it is"
    (copy / ROOTS[kind]).write_bytes(reply.body)
    assert_same_anndata(ready_files[kind], copy)
    group = zarr.open_consolidated(str(copy))
    assert "score" in group["obs"]
    assert group["X/data"].chunks == (696,)


def assert_same_anndata(one: Path, other: Path) -> None:
    first, second = ad.read_zarr(one), ad.read_zarr(other)
    pd.testing.assert_frame_equal(first.obs, second.obs)
    pd.testing.assert_frame_equal(first.var, second.var)
    assert (first.X != second.X).nnz == 0
    assert {*first.obsm} == {*second.obsm}
    for key in first.obsm:
        np.testing.assert_array_equal(first.obsm[key], second.obsm[key])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_they_are_what_zarr_makes(zarr_format: Any, tmp_path: Path) -> None:
    """Of a store that zarr wrote, with what ready files do not have."""
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=zarr_format)
    group.attrs["of the root"] = {"nested": [1, 2.5, None, "é"]}
    deep = group.create_group("b/a/c")
    group.create_group("a")
    group.create_array("scalar", data=np.array(3.0))
    deep.create_array("floats", shape=(5,), chunks=(2,), dtype="f4", fill_value=np.nan)
    deep.create_array("a", shape=(3, 4), dtype="i8").attrs["shape"] = [1]
    deep.create_array("texts", shape=(2,), dtype="str")
    store = locate_store(tmp_path / "a.zarr")
    key, made = consolidate(read_documents(store))
    silent(zarr.consolidate_metadata, tmp_path / "a.zarr")
    theirs = (tmp_path / "a.zarr" / key).read_bytes()
    assert json.loads(made) == json.loads(theirs)
    assert has_same_metadata(made, theirs)


def test_a_right_list_is_sent_as_it_lies(ready_files: dict[str, Path], tmp_path: Path) -> None:
    """Also one that another program wrote, with other white space and without empty lists."""
    for kind, root in ROOTS.items():
        copy = Path(shutil.copytree(ready_files[kind], tmp_path / kind))
        document = json.loads((copy / root).read_bytes())
        nodes = document.get("consolidated_metadata", document)["metadata"]
        assert any(node.pop("consolidated_metadata", None) for node in nodes.values())
        (copy / root).write_text(json.dumps(document, indent=3, sort_keys=True))
        with serving(copy, **READY) as server:
            reply = ask(server, store_url(server) + root)
            assert reply.body == (copy / root).read_bytes()
            assert root not in "\n".join(server.opened.describe("it"))
