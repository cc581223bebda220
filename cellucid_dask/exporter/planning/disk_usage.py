"""What a run writes, as numbers of files and their bytes, and what that takes on a disk.

A disk stores files in whole blocks and keeps an inode for each: many small files take more than
their bytes, and a disk with free bytes may have no room for another name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.format import value_dtype
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

LARGEST_BLOCK: Final = 1 << 16  # bytes; more is what a file server transfers at a time
USUAL_BLOCK: Final = 1 << 12
RECORD_BYTES: Final = 256  # of one file in the journal, the checksums and a manifest
ID_BYTES: Final = 24  # of the id of a cell, such as a barcode with a sample; and compressed
PACKED_ID: Final = 10
RUN_FILES: Final = 32  # folders of an export and of its staging, locks, journal, logs
SLOT_FILES: Final = 8  # unfinished files of a task, and what dask writes for a worker


@dataclass(frozen=True, slots=True)
class FileKind:
    """Files of one kind, which are of about equal size.

    Parameters
    ----------
    n
        How many.
    n_bytes
        Bytes of all of them.
    """

    n: int
    n_bytes: int

    def stored_bytes(self, block: int) -> int:
        """Bytes on a disk of `block` bytes: of equal files exactly, else rather high than low."""
        if not self.n or not self.n_bytes:
            return 0
        equal = -(-self.n_bytes // (self.n * block)) * block * self.n
        return max(equal, self.n_bytes + self.n * block // 2)


@dataclass(frozen=True, slots=True)
class Disk:
    """What is left on a disk, for this user.

    Parameters
    ----------
    device
        Its number.
    n_bytes
        Free bytes; None where the file system does not say.
    n_files
        Free inodes; None where the file system makes them as it needs them.
    block
        Bytes of a block.
    """

    device: int
    n_bytes: int | None
    n_files: int | None
    block: int

    @classmethod
    def of(cls, folder: Path) -> Disk:
        """Disk of an existing folder."""
        found = os.statvfs(folder)
        block = found.f_frsize if 0 < found.f_frsize <= LARGEST_BLOCK else USUAL_BLOCK
        n_bytes = found.f_bavail * found.f_frsize if found.f_blocks else None
        n_files = found.f_favail if found.f_files else None
        return cls(folder.stat().st_dev, n_bytes, n_files, block)


def run_files(n_files: int, slots: int) -> tuple[FileKind, FileKind]:
    """Files that a run of `slots` tasks at a time keeps beside those of the export."""
    return FileKind(1, RECORD_BYTES * n_files), FileKind(RUN_FILES + SLOT_FILES * slots, 0)


def output_files(catalog: Catalog, options: ExportOptions) -> tuple[FileKind, ...]:
    """Estimate files of the export; with compression by what such data was seen to need."""
    n, n_genes = catalog.n_cells, len(catalog.genes.ids) if catalog.genes else 0
    value = np.dtype(value_dtype(options.obs_quantization)).itemsize
    additional = catalog.found.additional.values()
    vectors = [dim for dims in catalog.found.vectors.values() for dim in dims]
    codes = [2 if c.code and c.code.missing > 255 else 1 for c in catalog.categorical]
    graph = catalog.graph
    kinds = [
        *(FileKind(1, 4 * n * dim) for dim in (*catalog.boxes, *additional, *vectors)),
        FileKind(len(catalog.obs), value * n * len(catalog.obs)),  # values, or outlier quantiles
        *(FileKind(1, n * size) for size in codes),
        FileKind(n_genes, _gene_bytes(catalog, options)),
        FileKind(3 + (catalog.genes is not None), RECORD_BYTES * n_genes),  # manifests, checksums
    ]
    kinds += cell_id_files(catalog, options)
    if graph is not None:
        kinds += [FileKind(2, _edge_bytes(catalog)), FileKind(1, RECORD_BYTES)]
    return tuple(kinds)


def cell_id_files(catalog: Catalog, options: ExportOptions) -> tuple[FileKind, ...]:
    """The file of the ids of cells; in scratch there are as many bytes, in pieces."""
    if catalog.cell_ids is None:
        return ()
    return (FileKind(1, catalog.n_cells * (PACKED_ID if options.compression else ID_BYTES)),)


def _gene_bytes(catalog: Catalog, options: ExportOptions) -> int:
    """Bytes of the files of all genes."""
    if catalog.genes is None:
        return 0
    itemsize = np.dtype(value_dtype(options.var_quantization)).itemsize
    full = catalog.n_cells * itemsize * len(catalog.genes.ids)
    matrix = catalog.genes.matrix
    if not options.compression or not isinstance(matrix, SparseMatrix):
        return full
    stored = int(matrix.nnz * len(catalog.genes.ids) / max(1, matrix.shape[1]))
    return min(full, stored * (itemsize + 1) + 200 * len(catalog.genes.ids))


def _edge_bytes(catalog: Catalog) -> int:
    """Bytes of both ends of all edges; those of a dense graph cannot be known."""
    graph = catalog.graph
    if not isinstance(graph, SparseMatrix):
        return 0
    return graph.nnz * (4 if catalog.n_cells > 0xFFFF else 2)


def obs_scratch(catalog: Catalog, widths: Sequence[int], n_spans: int) -> tuple[FileKind, ...]:
    """Scratch of the obs stages: codes, points, distances, and sums and means by category.

    Parameters
    ----------
    widths
        Bytes of the sums of each categorical column.
    n_spans
        Partial sums of each.
    """
    n, n_columns = catalog.n_cells, len(catalog.categorical)
    if not n_columns:
        return ()
    dims = list(catalog.found.embeddings)
    n_distances = n_columns * (1 + len(dims))
    return (
        *(FileKind(1, 4 * n * dim) for dim in dims),
        FileKind(n_columns, 2 * n * n_columns),
        FileKind(n_distances, 4 * n * n_distances),
        FileKind(n_columns * (n_spans + 1), sum(widths) * (n_spans + 1)),
        FileKind(n_columns, sum(widths)),  # centroids
    )


def edge_scratch(catalog: Catalog) -> tuple[FileKind, ...]:
    """Scratch of the edges of a symmetric graph; that another is not shows only when it is read."""
    return () if catalog.graph is None else (FileKind(2, _edge_bytes(catalog)),)
