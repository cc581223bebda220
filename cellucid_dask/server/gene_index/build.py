"""Building the gene index: row chunks are spilled by gene, as in an export, then merged.

The plan of the blocks and every byte of a block depend on the matrix alone, not on the memory, the
workers or the spill: two processes that build the same index write the same bytes.
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
from cellucid_dask.native.arena import open_arena
from cellucid_dask.native.library import load
from cellucid_dask.native.transpose import append_genes
from cellucid_dask.server.gene_index.lock import OTHER_CACHE_DIR, GeneIndexError
from cellucid_dask.server.gene_index.scan import plan_row_chunks, select_all_genes
from cellucid_dask.server.gene_index.store import IndexStore, cell_dtype, save_block
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

# Pointers, rows, values of genes.
_SparseGenes: TypeAlias = tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[Any]]

# A change of these numbers needs another VERSION of the cache.
MIN_BLOCK_NNZ = 1_000_000  # minimum values of a block: about a tenth of a second to build
MAX_BLOCK_NNZ = 8_000_000  # maximum, for a matrix of any size; a single gene may have more
TARGET_BLOCKS = 512  # a matrix that needs more blocks gets larger ones
MAX_BLOCK_GENES = 8192  # maximum genes of a block, also when they store few values
NNZ_BYTES = 24  # memory per value of building a block: spilled, merged and compressed
DISK_BYTES = 5  # per stored value of the index, measured with log-normalized counts


def estimate_disk_bytes(matrix: Matrix) -> int:
    """Bytes on disk that the spill and the blocks need together; 0 when not known yet."""
    if not isinstance(matrix, SparseMatrix):
        return 0
    return spill_bytes(select_all_genes(matrix)) + DISK_BYTES * matrix.nnz


def count_stored_values(spills: Iterable[Spill], n_genes: int) -> NDArray[np.int64]:
    """Count the values that the index stores of each gene; (n_genes,)."""
    total = np.zeros(n_genes, np.int64)
    for spill in spills:
        total += spill.counts() if spill.nnz >= 0 else _count_dense_values(spill)
    return total


def _count_dense_values(spill: Spill) -> NDArray[np.int64]:
    step = max(1, (1 << 22) // max(1, spill.n_rows))
    cuts = [*range(0, spill.n_genes, step), spill.n_genes]
    return np.concatenate([np.diff(_read_sparse(spill, a, b)[0]) for a, b in pairwise(cuts)])


def _read_sparse(spill: Spill, start: int, stop: int) -> _SparseGenes:
    """Read genes of a spill as sparse; zeros of a dense spill are left out, -0.0 is not.

    Whether a chunk is spilled dense depends on the row chunks. The index must not depend on them.
    """
    part = spill.read(start, stop)
    if part.rows is not None:
        return part.pointers, part.rows, part.values
    positions = np.flatnonzero(part.values.view(np.uint32))
    return (
        np.searchsorted(positions, part.pointers),
        (positions % spill.n_rows).astype(np.uint16),
        part.values[positions],
    )


def plan_block_starts(stored: NDArray[np.int64]) -> NDArray[np.int64]:
    """Plan the blocks by the stored values of each gene: their first genes, then the gene count."""
    limit = min(max(MIN_BLOCK_NNZ, int(stored.sum()) // TARGET_BLOCKS), MAX_BLOCK_NNZ)
    runs = cut_gene_blocks(stored + -(-limit // MAX_BLOCK_GENES), limit)
    return np.asarray([0, *(stop for _, stop in runs)], np.int64)


@dataclass(frozen=True, slots=True)
class BlockTask:
    """A block for `write_block` to write.

    Parameters
    ----------
    root
        The zarr group of the index.
    block, start, stop
        Number of the block, and the range of its genes.
    nnz, n_cells
        Values that the block stores, and cells of the matrix.
    """

    root: str
    block: int
    start: int
    stop: int
    nnz: int
    n_cells: int

    @property
    def n_bytes(self) -> int:
        """Memory that writing the block takes."""
        return self.nnz * NNZ_BYTES + 1


def plan_blocks(store: IndexStore, spills: Sequence[Spill]) -> list[BlockTask]:
    """Create the index for these spills; return a task for each block that is not finished."""
    n_cells, n_genes = store.shape
    stored = count_stored_values(spills, n_genes)
    starts = plan_block_starts(stored)
    store.create(starts)
    sizes = np.add.reduceat(stored, starts[:-1]) if n_genes else stored
    return [
        BlockTask(str(store.root), i, int(starts[i]), int(starts[i + 1]), int(sizes[i]), n_cells)
        for i in store.missing_blocks()
    ]


def write_block(task: BlockTask, spills: Sequence[Spill]) -> None:
    """Merge the genes of a block from the spills, which are in the order of the cells."""
    parts = [_read_sparse(spill, task.start, task.stop) for spill in spills]
    lengths = [np.diff(bounds) for bounds, _, _ in parts]
    pointers = np.zeros(task.stop - task.start + 1, np.int64)
    np.cumsum(np.sum([np.diff(pointers), *lengths], axis=0), out=pointers[1:])
    filled = pointers[:-1].copy()  # where the next value of each gene goes
    append = _append if load() is None else append_genes
    with open_arena() as arena:
        indices = arena.take(task.nnz, cell_dtype(task.n_cells))
        values = arena.take(task.nnz, np.result_type(np.uint8, *(part[2] for part in parts)))
        for spill, part in zip(spills, parts, strict=True):
            append(part, spill.first, pointers, filled, indices, values)
        save_block(Path(task.root), task.block, pointers, indices, narrow(values))


def _append(
    part: _SparseGenes,
    first_cell: int,
    _starts: NDArray[np.int64],
    filled: NDArray[np.int64],
    cells: NDArray[Any],
    values: NDArray[Any],
) -> None:
    """Append genes of a chunk as `cellucid_dask.native.transpose.append_genes` does."""
    bounds, rows, stored = part
    lengths = np.diff(bounds)
    places = np.arange(stored.size) + np.repeat(filled - bounds[:-1], lengths)
    cells[places] = rows.astype(cells.dtype) + cells.dtype.type(first_cell)
    values[places] = stored
    filled += lengths


@contextmanager
def temporary_spill_folder(folder: Path) -> Iterator[Path]:
    """Create a folder for the spill; remove it at the end."""
    with TemporaryDirectory(prefix="spill-", dir=folder, ignore_cleanup_errors=True) as path:
        yield Path(path)


def check_disk(folder: Path, n_bytes: int) -> None:
    """Raise when the disk has less than `n_bytes` free.

    Raises
    ------
    GeneIndexError
        The message has both numbers.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise GeneIndexError(
            f"the disk of the cache folder has {decimal(free)} free; the gene index needs "
            f"{decimal(n_bytes)}",
            where=str(folder),
            fix=OTHER_CACHE_DIR,
        )


def build_by_workers(
    engine: Engine,
    matrix: Matrix,
    store: IndexStore,
    task_bytes: int,
    check: Callable[[], None],
    *,
    in_process: bool,
) -> None:
    """Build the missing blocks with an engine's workers, in tasks of at most `task_bytes` bytes.

    Parameters
    ----------
    check
        Called after all data are read; raises when the data have changed.
    in_process
        Read the matrix in this process.
    """
    with temporary_spill_folder(store.folder) as spill, engine.start_workers(spill):
        tasks = [(matrix, *rows, None, str(spill)) for rows in plan_row_chunks(matrix, task_bytes)]
        spills = engine.run(
            "transpose", transpose_chunk, tasks, in_process=in_process, unit="chunks"
        )
        check()
        planned = plan_blocks(store, spills)
        small = [(task, spills) for task in planned if task.n_bytes <= task_bytes]
        engine.run("index", write_block, small, unit="blocks")
        for task in planned:
            if task.n_bytes > task_bytes:  # one gene with values in most of very many cells
                engine.run("index", write_block, [(task, spills)], unit="large genes")
        store.refresh()
