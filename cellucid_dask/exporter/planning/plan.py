"""The plan of an export, in integers alone: row chunks, gene blocks, memory and disk.

Nothing here reads an expression value; a plan that cannot fit is refused with the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rich.filesize import decimal

from cellucid_dask.errors import PlanError
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.exporter.planning.cuts import (
    cut_row_chunks,
    cut_spans,
    usual_chunk_nnz,
    usual_cut_nnz,
)
from cellucid_dask.exporter.planning.disk_usage import (
    FileKind,
    cell_id_files,
    edge_scratch,
    obs_scratch,
    output_files,
)
from cellucid_dask.exporter.planning.memory import (
    MiB,
    bytes_per_nnz,
    cut_bytes_per_row,
    cut_bytes_per_value,
    decoding_bytes,
    gene_bytes,
    least_bytes,
    second_pass_bytes,
    selection_bytes,
    spill_bytes,
    vector_bytes,
)
from cellucid_dask.exporter.planning.obs_memory import ObsMemory, size_of_sums
from cellucid_dask.exporter.planning.ready_files import ReadyFiles
from cellucid_dask.exporter.planning.strips import count_strips
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.formats import FOLDER
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

SEGMENT = MiB  # bytes of one block in one spill file, below which reading them is slow
BLOCK_BYTES = 192 * MiB  # a task of a few seconds: Ctrl-C waits for no longer than that
SMALL = 20_000_000  # values of an export that takes less time than starting workers

GeneAccess = Literal["none", "cut", "transpose", "columns", "strips"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the work of one export is cut.

    Parameters
    ----------
    gene_access
        How the values of a gene are read: ``cut`` cuts row chunks of CSR at gene strips, spills
        them and sorts each strip by gene, in C; ``transpose`` spills row chunks by gene and reads
        them back, with numpy; ``columns`` reads CSC, ``strips`` reads columns of a dense matrix.
    row_chunks
        (start, stop) of the cells of each task of the first pass.
    n_strips
        Strips of the genes where rows are cut; else 0.
    block_bytes
        Most bytes that the genes of one block take, spilled or as they are read.
    spans
        (start, stop) of the cells of each partial sum.
    peak_bytes
        Projected memory of the largest task.
    worker_bytes
        Memory a task may take.
    output, scratch
        Files that will be written, manifests included, and those of the run alone; their bytes are
        estimates.
    n_store_files, n_sharded_files
        Files of the ready zarr folder, and how many it would have with shards; 0 without one.
    """

    gene_access: GeneAccess
    row_chunks: tuple[tuple[int, int], ...]
    n_strips: int
    block_bytes: int
    spans: tuple[tuple[int, int], ...]
    peak_bytes: int
    worker_bytes: int
    output: tuple[FileKind, ...] = ()
    scratch: tuple[FileKind, ...] = ()
    n_store_files: int = 0
    n_sharded_files: int = 0

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
    """Whether the export takes less time than starting worker processes."""
    genes, stored = catalog.genes, 0
    if genes is not None:
        matrix = genes.matrix
        stored = matrix.nnz if isinstance(matrix, SparseMatrix) else int(np.prod(matrix.shape))
        stored += len(genes.ids) * catalog.n_cells // 20
    return stored + catalog.n_cells * 8 * len(catalog.categorical) < SMALL


def make_plan(
    catalog: Catalog,
    options: ExportOptions,
    worker_bytes: int,
    slots: int,
    *,
    native: bool,
    n_kept_strips: int = 0,
) -> Plan:
    """Cut the work for tasks of at most `worker_bytes`, of which `slots` run at a time.

    Parameters
    ----------
    native
        Whether tasks use the native library.
    n_kept_strips
        Strips at which a previous run has cut rows, whose spill files are used; else 0.

    Raises
    ------
    PlanError
        When a task needs more; the message says how much.
    ReadError
        When the row pointers of the matrix are damaged.
    """
    need, left_out = least_bytes(catalog, options), selection_bytes(catalog)
    if worker_bytes < need:
        raise NotEnoughError(need, _suggest_other_keys(catalog, need - left_out))
    worker_bytes, need = worker_bytes - left_out, need - left_out  # what remains for tasks
    ready = bool(options.ready_formats)
    genes, room = catalog.genes, worker_bytes - vector_bytes(catalog, options)
    gene_access: GeneAccess = "none"
    chunks: tuple[tuple[int, int], ...] = ()
    block, total, n_strips = BLOCK_BYTES, 0, 0
    ready_files = ReadyFiles.of(catalog.ready, options, slots)
    output, scratch = _list_files(catalog, options, ready_files)
    if genes is not None and genes.ids:
        gene_access = choose_gene_access(genes, room, native=native)
        total = gene_bytes(genes)
        if gene_access == "cut":
            assert isinstance(genes.matrix, SparseMatrix)
            fits = room * 4 // 5 // second_pass_bytes(genes.matrix, catalog.n_cells, options)
            n_strips = n_kept_strips or count_strips(
                total // 6, max(1, catalog.n_cells), len(genes.ids), slots, max(1, fits)
            )
            chunks = cut_row_chunks(genes, worker_bytes, slots, n_strips, ready=ready)
            lengths = 2 * n_strips * catalog.n_cells
            scratch.append(FileKind(min(slots, len(chunks)), total + lengths))
        elif gene_access == "transpose":
            chunks = cut_row_chunks(genes, worker_bytes, slots)
            scratch.append(FileKind(len(chunks), spill_bytes(genes)))
        block = min(room, max(BLOCK_BYTES, len(chunks) * SEGMENT))
        block = max(min(block, total // 8), MiB)
    return Plan(
        gene_access,
        chunks,
        n_strips,
        block,
        cut_spans(catalog.n_cells),
        max(
            need, min(worker_bytes, _largest_task(genes, chunks, n_strips, block, catalog, options))
        ),
        worker_bytes,
        tuple(output),
        tuple(scratch),
        ready_files.n_store_files,
        ready_files.n_sharded_files,
    )


def _list_files(
    catalog: Catalog, options: ExportOptions, ready: ReadyFiles
) -> tuple[list[FileKind], list[FileKind]]:
    """Files of all outputs, and those of the run alone but for the spill of genes."""
    output, scratch = list(ready.output), list(ready.scratch)
    if FOLDER in options.formats:
        sums, n_spans = ObsMemory.of(catalog).sums, len(cut_spans(catalog.n_cells))
        output += output_files(catalog, options)
        scratch += [*obs_scratch(catalog, sums, n_spans), *edge_scratch(catalog)]
        scratch += cell_id_files(catalog, options)
    return output, scratch


class NotEnoughError(PlanError):
    """A task needs more memory than a worker has; the caller adds the number of workers.

    Parameters
    ----------
    need
        Bytes.
    other
        Options with which it would need less; empty when none are known.
    """

    def __init__(self, need: int, other: str = "") -> None:
        self.need, self.other = need, other
        super().__init__(f"a task needs {decimal(need)}")


def _suggest_other_keys(catalog: Catalog, need: int) -> str:
    """Suggest other keys if the sums of the categories are what needs the memory."""
    if not catalog.categorical or ObsMemory.of(catalog).reduction_bytes < need:
        return ""
    return f"or choose others with --latent-key or --obs-key: {size_of_sums(catalog)}"


def choose_gene_access(genes: Genes, room: int, *, native: bool) -> GeneAccess:
    """Cheapest access to the genes: columns of CSC, strips of a dense matrix if they fit."""
    matrix = genes.matrix
    if isinstance(matrix, SparseMatrix):
        if matrix.layout == "csc":
            return "columns"
        return "cut" if native else "transpose"
    if matrix.layout == "rows":
        return "transpose"
    n_cells, n_genes = matrix.shape
    fits = room // max(1, 2 * n_cells * matrix.dtype.itemsize)
    if isinstance(matrix.array, np.ndarray):
        return "strips"
    # Contiguous rows: every strip reads through the entire file, so use few strips at most.
    width = matrix.chunks[1] if matrix.chunks else -(-n_genes // 4)
    return "strips" if fits >= width else "transpose"


def _largest_task(
    genes: Genes | None,
    chunks: Sequence[tuple[int, int]],
    n_strips: int,
    block: int,
    catalog: Catalog,
    options: ExportOptions,
) -> int:
    """Projected memory of the largest task, in bytes."""
    if genes is None:
        return ObsMemory.of(catalog).least
    first = 0
    matrix = genes.matrix
    if chunks:
        rows = max(stop - start for start, stop in chunks)
        if isinstance(matrix, SparseMatrix):
            expected = matrix.nnz * rows // max(1, matrix.shape[0]) * 3 // 2
            if n_strips:
                ready = bool(options.ready_formats)
                each = cut_bytes_per_value(matrix, whole=genes.whole, ready=ready)
                first = min(usual_cut_nnz(matrix), expected) * each
                first += rows * cut_bytes_per_row(n_strips) + decoding_bytes(matrix)
                values = gene_bytes(genes) // 6 // n_strips * 3 // 2
                block = values * second_pass_bytes(matrix, catalog.n_cells, options)
            else:
                first = min(usual_chunk_nnz(matrix), expected) * bytes_per_nnz(matrix)
        else:
            first = rows * matrix.shape[1] * (matrix.dtype.itemsize + 14)
    return max(first, block + vector_bytes(catalog, options))
