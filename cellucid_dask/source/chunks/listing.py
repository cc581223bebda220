"""Which chunks of an array are stored, found by one listing and set against its grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.chunks.gaps import ChunkGaps, first_positions, runs_between
from cellucid_dask.source.storage.store import Store
from cellucid_dask.source.zarr_chunks.files import ChunkFiles, FolderFiles, ZipFiles
from cellucid_dask.source.zarr_chunks.keys import ChunkKeys
from cellucid_dask.source.zarr_chunks.shard_index import ShardIndex

LOOKED_AT: Final = 4096  # files of an array, at most, whose size is looked at


@contextmanager
def chunk_files(store: Store) -> Iterator[ChunkFiles | None]:
    """Open the files of a store for `find_gaps`; None of HDF5, which lists its chunks itself."""
    if store.kind == "hdf5":
        yield None
    elif store.kind == "zip":
        with ZipFiles(store.path) as files:
            yield files
    else:
        yield FolderFiles(store.path)


def find_gaps(element: Any, files: ChunkFiles | None) -> ChunkGaps | None:
    """Find the chunks of an array that are not stored.

    Parameters
    ----------
    element
        Open zarr.Array or h5py.Dataset.
    files
        Of its store, by `chunk_files`.

    Returns
    -------
    None where the array has no chunks, or a grid or names of chunks of a kind not known here.

    Raises
    ------
    OSError
        When a folder cannot be listed, or a shard cannot be read.
    ValueError
        When the index of a shard is damaged; or a file is empty, as a copy to a full disk leaves
        them. Of many files some are looked at.
    """
    if isinstance(element, h5py.Dataset):
        return _gaps_of_dataset(element)
    assert files is not None
    metadata = element.metadata.to_dict()
    try:
        chunk = _chunk_shape(metadata)
        grid = _grid(element.shape, chunk)
        keys = ChunkKeys.of(metadata, grid)
    except (KeyError, ValueError):
        return None
    names = files.names(element.path, keys.depth)
    found = np.fromiter((p for p in map(keys.position, names) if p >= 0), np.int64)
    found = np.unique(found)  # a zip may hold a name twice
    for position in found[:: -(-found.size // LOOKED_AT) or 1].tolist():
        if not files.size(f"{element.path}/{keys.name(position)}"):
            raise ValueError(f"{keys.name(position)} is empty: its copy ended early")
    index = ShardIndex.of(metadata, chunk)
    folder = f"{element.path}/{keys.prefix or '0'}"
    emptied = not found.size and keys.depth > 1 and files.has_folder(folder)
    if index is not None:
        return _gaps_in_shards(element, files, keys, index, found, emptied=emptied)
    runs = runs_between(found, keys.total)
    called = tuple(map(keys.name, first_positions(runs)))
    return ChunkGaps(grid, chunk, runs, called, emptied=emptied)


def _chunk_shape(metadata: Mapping[str, Any]) -> tuple[int, ...]:
    """Shape of what is one file: a chunk, or a shard."""
    if metadata["zarr_format"] == 2:
        return tuple(metadata["chunks"])
    if metadata["chunk_grid"]["name"] != "regular":
        raise ValueError("grid of chunks of several sizes")
    return tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])


def _grid(shape: tuple[int, ...], chunk: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-n // max(1, c)) for n, c in zip(shape, chunk, strict=True))


def _gaps_in_shards(
    element: Any,
    files: ChunkFiles,
    keys: ChunkKeys,
    index: ShardIndex,
    shards: NDArray[np.int64],
    *,
    emptied: bool,
) -> ChunkGaps:
    """Look into every shard that is there; of one that is not, all chunks are missing."""
    grid, per = _grid(element.shape, index.chunk), index.per_shard
    found, left_out = [np.zeros(0, np.int64)], 0
    for shard in shards.tolist():
        corner = np.unravel_index(shard, keys.grid)
        first = [int(c) * n for c, n in zip(corner, per, strict=True)]
        inside = [min(n, length - f) for f, n, length in zip(first, per, grid, strict=True)]
        stored = index.stored(files, f"{element.path}/{keys.name(shard)}")
        at = np.stack(np.unravel_index(stored, per))
        at = at[:, (at < np.reshape(inside, (-1, 1))).all(axis=0)]
        left_out += prod(inside) - at.shape[1]
        found.append(np.ravel_multi_index(tuple(at + np.reshape(first, (-1, 1))), grid))
    runs = runs_between(np.sort(np.concatenate(found)), prod(grid))
    positions = first_positions(runs)
    called = dict.fromkeys(_name_in_shard(p, grid, keys, per, shards) for p in positions)
    return ChunkGaps(grid, index.chunk, runs, tuple(called), left_out, emptied)


def _name_in_shard(
    position: int,
    grid: tuple[int, ...],
    keys: ChunkKeys,
    per: tuple[int, ...],
    shards: NDArray[np.int64],
) -> str:
    """Name of a missing chunk: that of its shard, when the shard is missing as well."""
    at = np.unravel_index(position, grid)
    shard = int(np.ravel_multi_index([a // n for a, n in zip(at, per, strict=True)], keys.grid))
    if shard not in shards:
        return keys.name(shard)
    inner = ".".join(str(a % n) for a, n in zip(at, per, strict=True))
    return f"{keys.name(shard)} chunk {inner}"


def _gaps_of_dataset(dataset: h5py.Dataset) -> ChunkGaps | None:
    """Find chunks that HDF5 was never given: it allocates them when they are written."""
    if not dataset.size:
        return None
    if dataset.chunks is None:
        return _gap_of_contiguous(dataset)
    chunk = tuple(dataset.chunks)
    grid = _grid(dataset.shape, chunk)
    if dataset.id.get_num_chunks() >= prod(grid):
        return ChunkGaps(grid, chunk, np.zeros((0, 2), np.int64))
    corners: list[tuple[int, ...]] = []
    dataset.id.chunk_iter(lambda stored: corners.append(stored.chunk_offset))
    at = np.asarray(corners, np.int64).reshape(-1, len(grid)) // chunk
    runs = runs_between(np.unique(np.ravel_multi_index(tuple(at.T), grid)), prod(grid))
    called = [".".join(map(str, np.unravel_index(p, grid))) for p in first_positions(runs)]
    return ChunkGaps(grid, chunk, runs, tuple(called))


def _gap_of_contiguous(dataset: h5py.Dataset) -> ChunkGaps | None:
    """Take a dataset without chunks for one chunk, which is allocated when it is first written."""
    made = dataset.id.get_create_plist()
    if made.get_layout() != h5py.h5d.CONTIGUOUS or made.get_external_count():
        return None
    written = dataset.id.get_storage_size() > 0
    runs = np.array([[0, 1]] * (not written), np.int64).reshape(-1, 2)
    return ChunkGaps((1,) * dataset.ndim, dataset.shape, runs, ("all of it",) * (not written))
