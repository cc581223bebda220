"""Ranges that are read without HDF5 or zarr are those that HDF5 and zarr read."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO, RawIOBase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from stored_arrays import DIRECT, ORDINARY, array_of

from cellucid_dask.errors import ReadError
from cellucid_dask.native.library import SWITCH
from cellucid_dask.source.storage.direct.read import read_into
from cellucid_dask.source.storage.direct.stored import UnexpectedBytesError, read_exactly
from cellucid_dask.source.storage.file_array import DIRECT_BYTES, FileArray

DTYPES = ["i1", "u1", "?", "i2", "u2", "f2", "i4", "u4", "f4", "i8", "u8", "f8"]


def values_of(dtype: str, n: int) -> NDArray[Any]:
    """Values of any bytes, some of which compress; no two runs of a chunk are alike."""
    random = np.random.default_rng(n)
    if dtype == "?":
        return random.integers(0, 2, n).astype(bool)
    bits = random.integers(0, 256, n * np.dtype(dtype).itemsize, np.uint8)
    bits[: bits.size // 2] &= 3
    return bits.view(dtype)


def directly(array: FileArray, start: int, stop: int) -> NDArray[Any] | None:
    out = np.empty(stop - start, array.dtype)
    return out if read_into(array.store, array.key, start, out) else None


@pytest.mark.parametrize("way", DIRECT)
@settings(max_examples=5)
@given(
    dtype=st.sampled_from(DTYPES),
    n=st.integers(1, 3000),
    chunk=st.integers(20, 900),
    data=st.data(),
)
def test_any_range(way: str, dtype: str, n: int, chunk: int, data: st.DataObject) -> None:
    values = values_of(dtype, n)
    with TemporaryDirectory() as folder:
        array = array_of(DIRECT[way](Path(folder), values, min(chunk, n)))
        for _ in range(3):
            start = data.draw(st.integers(0, n - 1))
            stop = data.draw(st.integers(start + 1, n))
            found = directly(array, start, stop)
            assert found is not None
            assert found.tobytes() == values[start:stop].tobytes()


@pytest.mark.parametrize("way", ["hdf5 lzf", "hdf5 gzip, shuffle, user block"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_without_the_native_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, dtype: str
) -> None:
    monkeypatch.setenv(SWITCH, "0")
    values = values_of(dtype, 40_000)
    array = array_of(DIRECT[way](tmp_path, values, 1000))
    found = directly(array, 10, 30_000)
    assert (found is None) == (way == "hdf5 lzf")
    assert found is None or found.tobytes() == values[10:30_000].tobytes()
    assert array[10:30_000].tobytes() == values[10:30_000].tobytes()


@pytest.mark.parametrize("way", ORDINARY)
def test_other_ways_of_storing_are_left_to_hdf5_and_zarr(tmp_path: Path, way: str) -> None:
    values = np.arange(40_000, dtype="i4")
    array = array_of(ORDINARY[way](tmp_path, values, 1000))
    assert directly(array, 0, values.size) is None
    out = np.zeros_like(values)
    array.read_into(0, values.size, out)
    np.testing.assert_array_equal(out, values)
    np.testing.assert_array_equal(array[:], values)


@pytest.mark.parametrize("way", ["hdf5 contiguous", "hdf5 gzip", "v3 zstd", "shards zstd"])
def test_read_into_fills_what_it_is_given(tmp_path: Path, way: str) -> None:
    values = values_of("f4", DIRECT_BYTES)
    array = array_of(DIRECT[way](tmp_path, values, 1500))
    memory = np.zeros(values.size + 2, "f4")
    for start, stop in [(0, values.size), (7, 19), (1499, 40_000), (5, 5)]:
        memory[:] = 1
        array.read_into(start, stop, memory[1 : 1 + stop - start])
        assert memory[1 : 1 + stop - start].tobytes() == values[start:stop].tobytes()
        assert memory[0] == memory[1 + stop - start] == 1


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_chunks_whose_filters_were_left_out(
    tmp_path: Path, compression: str | None, shuffle: bool
) -> None:
    """HDF5 marks them in a mask, a bit for each filter."""
    path = tmp_path / "a.h5"
    values = values_of("i4", 4000)
    with h5py.File(path, "w") as file:
        made = file.create_dataset(
            "x", data=values, chunks=(1000,), compression=compression, shuffle=shuffle
        )
        n_filters = shuffle + (compression is not None)
        for mask in range(min(4, 1 << n_filters)):
            made.id.write_direct_chunk((mask * 1000,), values[::-1][:1000].tobytes(), mask)
    with h5py.File(path) as file:
        for i in range(1 << n_filters):
            part = slice(1000 * i, 1000 * i + 1000)
            try:
                expected = file["x"][part]
            except OSError:
                expected = None  # what was written is not compressed
            found = directly(array_of(path, "x"), part.start, part.stop)
            if found is not None:
                np.testing.assert_array_equal(found, expected)
        if n_filters == 2:
            assert directly(array_of(path, "x"), 2000, 3000) is not None  # shuffled alone


def special_datasets(file: h5py.File, folder: Path) -> None:
    """Datasets whose values are not where those of other ones are."""
    values = np.arange(20_000, dtype="<i4")
    file["big endian"] = values.astype(">i4")
    file.create_dataset("never written", shape=values.shape, dtype="i4", fillvalue=7)
    made = file.create_dataset("half", shape=values.shape, dtype="i4", chunks=(512,), fillvalue=7)
    made[:10_240] = values[:10_240]
    values.tofile(folder / "values.bin")
    external = [(str(folder / "values.bin"), 0, values.nbytes)]
    file.create_dataset("external", data=values, external=external)
    layout = h5py.VirtualLayout(values.shape, "i4")
    layout[:] = h5py.VirtualSource(file["half"])
    file.create_virtual_dataset("virtual", layout)
    with h5py.File(folder / "other.h5", "w") as other:
        other["there"] = values[::-1]
    file["linked"] = h5py.ExternalLink("other.h5", "/there")
    short = h5py.h5t.STD_I32LE.copy()
    short.set_precision(20)
    space = h5py.h5s.create_simple(values.shape)
    h5py.h5d.create(file.id, b"20 bits", short, space).write(space, space, values)


@pytest.mark.parametrize(
    "key", ["big endian", "never written", "half", "external", "virtual", "linked", "20 bits"]
)
def test_special_datasets_are_left_to_hdf5(tmp_path: Path, key: str) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        special_datasets(file, tmp_path)
    with h5py.File(path) as file:
        expected = file[key][:]
    array = array_of(path, key)
    assert directly(array, 0, array.shape[0]) is None
    np.testing.assert_array_equal(array[:], expected)
    if key == "half":
        np.testing.assert_array_equal(directly(array, 500, 10_000), expected[500:10_000])


def test_a_file_that_this_process_is_writing_to_is_left_to_hdf5(tmp_path: Path) -> None:
    """What was written may be in memory only."""
    path = tmp_path / "a.h5"
    values = np.arange(50_000)
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.zeros_like(values), chunks=(1000,))
        file["x"][:] = values
        array = array_of(path, "x")
        np.testing.assert_array_equal(array[:], values)
    np.testing.assert_array_equal(array[:], values)


@pytest.mark.parametrize("way", ["hdf5 gzip", "v2 zstd", "v3 zstd", "shards zstd", "zip v3 zstd"])
def test_a_store_that_was_replaced_is_read_anew(tmp_path: Path, way: str) -> None:
    values = values_of("i4", 40_000)
    array = array_of(DIRECT[way](tmp_path, values, 900))
    assert directly(array, 10, 39_000) is not None
    (tmp_path / "later").mkdir()
    later = DIRECT[way](tmp_path / "later", ~values, 700)
    path = Path(array.store.path)
    path.rename(tmp_path / "old")
    later.rename(path)
    found = directly(array, 10, 39_000)
    assert found is not None
    np.testing.assert_array_equal(found, ~values[10:39_000])


def test_a_chunk_left_out_by_a_writer_is_its_fill_value(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    made = group.create_array("x", shape=(40_000,), chunks=(1000,), dtype="i4", fill_value=5)
    made[:20_000] = 3
    array = array_of(tmp_path / "a.zarr", "x")
    assert directly(array, 0, 40_000) is None
    np.testing.assert_array_equal(directly(array, 0, 20_000), np.full(20_000, 3))
    np.testing.assert_array_equal(array[:], np.repeat([3, 5], 20_000))


@pytest.mark.parametrize("way", ["hdf5 chunks", "hdf5 gzip, shuffle, user block", "shards zstd"])
def test_many_threads(tmp_path: Path, way: str) -> None:
    values = values_of("f4", 300_000)
    array = array_of(DIRECT[way](tmp_path, values, 2000))
    starts = np.random.default_rng(0).integers(0, 200_000, 200)

    def same(start: int) -> bool:
        found = directly(array, start, start + 100_000)
        return found is not None and found.tobytes() == values[start : start + 100_000].tobytes()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(same, starts.tolist()))


def test_a_forked_process_reads_as_well(tmp_path: Path) -> None:
    values = values_of("f4", 50_000)
    array = array_of(DIRECT["hdf5 gzip"](tmp_path, values, 2000))
    assert directly(array, 0, 50_000) is not None
    child = os.fork()
    if child == 0:
        found = directly(array, 0, 50_000)
        os._exit(int(found is None or found.tobytes() != values.tobytes()))
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("chunks", [None, (1 << 16,)])
def test_values_beyond_four_gigabytes(tmp_path: Path, chunks: tuple[int] | None) -> None:
    """The file is sparse: it has a hole before the values, or is one but for them."""
    path = tmp_path / "a.h5"
    n = 1 << 33
    values = values_of("u1", 1 << 17)
    with h5py.File(path, "w", userblock_size=n if chunks else 0) as file:
        shape = values.shape if chunks else (n,)
        made = file.create_dataset("x", shape=shape, dtype="u1", chunks=chunks)
        made[-values.size :] = values
    assert path.stat().st_blocks * 512 < 1 << 22
    array = array_of(path, "x")
    found = directly(array, array.shape[0] - values.size, array.shape[0])
    assert found is not None
    assert found.tobytes() == values.tobytes()


@pytest.mark.parametrize("values", [np.arange(30_000), np.arange(60_000, dtype="f4")])
def test_an_array_that_became_another_one(tmp_path: Path, values: NDArray[Any]) -> None:
    write = DIRECT["v3 zstd"]
    array = array_of(write(tmp_path, np.arange(60_000), 1000))
    out = np.zeros(40_000, array.dtype)
    write(tmp_path, values, 1000)
    with pytest.raises(ReadError, match="X/data: is another array than it was before"):
        array.read_into(0, 40_000, out)


class FewAtATime(RawIOBase):
    """A file of which a call reads at most three bytes."""

    def __init__(self, content: bytes) -> None:
        self._inner = BytesIO(content)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._inner.seek(offset, whence)

    def readinto(self, out: Any) -> int:
        part = self._inner.read(min(3, len(out)))
        out[: len(part)] = part
        return len(part)


def test_calls_that_read_less_than_asked_for_are_repeated() -> None:
    content = bytes(range(100))
    out = bytearray(50)
    read_exactly(FewAtATime(content), 20, memoryview(out))
    assert out == content[20:70]
    with pytest.raises(UnexpectedBytesError):
        read_exactly(FewAtATime(content), 60, memoryview(out))
