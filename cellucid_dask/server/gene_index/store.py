"""The gene index on disk: a zarr group of blocks of genes, each a CSC piece of the matrix.

    index.zarr/            zarr v3 group; attributes: what it indexes, first gene of each block
        blocks/N/          group of one block, complete when it has this name
            indptr         (n_genes_of_block + 1,) uint64, from 0
            indices        (nnz,) uint32, cells in rising order; uint64 beyond 2**32 cells
            data           (nnz,) float32, or uint8 where all values are small integers

Each array is one shard of chunks of 256k items: reading a gene decodes little, and a block has few
files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.stages.genes.blocks import GenePiece
from cellucid_dask.server.cache_folder import INDEX, VERSION
from cellucid_dask.source.storage.damage import DAMAGE

CHUNK = 1 << 18  # items that are compressed together
OPEN_BLOCKS = 256  # blocks whose pointers stay in memory
ARRAYS = ("indptr", "indices", "data")
FILE_MISSING = (FileNotFoundError, NotADirectoryError)


class IndexStore:
    """The blocks of one index. Threads and processes may share it.

    Parameters
    ----------
    folder
        From `index_folder`; it need not exist.
    shape
        (n_cells, n_genes).
    """

    def __init__(self, folder: Path, shape: tuple[int, int]) -> None:
        self.folder, self.shape = folder, shape
        self.root = folder / INDEX
        self.starts: NDArray[np.int64] | None = None
        self._done: set[int] = set()
        self._opened = lru_cache(OPEN_BLOCKS)(self._open)

    @property
    def expected_attributes(self) -> dict[str, Any]:
        """Attributes that an index of this data and this version has."""
        return {
            "format": "cellucid-dask gene index",
            "version": VERSION,
            "shape": list(self.shape),
            "source": self.folder.name,
        }

    @property
    def n_blocks(self) -> int:
        """Number of blocks; 0 until the plan of the blocks is known."""
        return 0 if self.starts is None else self.starts.size - 1

    @property
    def n_blocks_done(self) -> int:
        """Number of finished blocks, as of the last check of the disk."""
        return len(self._done)

    @property
    def complete(self) -> bool:
        """Whether all blocks are finished, as of the last check of the disk."""
        return self.starts is not None and len(self._done) == self.n_blocks

    def refresh(self) -> None:
        """Read from the disk which blocks are finished."""
        import zarr

        try:
            attributes = zarr.open_group(self.root, mode="r").attrs.asdict()
            starts = np.asarray(attributes.pop("starts"), np.int64)
            names = {path.name for path in (self.root / "blocks").iterdir()}
        except DAMAGE:
            attributes, names = {}, set()
        if attributes != self.expected_attributes:
            self.starts, self._done = None, set()
            return
        if not np.array_equal(starts, self.starts if self.starts is not None else []):
            self._opened.cache_clear()
        self.starts = starts
        self._done = {i for i in range(self.n_blocks) if str(i) in names}

    def missing_blocks(self) -> list[int]:
        """Blocks that are not finished, as of the last check of the disk."""
        return [i for i in range(self.n_blocks) if i not in self._done]

    def block_of(self, column: int) -> int | None:
        """Block of a gene; None until the plan of the blocks is known."""
        if self.starts is None:
            return None
        return int(np.searchsorted(self.starts, column, side="right")) - 1

    def has_block(self, block: int) -> bool:
        """Whether a block is finished; checks the disk, as another process may have built it."""
        if block not in self._done and (self.root / "blocks" / str(block)).is_dir():
            self._done.add(block)
        return block in self._done

    def remove_block(self, block: int) -> None:
        """Remove a block that is damaged or incomplete."""
        self._done.discard(block)
        with contextlib.suppress(OSError), _temporary_folder(self.root / "blocks") as aside:
            (self.root / "blocks" / str(block)).rename(aside)

    def read(self, column: int) -> GenePiece | None:
        """Read a gene from its block; None when the block is missing or damaged."""
        block = self.block_of(column)
        if block is None or not self.has_block(block):
            return None
        assert self.starts is not None
        try:
            pointers, indices, data = self._opened(block)
            i = column - int(self.starts[block])
            low, high = int(pointers[i]), int(pointers[i + 1])
            if low == high:
                return 0, np.zeros(0, np.uint32), np.zeros(0, np.float32)
            cells, values = indices[low:high], data[low:high]
            self._check_files(block, ARRAYS[1:])
        except DAMAGE as error:
            # When memory or file handles run out, the block itself is good.
            if not isinstance(error, OSError | MemoryError) or isinstance(error, FILE_MISSING):
                self.remove_block(block)
            return None
        return 0, cells, values.astype(np.float32, copy=False)

    def _open(self, block: int) -> tuple[NDArray[np.uint64], Any, Any]:
        import zarr

        group: Any = zarr.open_group(self.root / "blocks" / str(block), mode="r")
        pointers, indices, data = (group[name] for name in ARRAYS)
        bounds = pointers[:]
        self._check_files(block, ARRAYS[:1])
        if not indices.size == data.size == bounds[-1]:
            raise ValueError("the arrays of a block have different lengths")
        return bounds, indices, data

    def _check_files(self, block: int, parts: Iterable[str]) -> None:
        """Raise when a file that was just read is missing: zarr returns zeros for it."""
        for part in parts:
            (self.root / "blocks" / str(block) / part / "c" / "0").stat()

    def create(self, starts: NDArray[np.int64]) -> None:
        """Create the index without blocks, unless one with the same plan of blocks exists."""
        import zarr

        self.refresh()
        if self.starts is None or not np.array_equal(self.starts, starts):
            shutil.rmtree(self.root, ignore_errors=True)
            with _temporary_folder(self.folder) as temporary:
                attributes = {**self.expected_attributes, "starts": starts.tolist()}
                group = zarr.create_group(temporary, zarr_format=3, attributes=attributes)
                group.create_group("blocks")
                _publish(temporary, self.root)
            self.refresh()


def save_block(
    root: Path,
    block: int,
    pointers: NDArray[np.int64],
    indices: NDArray[Any],
    values: NDArray[Any],
) -> None:
    """Write a block under a temporary name and rename it, unless another process was first.

    Parameters
    ----------
    root
        The zarr group of the index.
    pointers, indices, values
        CSC of the genes of the block.
    """
    import zarr

    files: dict[str, Any] = {}
    with _temporary_folder(root / "blocks") as temporary:
        # Through memory: zarr writes several files at the same time. After one fails, it would
        # still write the others, after this folder was removed.
        group = zarr.create_group(zarr.storage.MemoryStore(files), zarr_format=3)
        arrays = (pointers.astype(np.uint64), indices, values)
        for name, array in zip(ARRAYS, arrays, strict=True):
            _save_array(group, name, array)
            for key in list(files):
                path = temporary / key
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(files.pop(key).as_numpy_array())
        if len(_files(temporary)) != 4 + sum(array.size > 0 for array in arrays):
            # This worker outlived its run, and the next run has removed its files.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(temporary))
        _publish(temporary, root / "blocks" / str(block))


def _save_array(group: Any, name: str, array: NDArray[Any]) -> None:
    from zarr.codecs import BloscCodec, Crc32cCodec

    chunk = max(1, min(CHUNK, array.size))
    codecs = [BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"), Crc32cCodec()]
    stored = group.create_array(
        name,
        shape=array.shape,
        dtype=array.dtype,
        chunks=(chunk,),
        shards=(max(chunk, -(-array.size // chunk) * chunk),),
        compressors=codecs,
        fill_value=0,
        config={"write_empty_chunks": True},
    )
    if array.size:
        stored[:] = array


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary name for a folder; a folder that still has it at the end is removed."""
    path = folder / f".unfinished-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _publish(temporary: Path, final: Path) -> None:
    """Sync the files of a folder to disk and rename it, unless another process was first."""
    for path in _files(temporary):
        with path.open("rb") as file:
            os.fsync(file)
    try:
        temporary.rename(final)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise  # otherwise the existing folder has the same bytes
