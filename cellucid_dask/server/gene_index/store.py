"""The gene index on disk: a zarr group of blocks of genes, each a CSC piece of the matrix.

    index.zarr/            zarr v3 group; attributes: what it indexes, first gene of each block
        blocks/N/          group of one block, complete when it has this name
            indptr         (n_genes_of_block + 1,) uint64, from 0
            indices        (nnz,) uint32, cells in rising order; uint64 beyond 2**32 cells
            data           (nnz,) float32, or uint8 where all values are small integers

Each array is one shard of chunks of 32k items: reading a gene decodes little, and a block has few
files. `cellucid_dask.server.gene_index.block_files` writes and reads them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.stages.genes.blocks import GenePiece
from cellucid_dask.server.cache_folder import INDEX, VERSION
from cellucid_dask.server.gene_index.block_files import Block, block_files
from cellucid_dask.source.arrays.matrix import consecutive_runs
from cellucid_dask.source.storage.damage import DAMAGE

OPEN_BLOCKS = 256  # blocks whose pointers stay in memory
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

    def read(self, columns: Sequence[int]) -> dict[int, GenePiece]:
        """Read genes from their blocks; those of blocks that are missing or damaged are absent."""
        found = dict[int, GenePiece]()
        if self.starts is None:
            return found
        for start, stop in consecutive_runs(np.unique(np.asarray(columns, np.int64))):
            edges = self.starts[(self.starts > start) & (self.starts < stop)]
            for first, last in pairwise([start, *edges.tolist(), stop]):
                found |= zip(range(first, last), self._read_run(first, last), strict=False)
        return found

    def _read_run(self, first: int, last: int) -> list[GenePiece]:
        """Read the genes `first` up to `last`, all of one block; none if it cannot be read."""
        block = self.block_of(first)
        part = None if block is None else self.read_block(block, first, last)
        if part is None:
            return []
        pointers, cells, values = part
        assert cells is not None
        if self.shape[0] <= 1 << 31:
            cells = cells.view(np.int32)  # which the encoder takes without a copy
        values = values.astype(np.float32, copy=False)
        return [(0, cells[a:b], values[a:b]) for a, b in pairwise(pointers.tolist())]

    def read_block(
        self, block: int, first: int, last: int, *, cells: bool = True
    ) -> tuple[NDArray[np.int64], NDArray[Any] | None, NDArray[Any]] | None:
        """Read genes `first` up to `last` of a block; None when it is missing or damaged.

        Parameters
        ----------
        cells
            Whether the cells are read, or the values alone.

        Returns
        -------
        Pointers of these genes, from 0; their cells and values as they are stored.
        """
        if not self.has_block(block):
            return None
        assert self.starts is not None
        low, high = first - int(self.starts[block]), last - int(self.starts[block])
        try:
            opened = self._opened(block)
            pointers = opened.pointers[low : high + 1].astype(np.int64)
            read = opened.cells(low, high) if cells else None
            return pointers - pointers[0], read, opened.values(low, high)
        except DAMAGE as error:
            # When memory or file handles run out, the block itself is good.
            if not isinstance(error, OSError | MemoryError) or isinstance(error, FILE_MISSING):
                self.remove_block(block)
            return None

    def _open(self, block: int) -> Block:
        assert self.starts is not None
        n_genes = int(self.starts[block + 1] - self.starts[block])
        return Block.open(self.root / "blocks" / str(block), n_genes, cell_dtype(self.shape[0]))

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


def cell_dtype(n_cells: int) -> np.dtype[Any]:
    """Type of the numbers of cells in an index."""
    return np.dtype(np.uint32 if n_cells <= 1 << 32 else np.uint64)


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
    with _temporary_folder(root / "blocks") as temporary:
        n_files = 0
        for name, pieces in block_files(pointers, indices, values):
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.writelines(pieces)
            n_files += 1
        if len(_files(temporary)) != n_files:
            # This worker outlived its run, and the next run has removed its files.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(temporary))
        _publish(temporary, root / "blocks" / str(block))


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
