"""Which chunks a store lacks: names of chunks, runs of positions, shards, folders and zip files."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from chunked import KINDS, Kind, chunk_name, zipped
from hypothesis import given, settings
from hypothesis import strategies as st

from cellucid_dask.source.chunks.gaps import ChunkGaps, runs_between
from cellucid_dask.source.chunks.listing import chunk_files, find_gaps
from cellucid_dask.source.storage.store import Store, locate_store
from cellucid_dask.source.zarr_chunks.keys import ChunkKeys

FILES = {name: kind for name, kind in KINDS.items() if not kind.shard}
grids = st.lists(st.integers(1, 12), max_size=3).map(tuple)


def array(path: Path, kind: Kind, shape: tuple[int, ...], chunk: int = 2) -> Any:
    """An array of ones, of which every chunk is stored."""
    made = zarr.open_group(path, mode="w", zarr_format=kind.zarr_format).create_array(
        "a",
        shape=shape,
        chunks=(chunk,) * len(shape),
        dtype="i4",
        chunk_key_encoding={"name": kind.encoding, "separator": kind.separator},
    )
    made[...] = 1
    return made


def sharded(
    path: Path, shape: tuple[int, ...], chunk: tuple[int, ...], shard: tuple[int, ...], **index: Any
) -> Any:
    """An array of ones in shards."""
    codec = zarr.codecs.ShardingCodec(chunk_shape=chunk, codecs=[zarr.codecs.BytesCodec()], **index)
    facts = {"shape": shape, "chunks": shard, "dtype": "i4", "serializer": codec}
    made = zarr.open_group(path, mode="w").create_array("a", compressors=None, **facts)
    made[...] = 1
    return made


def gaps_in(path: Path) -> ChunkGaps:
    store = locate_store(path)
    with store.open() as root, chunk_files(store) as files:
        found = find_gaps(root["a"], files)
    assert found is not None
    return found


def missing(found: ChunkGaps) -> list[int]:
    return [position for start, stop in found.runs.tolist() for position in range(start, stop)]


# ------------------------------------------------------------------------- names and positions


@settings(max_examples=50)
@given(grid=grids, kind=st.sampled_from([*FILES.values()]), data=st.data())
def test_a_name_means_the_position_that_has_it(
    grid: tuple[int, ...], kind: Kind, data: st.DataObject
) -> None:
    prefix = "c" if kind.encoding == "default" else ""
    keys = ChunkKeys(grid, prefix, kind.separator)
    position = data.draw(st.integers(0, keys.total - 1))
    assert keys.position(keys.name(position)) == position
    assert keys.name(position).count("/") == keys.depth - 1


@settings(max_examples=50)
@given(name=st.text("c0123/.²-+ ", max_size=6), kind=st.sampled_from([*FILES.values()]))
def test_other_names_mean_nothing(name: str, kind: Kind) -> None:
    keys = ChunkKeys((3, 12), "c" if kind.encoding == "default" else "", kind.separator)
    position = keys.position(name)
    assert position == -1 or keys.name(position) == name


@pytest.mark.parametrize("kind", FILES.values(), ids=FILES)
@pytest.mark.parametrize("shape", [(), (5,), (3, 5), (2, 3, 5)])
def test_names_are_those_of_zarr(tmp_path: Path, kind: Kind, shape: tuple[int, ...]) -> None:
    made = array(tmp_path / "a.zarr", kind, shape)
    grid = tuple(-(-n // 2) for n in shape)
    keys = ChunkKeys.of(made.metadata.to_dict(), grid)
    for position, index in enumerate(itertools.product(*map(range, grid))):
        assert keys.name(position) == made.metadata.encode_chunk_key(index)


@settings(max_examples=50)
@given(st.sets(st.integers(0, 30)), st.integers(0, 31))
def test_runs_are_what_is_not_present(present: set[int], total: int) -> None:
    there = sorted(p for p in present if p < total)
    runs = runs_between(np.array(there, np.int64), total)
    found = [p for start, stop in runs.tolist() for p in range(start, stop)]
    assert found == [p for p in range(total) if p not in present]
    assert all(a[1] < b[0] for a, b in itertools.pairwise(runs.tolist()))


@settings(max_examples=50)
@given(grid=st.tuples(st.integers(1, 6), st.integers(1, 4)), data=st.data())
def test_rows_are_those_of_missing_chunks(grid: tuple[int, int], data: st.DataObject) -> None:
    lost = data.draw(st.sets(st.integers(0, math.prod(grid) - 1)))
    there = [p for p in range(math.prod(grid)) if p not in lost]
    length = grid[0] * 10 - 3
    runs = runs_between(np.array(there, np.int64), math.prod(grid))
    ranges = ChunkGaps(grid, (10, 10), runs).rows(length).tolist()
    rows = {row for p in lost for row in range(p // grid[1] * 10, p // grid[1] * 10 + 10)}
    assert [r for a, b in ranges for r in range(a, b)] == sorted(r for r in rows if r < length)


# ------------------------------------------------------------------------------ folders and zips


@pytest.mark.parametrize("kind", FILES.values(), ids=FILES)
@pytest.mark.parametrize("index", [(1,), (2, 0)])
@pytest.mark.parametrize("pack", [Path, zipped], ids=["folder", "zip"])
def test_a_missing_chunk_is_found(
    tmp_path: Path, kind: Kind, index: tuple[int, ...], pack: Callable[[Path], Path]
) -> None:
    path = tmp_path / "a.zarr"
    array(path, kind, (5, 5)[: len(index)])
    assert gaps_in(pack(path)).missing == 0
    name = chunk_name(path, "a", *index)
    (path / name).rename(path / f"{name}.partial")  # as of a copy that is under way
    found = gaps_in(pack(path))
    assert missing(found) == [np.ravel_multi_index(index, found.grid)]
    assert found.names == (name.removeprefix("a/"),)
    assert found.total == 3 ** len(index)


def test_a_link_that_leads_nowhere_is_no_chunk(tmp_path: Path) -> None:
    """As of files that git-annex or datalad did not fetch."""
    array(tmp_path / "a.zarr", KINDS["v3"], (6,))
    for number, target in ((0, "nowhere"), (2, tmp_path / "kept")):
        chunk = tmp_path / f"a.zarr/a/c/{number}"
        chunk.rename(tmp_path / "kept")
        chunk.symlink_to(target)
    assert missing(gaps_in(tmp_path / "a.zarr")) == [0]


@pytest.mark.parametrize("kind", ["v2 /", "v3"])
def test_a_folder_without_chunks_was_emptied(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.zarr"
    made = array(path, KINDS[kind], (2, 2))
    chunk = path / chunk_name(path, "a", 0, 0)
    chunk.unlink()
    assert gaps_in(path).emptied
    chunk.parent.rmdir()
    if kind == "v3":
        chunk.parent.parent.rmdir()
    assert not gaps_in(path).emptied
    assert not made[...].any()


# ---------------------------------------------------------------------------------------- shards


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("pack", [Path, zipped], ids=["folder", "zip"])
def test_chunks_that_a_shard_lacks_are_found(
    tmp_path: Path, location: str, pack: Callable[[Path], Path]
) -> None:
    path = tmp_path / "a.zarr"
    made = sharded(path, (10, 7), (2, 2), (4, 6), index_location=location)
    assert gaps_in(pack(path)).missing == 0
    made[2:4, 2:4] = 0  # zarr leaves out what reads as the fill value
    made[8:, 6:] = 0
    found = gaps_in(pack(path))
    assert found.grid == (5, 4)
    assert missing(found) == [1 * 4 + 1, 4 * 4 + 3]
    assert found.left_out == 1, "the other is a shard of its own"
    assert found.names == ("c/0/0 chunk 1.1", "c/2/1")


def test_a_missing_shard_lacks_all_its_chunks(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    sharded(path, (20,), (2,), (6,))
    (path / "a/c/1").unlink()
    found = gaps_in(path)
    assert missing(found) == [3, 4, 5]
    assert found.left_out == 0
    assert found.names == ("c/1",)


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("checked", [True, False])
def test_an_index_is_read_as_it_is_coded(tmp_path: Path, endian: str, checked: bool) -> None:
    codecs = [zarr.codecs.BytesCodec(endian=endian), zarr.codecs.Crc32cCodec()][: 1 + checked]
    made = sharded(tmp_path / "a.zarr", (8,), (2,), (8,), index_codecs=codecs)
    made[4:6] = 0
    assert missing(gaps_in(tmp_path / "a.zarr")) == [2]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda raw: raw[:-9] + b"\x07" + raw[-8:], "does not match its checksum"),
        (lambda raw: raw[:20], "its index is not there"),
    ],
)
def test_a_damaged_index_is_told(tmp_path: Path, spoil: Any, said: str) -> None:
    sharded(tmp_path / "a.zarr", (8,), (2,), (8,))
    shard = tmp_path / "a.zarr/a/c/0"
    shard.write_bytes(spoil(shard.read_bytes()))
    with pytest.raises(ValueError, match=said):
        gaps_in(tmp_path / "a.zarr")


def test_a_shard_that_is_cut_off_behind_its_index_is_told(tmp_path: Path) -> None:
    sharded(tmp_path / "a.zarr", (8,), (2,), (8,), index_location="start")
    shard = tmp_path / "a.zarr/a/c/0"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ValueError, match="names bytes after its end"):
        gaps_in(tmp_path / "a.zarr")


def test_a_compressed_zip_is_read_as_well(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "a.zarr"
    sharded(path, (8,), (2,), (8,))[4:6] = 0
    plain = zipped(path)
    packed = tmp_path / "packed.zarr.zip"
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert missing(gaps_in(packed)) == [2]


# ------------------------------------------------------------------------------------------ HDF5


def test_chunks_that_hdf5_never_wrote_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("a", (50, 4), "f4", chunks=(10, 2), compression="gzip")
        made[:20] = 1
        made[30:, :2] = 1
        file.create_dataset("b", (50,), "f4")[:] = 1
        file.create_dataset("c", (50,), "f4")
    store = Store(str(path), "hdf5")
    with store.open() as root, chunk_files(store) as files:
        found = find_gaps(root["a"], files)
        contiguous = [find_gaps(root[name], files) for name in "bc"]
    assert found is not None
    assert missing(found) == [4, 5, 7, 9]
    assert found.names[0] == "2.0"
    assert [gaps.missing for gaps in contiguous if gaps] == [0, 1]
