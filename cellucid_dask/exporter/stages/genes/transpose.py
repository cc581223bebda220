"""First pass: a chunk of rows into a spill file that lies gene by gene.

A spill file holds ``[pointers: (n_genes + 1) uint64][rows: (nnz,) uint16][values]``; the rows
count from the first cell of the chunk. A chunk that is mostly non-zero is spilled dense, as
``[values: (n_genes, n_rows) float32]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.encode import as_exported
from cellucid_dask.exporter.shared import Shared
from cellucid_dask.files import read_vector, write_beside
from cellucid_dask.source.matrix import Matrix, SparseMatrix


@dataclass(frozen=True, slots=True)
class Spill:
    """One spilled chunk of rows.

    Parameters
    ----------
    path
        Its file.
    first, n_rows
        First cell, and number of cells.
    n_genes, nnz
        Genes, and stored values; `nnz` is -1 for a dense spill.
    dtype
        Of the values: ``uint8`` when all are small whole numbers, else ``float32``.
    size, crc32
        Bytes of the file, and of those bytes.
    """

    path: str
    first: int
    n_rows: int
    n_genes: int
    nnz: int
    dtype: str
    size: int
    crc32: int

    def counts(self) -> NDArray[np.int64]:
        """(n_genes,) stored values of each gene."""
        if self.nnz < 0:
            return np.full(self.n_genes, self.n_rows, np.int64)
        return np.diff(self.pointers(0, self.n_genes))

    def pointers(self, start: int, stop: int) -> NDArray[np.int64]:
        """Where the values of genes `start` to `stop` begin and end."""
        return read_vector(self.path, "<i8", start, stop - start + 1)

    def read(self, start: int, stop: int) -> SpillBlock:
        """Read genes `start` to `stop`: one opening and three reads, wherever the file is."""
        with open(self.path, "rb", buffering=0) as file:  # noqa: PTH123
            if self.nnz < 0:
                n = (stop - start) * self.n_rows
                values = read_vector(file, "<f4", start * self.n_rows, n)
                pointers = np.arange(stop - start + 1, dtype=np.int64) * self.n_rows
                return SpillBlock(self.first, pointers, None, values)
            pointers = read_vector(file, "<i8", start, stop - start + 1)
            low, n = int(pointers[0]), int(pointers[-1] - pointers[0])
            head = 8 * (self.n_genes + 1)
            rows = read_vector(file, "<u2", head // 2 + low, n)
            tail = head + 2 * self.nnz
            values = read_vector(file, self.dtype, low, n, skip=tail)
            return SpillBlock(self.first, pointers - low, rows, values)


@dataclass(frozen=True, slots=True)
class SpillBlock:
    """Genes of one spill file; `rows` is None where every row has a value."""

    first: int
    pointers: NDArray[np.int64]
    rows: NDArray[np.uint16] | None
    values: NDArray[Any]

    def gene(self, i: int) -> tuple[int, Any, NDArray[np.float32]]:
        """Gene `i` of the block, as `cellucid_dask.encode.encode_gene` takes it."""
        low, high = self.pointers[i], self.pointers[i + 1]
        values = self.values[low:high].astype(np.float32, copy=False)
        cells = slice(0, high - low) if self.rows is None else self.rows[low:high]
        return self.first, cells, values


def transpose_chunk(
    matrix: Matrix, start: int, stop: int, genes: Shared[NDArray[np.int64]] | None, folder: str
) -> Spill:
    """Read cells `start` to `stop`, turn them gene by gene, and spill them.

    Parameters
    ----------
    genes
        Columns to keep, in order; None keeps all.
    """
    columns = None if genes is None else genes.load()
    path = Path(folder, f"rows-{start}.spill")
    n_rows = stop - start
    if isinstance(matrix, SparseMatrix):
        return _spill_sparse(matrix.major(start, stop), columns, path, start)
    band = matrix.read(slice(start, stop), slice(None))
    if sparse.issparse(band):
        return _spill_sparse(sparse.csr_array(band), columns, path, start)
    turned = np.asarray(band if columns is None else band[:, columns]).T
    with np.errstate(over="ignore"):
        turned = np.ascontiguousarray(turned, dtype=np.float32)
    bits = turned.reshape(-1).view(np.uint32)  # by its bits, so that -0.0 keeps its sign
    n_genes, nnz = turned.shape[0], int(np.count_nonzero(bits))
    if nnz > turned.size // 2:
        written = write_beside(path, [turned.reshape(-1).view(np.uint8).data])
        return Spill(str(path), start, n_rows, n_genes, -1, "float32", *written)
    places = np.flatnonzero(bits)
    pointers = np.searchsorted(places, np.arange(n_genes + 1, dtype=np.int64) * n_rows)
    values = turned.reshape(-1)[places]
    places %= max(n_rows, 1)
    return _write(path, start, n_rows, pointers, places, values)


def _spill_sparse(rows: Any, columns: NDArray[np.int64] | None, path: Path, start: int) -> Spill:
    n_rows = rows.shape[0]
    turned = rows.tocsc()
    del rows
    # Duplicates are summed in the type on disk and in the order of the file, as the reference does.
    turned.sum_duplicates()
    if columns is not None:
        turned = turned[:, columns]
    return _write(path, start, n_rows, turned.indptr, turned.indices, as_exported(turned.data))


def _write(
    path: Path,
    start: int,
    n_rows: int,
    pointers: NDArray[Any],
    places: NDArray[Any],
    values: NDArray[np.float32],
) -> Spill:
    stored = narrow(values)
    parts = (
        pointers.astype("<u8"),
        places.astype("<u2"),
        stored.astype(stored.dtype.newbyteorder("<"), copy=False),
    )
    written = write_beside(path, (part.view(np.uint8).data for part in parts))
    n_genes, dtype = pointers.size - 1, stored.dtype.name
    return Spill(str(path), start, n_rows, n_genes, values.size, dtype, *written)


def narrow(values: NDArray[Any]) -> NDArray[Any]:
    """As uint8 where that loses nothing, not even the sign of a zero; else as they are."""
    if values.dtype == np.uint8:
        return values
    for some in (values[:4096], values):
        with np.errstate(invalid="ignore"):
            small = some.astype(np.uint8)
        if not np.array_equal(small.astype(np.float32).view(np.uint32), some.view(np.uint32)):
            return values
    return small
