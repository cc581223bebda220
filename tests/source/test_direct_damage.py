"""What is damaged reads, or is refused, as HDF5 and zarr have it, in the same words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from chunked import chunk_name
from stored_arrays import DIRECT, array_of
from test_direct_reading import values_of

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.source.storage.file_array import DIRECT_BYTES, FileArray
from cellucid_dask.source.storage.store import locate_store

RANGE = slice(1500, 1500 + DIRECT_BYTES)
VALUES = values_of("i4", 70_000)  # hardly more than the range
WHOLE = VALUES[RANGE].tobytes()


def files_of(path: Path) -> list[Path]:
    """The files of an array, or the one that it is in."""
    if path.is_file():
        return [path]
    return sorted(p for p in (path / "X/data").rglob("*") if p.is_file())


def outcome(read: Any) -> bytes | str:
    """What is read, or what is said of it."""
    try:
        found: bytes = read().tobytes()
    except CellucidDaskError as error:
        return str(error)
    return found


def alike(one: bytes | str, other: bytes | str, way: str) -> bool:
    """Whether two outcomes are the same, as far as they do not change from read to read.

    zstd without a checksum and h5py's LZF make other values of damaged bytes each time; and zarr
    reads several shards at once, of which any may be the first to be refused. HDF5 takes a chunk
    for never written that a damaged index leads past; a list of all chunks may have it.
    """
    if isinstance(one, bytes) or isinstance(other, bytes):
        unsure = "zstd" in way or "lzf" in way or one == WHOLE
        return type(one) is type(other) if unsure else one == other
    if "shards" in way:
        return one.split("(")[0] == other.split("(")[0]
    return one == other


def assert_same(array: FileArray, way: str) -> bytes | str:
    """Read a range directly where that is possible, and by HDF5 or zarr."""
    expected = outcome(lambda: array._read(RANGE, RANGE))
    assert alike(outcome(lambda: array[RANGE]), expected, way)
    out = np.zeros(DIRECT_BYTES, array.dtype)
    found = outcome(lambda: [array.read_into(RANGE.start, RANGE.stop, out), out][1])
    assert alike(found, expected, way)
    return expected


def flips(path: Path) -> Iterator[None]:
    """Change one byte at a time, here and there in every file, and put it back."""
    random = np.random.default_rng(0)
    for file in files_of(path):
        whole = file.read_bytes()
        n = 60 if path.is_file() else 4
        for at in random.integers(0, len(whole), n).tolist():
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
            yield
        file.write_bytes(whole)


@pytest.mark.parametrize("way", DIRECT)
def test_a_byte_that_was_changed(tmp_path: Path, way: str) -> None:
    path = DIRECT[way](tmp_path, VALUES, 9000)
    array = array_of(path)
    assert assert_same(array, way) == WHOLE
    for _ in flips(path):
        assert_same(array, way)
    assert assert_same(array, way) == WHOLE


@pytest.mark.parametrize("way", DIRECT)
def test_a_file_that_was_cut_off(tmp_path: Path, way: str) -> None:
    path = DIRECT[way](tmp_path, VALUES, 9000)
    array = array_of(path)
    for file in files_of(path)[-6:]:
        whole = file.read_bytes()
        for share in (0, 0.1, 0.6, 0.9, 0.99999):
            file.write_bytes(whole[: int(len(whole) * share)])
            assert_same(array, way)
        file.unlink()
        assert_same(array, way)
        file.write_bytes(whole)


@pytest.mark.parametrize("way", ["hdf5 gzip", "v2 blosc", "v3 zstd", "shards crc"])
def test_the_message_names_the_chunk(tmp_path: Path, way: str) -> None:
    path = DIRECT[way](tmp_path, VALUES, 9000)
    array = array_of(path)
    size = path.stat().st_size
    if path.is_file():
        with path.open("r+b") as file:
            file.seek(size // 2)
            file.write(bytes(64))
    else:
        chunk = path / chunk_name(path, "X/data", 1)
        chunk.write_bytes(chunk.read_bytes()[:-9])
    said = assert_same(array, way)
    assert isinstance(said, str)
    assert "X/data, chunk " in said


@pytest.mark.parametrize("n_values", [8000, 10_000])
@pytest.mark.parametrize("way", [way for way in DIRECT if way.startswith(("v2", "v3"))])
def test_a_chunk_of_another_length(tmp_path: Path, way: str, n_values: int) -> None:
    """It is whole as far as its codec knows."""
    path = DIRECT[way](tmp_path, VALUES, 9000)
    (tmp_path / "other").mkdir()
    other = DIRECT[way](tmp_path / "other", VALUES, n_values)
    name = chunk_name(path, "X/data", 1)
    (path / name).write_bytes((other / name).read_bytes())
    assert isinstance(assert_same(array_of(path), way), str)


@pytest.mark.parametrize("way", ["hdf5 zstd", "hdf5 zstd, shuffle"])
def test_damage_that_the_zstd_filter_of_hdf5_does_not_notice(tmp_path: Path, way: str) -> None:
    path = DIRECT[way](tmp_path, VALUES, 9000)
    array = array_of(path)
    with h5py.File(path) as file:
        offset = file["X/data"].id.get_chunk_info(1).byte_offset
    whole = path.read_bytes()
    for at in range(offset + 4, offset + 9):  # what the header states, and the first block
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        for rows in (slice(4000, 70_000), slice(10_000, 10_010)):  # read directly, and by HDF5
            said = outcome(lambda rows=rows: array[rows])
            assert isinstance(said, str), at
            assert "X/data, chunk 1 (items 9000 to 17999)" in said
    path.write_bytes(whole)
    assert array[10_000:10_010].tobytes() == VALUES[10_000:10_010].tobytes()


def test_a_damaged_zstd_chunk_of_a_table(tmp_path: Path) -> None:
    table = np.arange(60 * 40, dtype="f4").reshape(60, 40)
    path = tmp_path / "table.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("X", data=table, chunks=(25, 20), **hdf5plugin.Zstd())
        offset = made.id.get_chunk_info_by_coord((25, 20)).byte_offset
        array = FileArray.of(locate_store(path), "X", made)
    assert array[20:55, 10:30].tobytes() == table[20:55, 10:30].tobytes()
    whole = bytearray(path.read_bytes())
    whole[offset + 7] ^= 0xFF
    path.write_bytes(whole)
    assert array[:25, :].tobytes() == table[:25].tobytes()
    assert array[:, :20].tobytes() == table[:, :20].tobytes()
    assert "X, chunk 1 (rows 25 to 49)" in str(outcome(lambda: array[20:55, 10:30]))
