"""Ids of cells: a file of an export, paths of a live server, and their verification."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from comparing import assert_alike
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import CREATED, file_bytes, make_atlas, oracle_arguments
from serving import Client, ask, serving
from versions import ZARR_KINDS, write_zarr

from cellucid_dask import check, export, prepare
from cellucid_dask.exporter.stages import cell_ids
from cellucid_dask.format import ids_block
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.verify import verify

Save = Callable[..., Path]
HOW = {"quiet": True, "created_at": CREATED, "dataset_id": "a", "expression": False}
CELLS = 4500  # three blocks


def named(n_cells: int = CELLS) -> AnnData:
    """Cells with ids of all kinds of characters, some of which repeat."""
    atlas = make_atlas(n_cells)
    names = [f"AAAC{i:05d}-1" for i in range(n_cells)]
    names[:4] = ['quote "', "back\\slash", "数😀", names[4]]
    atlas.obs_names = names
    return atlas


def ids_in(out: Path) -> list[str]:
    """Ids of an export, read block by block as the docs say."""
    index = json.loads((out / "obs_manifest.json").read_text())["_index"]
    raw = (out / index["path"]).read_bytes()
    assert index["offsets"][-1] == len(raw)
    unpack = gzip.decompress if index["path"].endswith(".gz") else bytes
    blocks = [json.loads(unpack(raw[a:b])) for a, b in pairwise(index["offsets"])]
    assert all(len(block) == index["blockSize"] == 2048 for block in blocks[:-1])
    return [name for block in blocks for name in block]


@pytest.mark.parametrize("kind", ["memory", "h5ad", *ZARR_KINDS])
@pytest.mark.parametrize("level", [0, 6])
def test_ids_of_any_input(tmp_path: Path, saved: Save, kind: str, level: int) -> None:
    data: Any = named()
    names = data.obs_names.tolist()
    if kind in ZARR_KINDS:
        data = write_zarr(data, tmp_path / "atlas.zarr", kind)
    elif kind == "h5ad":
        data = saved(data)
    out = tmp_path / "out"
    export(data, out, compression=level, **HOW)
    assert ids_in(out) == names
    assert verify(out, None if kind == "memory" else data).problems == ()


def test_the_bytes_do_not_depend_on_the_tasks(
    tmp_path: Path, saved: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(named())
    for name, blocks in (("one", 64), ("three", 1)):
        monkeypatch.setattr(cell_ids, "BLOCKS", blocks)
        export(path, tmp_path / name / "out", workers=1, **HOW)
    assert file_bytes(tmp_path / "one") == file_bytes(tmp_path / "three")


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(220),
        pd.Index(np.arange(220) / 4),
        pd.CategoricalIndex(["b", "a"] * 110),
        pd.date_range("2026-01-01", periods=220),
        pd.MultiIndex.from_product([["x", "y"], range(110)]),
        pd.Index([None, 1.5, "x", (1,)] * 55, dtype=object),
    ],
    ids=["range", "floats", "categories", "dates", "tuples", "mixed"],
)
def test_names_that_are_no_text(tmp_path: Path, index: pd.Index[Any]) -> None:
    arguments = oracle_arguments(make_atlas())
    arguments["obs"] = arguments["obs"].set_axis(index)
    prepare(**arguments, out_dir=tmp_path / "out", quiet=True)
    expected = [str(name) for name in index.to_series().astype(str)]
    assert ids_in(tmp_path / "out") == [name.replace("None", "nan") for name in expected]


def test_ids_are_left_out_if_nobody_wants_them(tmp_path: Path, saved: Save) -> None:
    path, out = saved(named(220)), tmp_path / "out"
    export(path, out, cell_ids=False, **HOW)
    prepare(**oracle_arguments(named(220)), out_dir=tmp_path / "two", quiet=True, cell_ids=False)
    for folder in (out, tmp_path / "two"):
        assert not list((folder / "obs").glob("_index*"))
        assert "_index" not in json.loads((folder / "obs_manifest.json").read_text())
        assert b"AAAC0" not in b"".join(file_bytes(folder).values())
    assert verify(out, path).problems == ()
    with serving(path, cell_ids=False) as server:
        assert "_index" not in json.loads(ask(server, "/obs_manifest.json").body)
        assert ask(server, "/obs/_index/0.json").status == 404
    problems = check(path, cell_ids=False, format="h5ad").problems
    said = "is of the folder format: ready files hold the names of cells"
    assert any(problem.what.startswith(said) for problem in problems)


def in_one_chunk(path: Path) -> Path:
    """Put the names of the cells of an h5ad into one chunk."""
    with h5py.File(path, "r+") as file:
        index = f"obs/{file['obs'].attrs['_index']}"
        if isinstance(file[index], h5py.Group):  # as newer versions of anndata write text
            index += "/values"
        names, attributes = file[index][:], dict(file[index].attrs)
        del file[index]
        kind = h5py.string_dtype()
        made = file.create_dataset(index, data=names, dtype=kind, chunks=names.shape)
        made.attrs.update(attributes)
    return path


@pytest.mark.parametrize("kind", ["memory", "h5ad", "one chunk", "v3 sharded"])
def test_a_live_server_answers_each_block(tmp_path: Path, saved: Save, kind: str) -> None:
    data: Any = named()
    if kind == "v3 sharded":  # a block is several chunks
        data = write_zarr(data, tmp_path / "a.zarr", kind)
    elif kind != "memory":
        data = saved(data) if kind == "h5ad" else in_one_chunk(saved(data))
    assert_alike(data, tmp_path, {"expression": False, "connectivity": False, "vectors": False})
    with serving(data, index=False) as server, Client(server) as get:
        for block in ("3", "00", "-1", "x", "99999999999999999999", "1.5", ""):
            assert get(f"/obs/_index/{block}.json").status == 404, block
        assert get("/obs/_index.ids").status == 404


def test_a_live_server_reads_the_part_that_is_asked_for(
    saved: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = saved(named(), "atlas.zarr"), []
    get = FileArray.__getitem__

    def recorded(self: FileArray, index: Any) -> Any:
        if self.key.startswith("obs/_index"):
            read.append(index)
        return get(self, index)

    monkeypatch.setattr(FileArray, "__getitem__", recorded)
    with serving(path, index=False) as server, Client(server) as client:
        for _ in range(3):
            assert client("/obs/_index/1.json").status == 200
    assert {(rows.start, rows.stop) for rows in read} == {(2048, 4096)}


def test_ids_that_cannot_be_read_are_left_out(tmp_path: Path, saved: Save) -> None:
    path, out = saved(named(220)), tmp_path / "out"
    with h5py.File(path, "r+") as file:
        name = file["obs"].attrs["_index"]
        values = [b"\xff\xfe" if i == 100 else b"c%d" % i for i in range(220)]
        attributes = dict(file["obs"][name].attrs)
        del file["obs"][name]
        file["obs"].create_dataset(name, data=values, dtype=h5py.string_dtype())
        file["obs"][name].attrs.update(attributes)
    result = export(path, out, **HOW)
    (warning,) = [w for w in result.warnings if "ids" in w]
    assert warning.startswith(
        "cell ids are left out: the index of obs holds text that is not UTF-8"
    )
    assert "_index" not in json.loads((out / "obs_manifest.json").read_text())
    assert verify(out).problems == ()


def test_a_server_sends_a_block_of_an_export(tmp_path: Path, saved: Save) -> None:
    data = named()
    out = tmp_path / "out"
    export(data, out, **HOW)
    index = json.loads((out / "obs_manifest.json").read_text())["_index"]
    start, stop = index["offsets"][1:3]
    with serving(out) as server:
        reply = ask(server, f"/{index['path']}", {"Range": f"bytes={start}-{stop - 1}"})
    assert reply.status == 206
    assert json.loads(gzip.decompress(reply.body)) == data.obs_names[2048:4096].tolist()


@settings(max_examples=50)
@given(st.lists(st.text(st.characters())))
def test_a_block_is_json_of_any_texts(ids: list[str]) -> None:
    text = ids_block(ids)
    assert text.isascii()
    assert json.loads(text) == ids
