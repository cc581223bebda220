"""Building the gene index: row chunks are spilled by gene, as for an export, then gathered.

The cut into blocks and every byte of a block depend on the matrix alone, not on the memory, the
workers or the spill: two processes that build one index write the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich.filesize import decimal

from cellucid_dask.compute.engine import Engine
from cellucid_dask.exporter.planning.cuts import cut_gene_blocks
from cellucid_dask.exporter.planning.memory import spill_bytes
from cellucid_dask.exporter.receipts import Spill
from cellucid_dask.exporter.stages.genes.transpose import narrow, transpose_chunk
from cellucid_dask.server.gene_index.lock import OTHER_FOLDER, NoIndexError
from cellucid_dask.server.gene_index.scan import chunks_of, genes_of
from cellucid_dask.server.gene_index.store import IndexStore, save_block
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

_Part: TypeAlias = tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]  # pointers, rows, values

# Another cut into blocks needs another VERSION of the cache.
BLOCK_NNZ = 1_000_000  # values of a block at least: about a tenth of a second to build
MOST_NNZ = 8_000_000  # and at most, however large the matrix, but for a gene that alone has more
BLOCKS = 512  # number of blocks beyond which they become larger
BLOCK_GENES = 8192  # genes of a block at most, however little they store
NNZ_BYTES = 24  # memory per value of building a block: spilled, gathered and compressed
DISK_BYTES = 5  # of a stored value in the index, as log-normalized counts were measured to need


def disk_bytes(matrix: Matrix) -> int:
    """Disk that the spill and the blocks take together; 0 when it cannot be known yet."""
    if not isinstance(matrix, SparseMatrix):
        return 0
    return spill_bytes(genes_of(matrix)) + DISK_BYTES * matrix.nnz


def stored_values(spills: Iterable[Spill], n_genes: int) -> NDArray[np.int64]:
    """(n_genes,) values that the index stores of each gene."""
    total = np.zeros(n_genes, np.int64)
    for spill in spills:
        total += spill.counts() if spill.nnz >= 0 else _dense_counts(spill)
    return total


def _dense_counts(spill: Spill) -> NDArray[np.int64]:
    step = max(1, (1 << 22) // max(1, spill.n_rows))
    cuts = [*range(0, spill.n_genes, step), spill.n_genes]
    return np.concatenate([np.diff(_sparse(spill, a, b)[0]) for a, b in pairwise(cuts)])


def _sparse(spill: Spill, start: int, stop: int) -> _Part:
    """Read genes of a spill; without the zeros if it is dense, but a -0.0 is none, by its bits.

    Whether a chunk was spilled dense depends on how the cells were cut, and the index must not.
    """
    part = spill.read(start, stop)
    if part.rows is not None:
        return part.pointers, part.rows, part.values
    places = np.flatnonzero(part.values.view(np.uint32))
    return np.searchsorted(places, part.pointers), places % spill.n_rows, part.values[places]


def cut(stored: NDArray[np.int64]) -> NDArray[np.int64]:
    """First gene of each block, and the number of genes, by the stored values of each gene."""
    limit = min(max(BLOCK_NNZ, int(stored.sum()) // BLOCKS), MOST_NNZ)
    runs = cut_gene_blocks(stored + -(-limit // BLOCK_GENES), limit)
    return np.asarray([0, *(stop for _, stop in runs)], np.int64)


@dataclass(frozen=True, slots=True)
class BlockTask:
    """What `write_block` is told.

    Parameters
    ----------
    root
        The zarr group of the index.
    block, start, stop
        Number of the block, and its genes.
    nnz, n_cells
        Values it stores, and cells of the matrix.
    """

    root: str
    block: int
    start: int
    stop: int
    nnz: int
    n_cells: int

    @property
    def n_bytes(self) -> int:
        """Memory it takes."""
        return self.nnz * NNZ_BYTES + 1


def plan_blocks(store: IndexStore, spills: Sequence[Spill]) -> list[BlockTask]:
    """Make the index of what is spilled; tasks for the blocks that it lacks."""
    n_cells, n_genes = store.shape
    stored = stored_values(spills, n_genes)
    starts = cut(stored)
    store.create(starts)
    sizes = np.add.reduceat(stored, starts[:-1]) if n_genes else stored
    return [
        BlockTask(str(store.root), i, int(starts[i]), int(starts[i + 1]), int(sizes[i]), n_cells)
        for i in store.missing()
    ]


def write_block(task: BlockTask, spills: Sequence[Spill]) -> None:
    """Gather the genes of a block from the spill, which is in the order of the cells."""
    parts = [_sparse(spill, task.start, task.stop) for spill in spills]
    lengths = [np.diff(bounds) for bounds, _, _ in parts]
    pointers = np.zeros(task.stop - task.start + 1, np.int64)
    np.cumsum(np.sum([np.diff(pointers), *lengths], axis=0), out=pointers[1:])
    indices = np.empty(task.nnz, np.uint32 if task.n_cells <= 1 << 32 else np.uint64)
    values = np.empty(task.nnz, np.result_type(np.uint8, *(part[2] for part in parts)))
    free = pointers[:-1].copy()  # where the next value of each gene goes
    for spill, (bounds, rows, stored), n in zip(spills, parts, lengths, strict=True):
        places = np.arange(stored.size) + np.repeat(free - bounds[:-1], n)
        indices[places] = rows.astype(indices.dtype) + indices.dtype.type(spill.first)
        values[places] = stored
        free += n
    save_block(Path(task.root), task.block, pointers, indices, narrow(values))


@contextmanager
def spill_folder(folder: Path) -> Iterator[Path]:
    """Have a folder for the spill, for as long as the block lasts."""
    with TemporaryDirectory(prefix="spill-", dir=folder, ignore_cleanup_errors=True) as path:
        yield Path(path)


def check_disk(folder: Path, n_bytes: int) -> None:
    """Refuse to begin, or to go on with, what the disk has no room for.

    Raises
    ------
    NoIndexError
        With both numbers.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise NoIndexError(
            f"the disk of the cache folder has {decimal(free)} free; the gene index needs "
            f"{decimal(n_bytes)}",
            where=str(folder),
            fix=OTHER_FOLDER,
        )


def build_by_workers(
    engine: Engine,
    matrix: Matrix,
    store: IndexStore,
    share: int,
    check: Callable[[], None],
    *,
    here: bool,
) -> None:
    """Build what is missing by the workers of an engine, for tasks of at most `share` bytes.

    Parameters
    ----------
    check
        Called when all data are read; raises when they must not be used.
    here
        Read the matrix in this process.
    """
    with spill_folder(store.folder) as spill, engine.start_workers(spill):
        tasks = [(matrix, *rows, None, str(spill)) for rows in chunks_of(matrix, share)]
        spills = engine.run("transpose", transpose_chunk, tasks, in_process=here, unit="chunks")
        check()
        planned = plan_blocks(store, spills)
        small = [(task, spills) for task in planned if task.n_bytes <= share]
        engine.run("index", write_block, small, unit="blocks")
        for task in planned:
            if task.n_bytes > share:  # one gene, with a value in nearly every of many cells
                engine.run("index", write_block, [(task, spills)], unit="large genes")
        store.refresh()
