"""Receipts of what is more than one file of an export: a spilled chunk of rows, and the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.files import Receipt, read_array


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
        return read_array(self.path, "<i8", start, stop - start + 1)

    def read(self, start: int, stop: int) -> SpillBlock:
        """Read genes `start` to `stop`: one opening and three reads, wherever the file is."""
        with open(self.path, "rb", buffering=0) as file:  # noqa: PTH123
            if self.nnz < 0:
                n = (stop - start) * self.n_rows
                values = read_array(file, "<f4", start * self.n_rows, n)
                pointers = np.arange(stop - start + 1, dtype=np.int64) * self.n_rows
                return SpillBlock(self.first, pointers, None, values)
            pointers = read_array(file, "<i8", start, stop - start + 1)
            low, n = int(pointers[0]), int(pointers[-1] - pointers[0])
            head = 8 * (self.n_genes + 1)
            rows = read_array(file, "<u2", head // 2 + low, n)
            tail = head + 2 * self.nnz
            values = read_array(file, self.dtype, low, n, skip=tail)
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


@dataclass(frozen=True, slots=True)
class Edges:
    """What was written of the graph."""

    receipts: tuple[Receipt, Receipt]
    n_edges: int
    max_neighbors: int
