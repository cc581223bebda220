"""Where the bytes of a ready file are: their order, and that equal input makes equal bytes."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from packs import CONTAINERS, arrays_of, cut, write_container
from ready_data import Stored, stored
from scipy import sparse

from cellucid_dask.errors import InputError
from cellucid_dask.ready.encode import encode_chunk
from cellucid_dask.ready.facts import HEAD, META_BLOCK, SHARD_CHUNKS, SLICED
from cellucid_dask.ready.layout import ReadyLayout, vector_node
from cellucid_dask.ready.nodes import ArrayNode, Node

N_CELLS, N_GENES = 20_000, 300


@pytest.fixture(scope="module")
def atlas() -> Stored:
    """Some MB: 600,000 values in 10 chunks, many columns, quantiles."""
    rng = np.random.default_rng(0)
    obs = {f"o{i}": rng.random(N_CELLS) for i in range(20)}
    labels = [f"type {i}" for i in range(40)]
    obs |= {f"c{i}": pd.Categorical.from_codes(np.arange(N_CELLS) % 40, labels) for i in range(20)}
    fields = {f"c{i}": rng.random(N_CELLS).astype("f4") for i in range(3)}
    quantiles = {"latentKey": "X_pca", "minPoints": 10, "fields": fields}
    adata = ad.AnnData(
        X=sparse.random(N_CELLS, N_GENES, 0.1, "csc", np.float32, rng),
        obs=pd.DataFrame(obs, index=[f"cell {i}" for i in range(N_CELLS)]),
        obsm={"X_umap": rng.random((N_CELLS, 2), "f4")},
        uns={"title": "x", "cellucid": {"id": "x", "outlierQuantiles": quantiles}},
    )
    adata.X.sort_indices()
    return stored(adata)


class Recorder(io.FileIO):
    """A file that knows the last byte that was read of it."""

    last = 0

    def readinto(self, buffer: Any) -> int | None:
        size = super().readinto(buffer)
        self.last = max(self.last, self.tell())
        return size


def last_byte_of_opening(path: Path, nodes: list[Node]) -> int:
    """How much of an h5ad must be read for its tree, all attributes, and the values of opening."""
    with Recorder(path, "rb") as recorder, h5py.File(recorder, "r") as file:
        for node in nodes:
            found = file[node.path] if node.path else file
            dict(found.attrs)
            if isinstance(node, ArrayNode):
                assert (found.dtype, found.shape) is not None
                if node.opening:
                    found[()]
        return recorder.last


def test_opening_reads_the_head_of_an_h5ad(atlas: Stored, tmp_path: Path) -> None:
    layout, values = atlas
    path = write_container("h5ad", layout.nodes(), values, tmp_path)
    assert path.stat().st_size > 8 * HEAD
    last = last_byte_of_opening(path, layout.nodes())
    assert META_BLOCK < last < HEAD


def test_values_of_an_h5ad_lie_in_order(atlas: Stored, tmp_path: Path) -> None:
    """Those of opening, then the others as declared, each in one run of bytes, X at the end."""
    layout, values = atlas
    path = write_container("h5ad", layout.nodes(), values, tmp_path)
    arrays = sorted(arrays_of(layout.nodes()), key=lambda node: not node.opening)
    numbers = [node for node in arrays if node.shape and not node.is_text]
    fields = "uns/cellucid/outlierQuantiles/fields"
    assert [node.path for node in numbers[:2]] == ["X/indptr", f"{fields}/c0"]
    assert [node.path for node in arrays[-2:]] == ["X/data", "X/indices"]
    before = 0
    with h5py.File(path) as file:
        for node in numbers:
            dataset = file[node.path].id
            found = [dataset.get_chunk_info(i) for i in range(dataset.get_num_chunks())]
            assert [info.chunk_offset for info in found] == [
                tuple(part.start for part in node.region(chunk)) for chunk in range(node.n_chunks)
            ]
            starts = np.array([info.byte_offset for info in found])
            ends = starts + [info.size for info in found]
            assert starts[0] >= before
            assert np.array_equal(starts[1:], ends[:-1])
            before = ends[-1]
        assert file["X/data"].id.get_num_chunks() == -(-values["X/data"].size // SLICED)
    assert before == path.stat().st_size


def test_filters_of_an_h5ad(atlas: Stored, tmp_path: Path) -> None:
    layout, values = atlas
    path = write_container("h5ad", layout.nodes(), values, tmp_path)
    assert path.read_bytes()[8] == 3, "the superblock of HDF5 1.10"
    with h5py.File(path) as file:
        assert file["X/data"].chunks == (SLICED,)
        shuffles = {}
        for node in arrays_of(layout.nodes()):
            dataset = file[node.path]
            if node.shape:
                assert (dataset.compression, dataset.compression_opts) == ("gzip", 6)
                shuffles[node.path] = dataset.shuffle
            else:
                assert dataset.chunks is None
    assert not shuffles["X/data"]
    assert shuffles["X/indices"]
    assert not shuffles["obs/c0/codes"], "of one byte"
    assert not shuffles["obs/_index"]


@pytest.mark.parametrize("container", CONTAINERS)
def test_equal_input_makes_equal_bytes(atlas: Stored, tmp_path: Path, container: str) -> None:
    def written(name: str) -> dict[str, bytes]:
        folder = tmp_path / name
        folder.mkdir()
        path = write_container(container, layout.nodes(), values, folder)
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        found = {str(f.relative_to(folder)): f.read_bytes() for f in files if f.is_file()}
        shutil.rmtree(folder)
        return found

    layout, values = atlas
    first = written("first")
    time.sleep(1.1)  # times in files have seconds
    assert written("second") == first


def test_blosc_stores_blocks_in_order() -> None:
    """More than 1 MiB is several blocks, which threads would finish in any order."""
    node = vector_node("a", 1 << 18, "<f8")
    values = np.random.default_rng(0).random(1 << 18).round(2)
    assert len({encode_chunk(node, values, "zarr3") for _ in range(40)}) == 1


# ---------------------------------------------------------------------------- zip


@pytest.mark.parametrize("container", ["v2.zarr.zip", "v3.zarr.zip", "shards.zarr.zip"])
def test_entries_of_a_zip(atlas: Stored, tmp_path: Path, container: str) -> None:
    layout, values = atlas
    path = write_container(container, cut(layout.nodes(), 2000), values, tmp_path)
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tqq", path], check=True)
    with zipfile.ZipFile(path) as file:
        infos = file.infolist()
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr >> 16 for info in infos} == {0o100644}
    assert {info.create_system for info in infos} == {3}
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
    assert [info.header_offset for info in infos] == sorted(info.header_offset for info in infos)
    names = [info.filename for info in infos]
    assert len(set(names)) == len(names)
    is_document = [name.split("/")[-1].startswith((".z", "zarr.json")) for name in names]
    assert is_document == sorted(is_document), "chunks come first"
    last = {"v2": [".zattrs", ".zgroup", ".zmetadata"]}.get(container[:2], ["zarr.json"])
    assert names[-len(last) :] == last
    places = [[int(p) if p.isdigit() else p for p in re.split("[/.]", name)] for name in names]
    places = [place for place, document in zip(places, is_document, strict=True) if not document]
    assert places == sorted(places, key=lambda place: [(isinstance(p, int), p) for p in place])
    chunks = [name for name in names if name.startswith("X/data/")][:-1]
    if container == "v2.zarr.zip":
        assert chunks[:-1] == [f"X/data/{i}" for i in range(len(chunks) - 1)]
        assert len(chunks) == 301
    elif container == "v3.zarr.zip":
        assert chunks == [f"X/data/c/{i}" for i in range(300)]
    else:
        assert chunks == [f"X/data/c/{i}" for i in range(-(-300 // SHARD_CHUNKS))]


def test_a_zip_of_more_entries_than_16_bits_count(tmp_path: Path) -> None:
    layout = ReadyLayout(70_000, 0, {"title": "x"})
    values = {"uns/title": "x", "var/_index": np.array([], object)}
    values["obs/_index"] = np.array([f"{i}" for i in range(70_000)], object)
    path = write_container("v2.zarr.zip", cut(layout.nodes(), 1), values, tmp_path)
    with zipfile.ZipFile(path) as file:
        assert len(file.infolist()) > 1 << 16
    with zarr.storage.ZipStore(path, mode="r") as store:
        index = zarr.open_group(store, mode="r")["obs/_index"]
        assert (index.shape, index[69_999]) == ((70_000,), "69999")


# -------------------------------------------------------------------------- shards


def test_shards_hold_chunks_that_lie_beside_one_another(atlas: Stored, tmp_path: Path) -> None:
    """A reader gets a slice that is in several chunks and two shards."""
    layout, values = atlas
    nodes = cut(layout.nodes(), 2000)
    path = write_container("shards.zarr", nodes, values, tmp_path)
    root = zarr.open_group(path, mode="r")
    for name in ("X/data", "X/indices"):
        found = root[name]
        assert (found.chunks, found.shards) == ((2000,), (2000 * SHARD_CHUNKS,))
        part = slice(2000 * SHARD_CHUNKS - 5000, 2000 * SHARD_CHUNKS + 5000)
        np.testing.assert_array_equal(found[part], values[name][part])
        np.testing.assert_array_equal(found[:], values[name])
        assert len(list((path / name / "c").iterdir())) == 2
        last = (path / name / "c" / "1").read_bytes()
        index = np.frombuffer(last[-4 - 16 * SHARD_CHUNKS : -4], "<u8").reshape(-1, 2)
        assert (index[300 - SHARD_CHUNKS :] == 2**64 - 1).all(), "chunks beyond the array"
        assert index[300 - SHARD_CHUNKS - 1].sum() == len(last) - 4 - 16 * SHARD_CHUNKS
    assert root["obs/o0"].shards is None


def test_a_dense_matrix_has_shards_of_neighbouring_genes(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((7, 600), "f4")
    layout, values = stored(ad.AnnData(x, obsm={"X_umap": x[:, :2]}, uns={"title": "x"}))
    nodes = cut(layout.nodes(), 2)
    path = write_container("shards.zarr", nodes, values, tmp_path)
    found = zarr.open_group(path, mode="r")["X"]
    assert (found.chunks, found.shards) == ((2, 2), (2, 2 * SHARD_CHUNKS))
    np.testing.assert_array_equal(found[:], x)
    assert sum(f.is_file() for f in (path / "X" / "c").rglob("*")) == 8


# ---------------------------------------------------------------------------- text


def test_text_that_hdf5_cannot_store_is_named(tmp_path: Path) -> None:
    layout = ReadyLayout(2, 0, {"title": "x"})
    values = {"uns/title": "x", "var/_index": np.array([], object)}
    values["obs/_index"] = np.array(["a", "b\0c"], object)
    with pytest.raises(InputError, match=r"obs/_index: a text has a NUL character"):
        write_container("h5ad", layout.nodes(), values, tmp_path)
