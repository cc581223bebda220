"""How the work is cut, in integers alone: row chunks, gene blocks, memory and disk.

Nothing here reads an expression value; a plan that cannot fit is refused with the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.filesize import decimal

from cellucid_dask.errors import PlanError
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.exporter.disk_usage import FileKind, edge_scratch, obs_scratch, output_files
from cellucid_dask.exporter.obs_memory import ObsMemory, size_of_sums
from cellucid_dask.format import value_dtype
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

MiB = 1 << 20
SPAN = 1 << 18  # cells of one partial sum at least; its ends never depend on memory
MAX_SPANS = 16  # partial sums at most; each holds every category
CHUNK_ROWS = 1 << 16  # a spilled row number has 16 bits
SEGMENT = MiB  # bytes of one block in one spill file, below which reading them is slow
BLOCK_BYTES = 192 * MiB  # a block is a task of seconds: what Ctrl-C waits for at most
CHUNK_NNZ = 24_000_000
LEAST_NNZ = 4_000_000  # of a chunk that is made smaller only so that there are enough
MANY_CHUNKS = 1000  # chunks beyond which they are made larger
SMALL = 20_000_000  # values of a job that is done before workers have started
FLOOR = 48 * MiB  # least memory a task is planned with

Way = Literal["none", "transpose", "columns", "strips"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The cut of one export.

    Parameters
    ----------
    way
        How genes are reached: ``transpose`` spills row chunks and reads them back by gene,
        ``columns`` reads CSC, ``strips`` reads columns of a dense matrix.
    row_chunks
        (start, stop) of the cells of each task of the first pass.
    block_bytes
        Spilled or read bytes of the genes of one block at most.
    spans
        (start, stop) of the cells of each partial sum.
    peak_bytes
        Projected memory of the largest task.
    worker_bytes
        Memory a task may take.
    output, scratch
        Files that will be written, manifests included, and those of the run alone; their bytes are
        estimates.
    """

    way: Way
    row_chunks: tuple[tuple[int, int], ...]
    block_bytes: int
    spans: tuple[tuple[int, int], ...]
    peak_bytes: int
    worker_bytes: int
    output: tuple[FileKind, ...] = ()
    scratch: tuple[FileKind, ...] = ()

    @property
    def output_bytes(self) -> int:
        """Estimated bytes of the export."""
        return sum(kind.n_bytes for kind in self.output)

    @property
    def scratch_bytes(self) -> int:
        """Estimated bytes of the scratch files."""
        return sum(kind.n_bytes for kind in self.scratch)

    @property
    def n_files(self) -> int:
        """Files of the export."""
        return sum(kind.n for kind in self.output)


def is_small(catalog: Catalog) -> bool:
    """Whether the job is done sooner than worker processes have started."""
    genes, stored = catalog.genes, 0
    if genes is not None:
        matrix = genes.matrix
        stored = matrix.nnz if isinstance(matrix, SparseMatrix) else int(np.prod(matrix.shape))
        stored += len(genes.ids) * catalog.n_cells // 20
    return stored + catalog.n_cells * 8 * len(catalog.categorical) < SMALL


def make_plan(catalog: Catalog, options: ExportOptions, worker_bytes: int, slots: int) -> Plan:
    """Cut the work for tasks of at most `worker_bytes`, of which `slots` run at a time.

    Raises
    ------
    PlanError
        When a task needs more, with what it needs.
    ReadError
        When the row pointers of the matrix are damaged.
    """
    need, left_out = least_bytes(catalog, options), left_out_bytes(catalog)
    if worker_bytes < need:
        raise NotEnoughError(need, _cause(catalog, need - left_out))
    worker_bytes, need = worker_bytes - left_out, need - left_out  # the rest is for tasks
    genes, room = catalog.genes, worker_bytes - vector_bytes(catalog, options)
    way: Way = "none"
    chunks: tuple[tuple[int, int], ...] = ()
    block, total = BLOCK_BYTES, 0
    scratch = [*obs_scratch(catalog, ObsMemory.of(catalog).sums, len(spans(catalog.n_cells)))]
    scratch += edge_scratch(catalog)
    if genes is not None and genes.ids:
        way = choose_way(genes, room)
        if way == "transpose":
            chunks = row_chunks(genes, worker_bytes, slots)
            scratch.append(FileKind(len(chunks), spill_bytes(genes)))
        total = gene_bytes(genes)
        block = min(room, max(BLOCK_BYTES, len(chunks) * SEGMENT))
        block = max(min(block, total // 8), MiB)
    return Plan(
        way,
        chunks,
        block,
        spans(catalog.n_cells),
        max(need, min(worker_bytes, _largest(genes, chunks, block, catalog, options))),
        worker_bytes,
        output_files(catalog, options),
        tuple(scratch),
    )


class NotEnoughError(PlanError):
    """A task needs more memory than a worker has; the caller knows of how many workers.

    Parameters
    ----------
    need
        Bytes.
    other
        What would need less; empty where nothing is known to.
    """

    def __init__(self, need: int, other: str = "") -> None:
        self.need, self.other = need, other
        super().__init__(f"a task needs {decimal(need)}")


def _cause(catalog: Catalog, need: int) -> str:
    """Say what to do when it is the sums by category that take the memory."""
    if not catalog.categorical or ObsMemory.of(catalog).reduction_bytes < need:
        return ""
    return f"or choose others with --latent-key or --obs-key: {size_of_sums(catalog)}"


def choose_way(genes: Genes, room: int) -> Way:
    """Shortest way to the genes: CSC is by gene already, dense where a strip of it fits."""
    matrix = genes.matrix
    if isinstance(matrix, SparseMatrix):
        return "columns" if matrix.layout == "csc" else "transpose"
    if matrix.layout == "rows":
        return "transpose"
    n_cells, n_genes = matrix.shape
    fits = room // max(1, 2 * n_cells * matrix.dtype.itemsize)
    if isinstance(matrix.array, np.ndarray):
        return "strips"
    # Contiguous rows: every strip walks through the whole file, so a few strips at most.
    width = matrix.chunks[1] if matrix.chunks else -(-n_genes // 4)
    return "strips" if fits >= width else "transpose"


def strip_width(genes: Genes, block_bytes: int) -> int:
    """Columns of a dense strip: whole chunks, so that each is read once."""
    matrix = genes.matrix
    assert isinstance(matrix, DenseMatrix)
    fits = max(1, block_bytes // strip_bytes(matrix))
    if not matrix.chunks:
        return fits
    return max(matrix.chunks[1], fits - fits % matrix.chunks[1])


def strip_bytes(matrix: DenseMatrix) -> int:
    """Memory of one column of a dense matrix while it is read."""
    return max(1, matrix.shape[0] * max(4, matrix.dtype.itemsize))


def row_chunks(genes: Genes, worker_bytes: int, slots: int = 1) -> tuple[tuple[int, int], ...]:
    """Cells of each first-pass task: as many as fit, at most what 16 bits can number.

    Every block of genes reads from every spill file: so chunks are larger where there would be
    very many of them, as long as each of the `slots` gets several.
    """
    matrix = genes.matrix
    n_cells, n_genes = matrix.shape
    if isinstance(matrix, SparseMatrix):
        usual = max(CHUNK_NNZ, matrix.nnz // max(MANY_CHUNKS, 4 * slots))
        return _cut(matrix, _even(matrix, usual, worker_bytes // _bytes_per_nnz(matrix), slots))
    per_row = n_genes * (matrix.dtype.itemsize + 14)
    rows = max(
        1, min(CHUNK_ROWS, CHUNK_NNZ * 16 // max(per_row, 1), worker_bytes // max(per_row, 1))
    )
    if matrix.layout == "rows":  # a block of dask is computed whole, so take whole ones
        return _merge(np.cumsum(matrix.array.chunks[0]), rows)
    if matrix.chunks and matrix.chunks[0] < rows:
        rows -= rows % matrix.chunks[0]
    return tuple((start, min(start + rows, n_cells)) for start in range(0, n_cells, rows))


def _even(matrix: SparseMatrix, usual: int, fits: int, slots: int) -> int:
    """Stored values of a chunk, at most what `fits`, such that all `slots` get as many chunks.

    Thirteen chunks take two workers as long as fourteen.
    """
    most = max(1, min(usual, fits))
    if slots == 1:
        return most
    least = -(-matrix.nnz // most)
    whole = max(1, min(-(-least // slots) * slots, max(least, matrix.nnz // LEAST_NNZ)))
    return max(1, min(fits, -(-matrix.nnz // whole) + matrix.n_minor))  # chunks are whole rows


def _merge(ends: NDArray[np.int64], rows: int) -> tuple[tuple[int, int], ...]:
    """Runs of whole blocks of at most `rows`; only a block that 16 bits cannot number is cut."""
    cuts = [0]
    while cuts[-1] < ends[-1]:
        within = ends[(ends > cuts[-1]) & (ends <= cuts[-1] + rows)]
        following = int(ends[ends > cuts[-1]][0])
        cuts.append(int(within[-1]) if within.size else min(following, cuts[-1] + CHUNK_ROWS))
    return tuple(pairwise(cuts))


def _bytes_per_nnz(matrix: SparseMatrix) -> int:
    """Peak of reading and transposing a chunk: two copies of the values and of the indices."""
    value, index = matrix.dtype.itemsize, np.dtype(matrix.indices.dtype).itemsize
    return 2 * max(value, 4) + index + 4 + (4 if index > 4 else 0) + 6 + matrix.selecting_bytes


def _cut(matrix: SparseMatrix, limit: int) -> tuple[tuple[int, int], ...]:
    """Row chunks of at most `limit` stored values, read from indptr in pieces."""
    cuts, base = [0], 0
    for start, pointers in matrix.pointers():
        last = start + pointers.size - 1
        while True:
            stop = start + int(np.searchsorted(pointers, base + limit, side="right")) - 1
            stop = min(stop, cuts[-1] + CHUNK_ROWS)
            if stop >= last and last < matrix.n_major and last - cuts[-1] < CHUNK_ROWS:
                break  # the chunk may go on in the next piece
            stop = min(max(stop, cuts[-1] + 1), last)
            if stop <= cuts[-1]:
                break
            cuts.append(stop)
            base = int(pointers[stop - start])
    return tuple(pairwise(cuts))


def spans(n_cells: int) -> tuple[tuple[int, int], ...]:
    """Cells of each partial sum; they depend on the number of cells alone, as the bytes do."""
    size = max(SPAN, -(-n_cells // (MAX_SPANS * SPAN)) * SPAN)
    return tuple((start, min(start + size, n_cells)) for start in range(0, n_cells, size))


def blocks(weights: NDArray[np.int64], n_bytes: int) -> list[tuple[int, int]]:
    """Cut genes into runs of about equal weight, each at most `n_bytes` or one gene.

    Parameters
    ----------
    weights
        (n_genes,) bytes of each gene.
    """
    ends = np.cumsum(weights)
    cuts, base = [0], 0
    while cuts[-1] < weights.size:
        stop = int(np.searchsorted(ends, base + n_bytes, side="right"))
        cuts.append(max(stop, cuts[-1] + 1))
        base = int(ends[cuts[-1] - 1])
    return list(pairwise(cuts))


# ---------------------------------------------------------------------------- memory and disk


def vector_bytes(catalog: Catalog, options: ExportOptions) -> int:
    """Memory of encoding one gene: its values, its codes, the whole vector and its gzip."""
    if catalog.genes is None:
        return 0
    itemsize = np.dtype(value_dtype(options.var_quantization)).itemsize
    return catalog.n_cells * (12 + 2 * itemsize)


def least_bytes(catalog: Catalog, options: ExportOptions) -> int:
    """Least memory with which every task can run."""
    genes, largest = catalog.genes, FLOOR
    if genes is not None and genes.ids:
        matrix, n_cells = genes.matrix, catalog.n_cells
        vector = vector_bytes(catalog, options)
        if isinstance(matrix, SparseMatrix):
            row = n_cells if matrix.layout == "csc" else matrix.shape[1]
            densest = max(16 * MiB, 6 * n_cells)  # a gene that every cell has, as it is spilled
            largest = max(largest, vector + densest, row * _bytes_per_nnz(matrix))
        else:
            row = matrix.shape[1] * (matrix.dtype.itemsize + 14)
            row *= matrix.chunks[0] if matrix.chunks else 1
            largest = max(largest, vector + 16 * MiB, min(row, 256 * MiB))
    return max(largest, ObsMemory.of(catalog).least) + left_out_bytes(catalog)


def left_out_bytes(catalog: Catalog) -> int:
    """Memory that a process needs all the time to leave out cells; 0 where none is left out."""
    kept = catalog.source.kept
    return 0 if kept is None else kept.n_bytes


def _largest(
    genes: Genes | None,
    chunks: Sequence[tuple[int, int]],
    block: int,
    catalog: Catalog,
    options: ExportOptions,
) -> int:
    if genes is None:
        return ObsMemory.of(catalog).least
    first = 0
    matrix = genes.matrix
    if chunks:
        rows = max(stop - start for start, stop in chunks)
        if isinstance(matrix, SparseMatrix):
            most = max(CHUNK_NNZ, matrix.nnz // MANY_CHUNKS)
            share = min(most, matrix.nnz * rows // max(1, matrix.shape[0]) * 3 // 2)
            first = share * _bytes_per_nnz(matrix)
        else:
            first = rows * matrix.shape[1] * (matrix.dtype.itemsize + 14)
    return max(first, block + vector_bytes(catalog, options))


def gene_bytes(genes: Genes) -> int:
    """Bytes of the values of the chosen genes, as a block task reads them."""
    matrix = genes.matrix
    share = len(genes.ids) / max(1, matrix.shape[1])
    if isinstance(matrix, SparseMatrix):
        width = 6
        if matrix.layout == "csc":
            width = matrix.dtype.itemsize + np.dtype(matrix.indices.dtype).itemsize
        return int(matrix.nnz * share) * width
    return 4 * matrix.shape[0] * len(genes.ids)


def spill_bytes(genes: Genes) -> int:
    """Disk the spill may take: 6 bytes a stored value, 4 a dense one."""
    return gene_bytes(genes) + 8 * (genes.matrix.shape[1] + 1)


def describe(plan: Plan, catalog: Catalog, engine: str, tasks: Mapping[str, int]) -> dict[str, Any]:
    """Facts of the plan for the user: text by name, in the order to show them.

    Parameters
    ----------
    tasks
        Number of the tasks of each stage.
    """
    facts: dict[str, Any] = {"cells": f"{catalog.n_cells:,}"}
    genes = catalog.genes
    if genes is None:
        facts["genes"] = "none"
    else:
        matrix = genes.matrix
        facts["genes"] = f"{len(genes.ids):,} of {matrix.shape[1]:,}"
        facts["non-zeros"] = "not stored apart (dense)"
        if isinstance(matrix, SparseMatrix):
            facts["non-zeros"] = f"{matrix.nnz:,} stored"
        facts["layout on disk"] = _layout(matrix)
        facts["way"] = _WAYS[plan.way]
        if plan.row_chunks:
            facts["row chunks"] = f"{len(plan.row_chunks):,}"
        n_blocks = tasks.get("genes", 0)
        each = gene_bytes(genes) // max(n_blocks, 1)
        facts["gene blocks"] = f"{n_blocks:,} of about {decimal(each)}"
    facts["tasks"] = _tasks(plan, tasks)
    facts["runs on"] = engine
    projected, allowed = (n + left_out_bytes(catalog) for n in (plan.peak_bytes, plan.worker_bytes))
    facts["memory per worker"] = f"{decimal(projected)} projected of {decimal(allowed)} allowed"
    facts["scratch"] = decimal(plan.scratch_bytes)
    facts["output"] = f"{plan.n_files:,} files, about {decimal(plan.output_bytes)}"
    return facts


def _tasks(plan: Plan, tasks: Mapping[str, int]) -> str:
    """Number of tasks, those of the obs stages together; what a spill will hold is not known."""
    about = {"genes": "about "} if plan.way == "transpose" else {}
    by_gene = [stage for stage in GENE_STAGES if stage in tasks]
    n_obs = sum(tasks.values()) - sum(tasks[stage] for stage in by_gene)
    told = [f"{stage} {about.get(stage, '')}{tasks[stage]:,}" for stage in by_gene]
    return ", ".join([f"obs {n_obs:,}", *told])


GENE_STAGES = ("transpose", "spill sizes", "genes", "edges")
_WAYS = {
    "none": "no genes",
    "transpose": "row chunks are spilled gene by gene, then read back in gene blocks",
    "columns": "columns are read as they lie",
    "strips": "strips of columns are read as they lie",
}


def _layout(matrix: SparseMatrix | DenseMatrix) -> str:
    array = matrix.data if isinstance(matrix, SparseMatrix) else matrix.array
    if matrix.layout == "rows":
        return f"dask array of {matrix.dtype}, {array.npartitions} blocks"
    text = f"{'dense' if matrix.layout == 'dense' else matrix.layout.upper()} {matrix.dtype}"
    if isinstance(array, np.ndarray):
        return f"{text}, in memory"
    return f"{text}, " + (f"chunks of {array.chunks}" if array.chunks else "contiguous")
