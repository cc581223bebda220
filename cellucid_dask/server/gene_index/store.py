"""The gene index on disk: a zarr group of blocks of genes, each a CSC piece of the matrix.

    index.zarr/            zarr v3 group; its attributes: `facts`, and the first gene of each block
        blocks/N/          group of one block, complete as soon as it has this name
            indptr         (n_genes_of_block + 1,) uint64, from 0
            indices        (nnz,) uint32, cells in rising order; uint64 beyond 2**32 cells
            data           (nnz,) float32, or uint8 where all values are small whole numbers

Each array is one shard of chunks of 256k items, so that a gene decodes little and a block is a
few files.
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
OPEN_BLOCKS = 256  # whose pointers are kept in memory
PARTS = ("indptr", "indices", "data")
GONE = (FileNotFoundError, NotADirectoryError)


class IndexStore:
    """Reads and writes the blocks of one index; shared by threads and by processes.

    Parameters
    ----------
    folder
        As `index_folder` names it; need not exist.
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
    def facts(self) -> dict[str, Any]:
        """What the index must say of itself to be the one that is wanted."""
        return {
            "format": "cellucid-dask gene index",
            "version": VERSION,
            "shape": list(self.shape),
            "source": self.folder.name,
        }

    @property
    def n_blocks(self) -> int:
        """Number of blocks; 0 as long as it is not known."""
        return 0 if self.starts is None else self.starts.size - 1

    @property
    def n_done(self) -> int:
        """Number of blocks that are there, as far as is known."""
        return len(self._done)

    @property
    def complete(self) -> bool:
        """Whether all blocks are there, as far as is known."""
        return self.starts is not None and len(self._done) == self.n_blocks

    def refresh(self) -> None:
        """Look which blocks are there by now."""
        import zarr

        try:
            attributes = zarr.open_group(self.root, mode="r").attrs.asdict()
            starts = np.asarray(attributes.pop("starts"), np.int64)
            names = {path.name for path in (self.root / "blocks").iterdir()}
        except DAMAGE:
            attributes, names = {}, set()
        if attributes != self.facts:
            self.starts, self._done = None, set()
            return
        if not np.array_equal(starts, self.starts if self.starts is not None else []):
            self._opened.cache_clear()
        self.starts = starts
        self._done = {i for i in range(self.n_blocks) if str(i) in names}

    def missing(self) -> list[int]:
        """Blocks that are not there, as far as is known."""
        return [i for i in range(self.n_blocks) if i not in self._done]

    def block_of(self, column: int) -> int | None:
        """Block of a gene; None as long as the cut into blocks is not known."""
        if self.starts is None:
            return None
        return int(np.searchsorted(self.starts, column, side="right")) - 1

    def has(self, block: int) -> bool:
        """Whether a block is there; asks the disk, since another process may have built it."""
        if block not in self._done and (self.root / "blocks" / str(block)).is_dir():
            self._done.add(block)
        return block in self._done

    def drop(self, block: int) -> None:
        """Remove a block that is damaged or partly gone."""
        self._done.discard(block)
        with contextlib.suppress(OSError), _beside(self.root / "blocks") as aside:
            (self.root / "blocks" / str(block)).rename(aside)

    def read(self, column: int) -> GenePiece | None:
        """Read a gene from its block; None when that is not there, or no longer is."""
        block = self.block_of(column)
        if block is None or not self.has(block):
            return None
        assert self.starts is not None
        try:
            pointers, indices, data = self._opened(block)
            i = column - int(self.starts[block])
            low, high = int(pointers[i]), int(pointers[i + 1])
            if low == high:
                return 0, np.zeros(0, np.uint32), np.zeros(0, np.float32)
            cells, values = indices[low:high], data[low:high]
            self._check_files(block, PARTS[1:])
        except DAMAGE as error:
            # Not for want of memory or of file handles: the block itself is good then.
            if not isinstance(error, OSError | MemoryError) or isinstance(error, GONE):
                self.drop(block)
            return None
        return 0, cells, values.astype(np.float32, copy=False)

    def _open(self, block: int) -> tuple[NDArray[np.uint64], Any, Any]:
        import zarr

        group: Any = zarr.open_group(self.root / "blocks" / str(block), mode="r")
        pointers, indices, data = (group[name] for name in PARTS)
        found = pointers[:]
        self._check_files(block, PARTS[:1])
        if not indices.size == data.size == found[-1]:
            raise ValueError("the parts of a block do not fit together")
        return found, indices, data

    def _check_files(self, block: int, parts: Iterable[str]) -> None:
        """Raise when a file that was just read is not there: to zarr it would be full of zeros."""
        for part in parts:
            (self.root / "blocks" / str(block) / part / "c" / "0").stat()

    def create(self, starts: NDArray[np.int64]) -> None:
        """Make the index without any block, or leave it as it is when it has this cut."""
        import zarr

        self.refresh()
        if self.starts is None or not np.array_equal(self.starts, starts):
            shutil.rmtree(self.root, ignore_errors=True)
            with _beside(self.folder) as made:
                attributes = {**self.facts, "starts": starts.tolist()}
                group = zarr.create_group(made, zarr_format=3, attributes=attributes)
                group.create_group("blocks")
                _finish(made, self.root)
            self.refresh()


def save_block(
    root: Path,
    block: int,
    pointers: NDArray[np.int64],
    indices: NDArray[Any],
    values: NDArray[Any],
) -> None:
    """Write a block beside its place and rename it, unless another process was first.

    Parameters
    ----------
    root
        The zarr group of the index.
    pointers, indices, values
        CSC of the genes of the block.
    """
    import zarr

    files: dict[str, Any] = {}
    with _beside(root / "blocks") as made:
        # Through memory: of several files that zarr writes to a folder at a time, those that are
        # left go on after one has failed, and would come back after the folder was removed.
        group = zarr.create_group(zarr.storage.MemoryStore(files), zarr_format=3)
        arrays = (pointers.astype(np.uint64), indices, values)
        for name, array in zip(PARTS, arrays, strict=True):
            _save_array(group, name, array)
            for key in list(files):
                path = made / key
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(files.pop(key).as_numpy_array())
        if len(_files(made)) != 4 + sum(array.size > 0 for array in arrays):
            # A worker that outlived its run, whose files the next run has removed meanwhile.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(made))
        _finish(made, root / "blocks" / str(block))


def _save_array(group: Any, name: str, array: NDArray[Any]) -> None:
    from zarr.codecs import BloscCodec, Crc32cCodec

    chunk = max(1, min(CHUNK, array.size))
    codecs = [BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"), Crc32cCodec()]
    made = group.create_array(
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
        made[:] = array


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """Name for a folder that is not finished; removed if it has that name in the end."""
    path = folder / f".unfinished-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _finish(made: Path, final: Path) -> None:
    """Rename a folder whose files are safe on disk, unless another process was first."""
    for path in _files(made):
        with path.open("rb") as file:
            os.fsync(file)
    try:
        made.rename(final)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise  # else it has the same bytes
