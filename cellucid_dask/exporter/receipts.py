"""Receipts of what is more than one file: genes, a spilled chunk, a reduced column, the graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.files import Receipt, read_array

# The file of a gene: the number of the gene in the export, bytes and crc32 of the file, and the
# fields of `cellucid_dask.encode.Range`.
GENE_RECEIPT: Final = np.dtype(
    [
        ("gene", np.int64),
        ("size", np.int64),
        ("crc32", np.uint32),
        ("lo", np.float64),
        ("hi", np.float64),
        ("n_nan", np.int64),
        ("n_inf", np.int64),
        ("constant", np.bool_),
        ("empty", np.bool_),
    ]
)
# (n,) of `GENE_RECEIPT`, genes in any order. One array, as there may be 60,000: what a task sends
# back, a line of the journal, and what the manifests are made from.
GeneReceipts: TypeAlias = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """What a reduction over the cells found of a categorical column.

    Parameters
    ----------
    outliers
        Receipt of the outlier quantiles; None where they were not asked for.
    centroids
        Path of an .npz of ``position-D`` (K, d) and ``n-D`` (K,), where a category without centroid
        has 0 points; empty where there are none.
    """

    outliers: Receipt | None = None
    centroids: str = ""


def no_genes() -> GeneReceipts:
    """Receipts of no gene."""
    return np.zeros(0, GENE_RECEIPT)


def columns_of(receipts: GeneReceipts) -> dict[str, list[Any]]:
    """Fields of all receipts, by the name of the field, as plain numbers."""
    return {name: receipts[name].tolist() for name in GENE_RECEIPT.fields or ()}


def receipts_of(columns: Mapping[str, list[Any]]) -> GeneReceipts:
    """Receipts from their fields: the inverse of `columns_of`.

    Raises
    ------
    ValueError, LookupError, TypeError, OverflowError
        When they are not such fields.
    """
    receipts = np.zeros(len(columns["gene"]), GENE_RECEIPT)
    for name, (dtype, *_) in (GENE_RECEIPT.fields or {}).items():
        column = np.array(columns[name], dtype)
        if column.shape != receipts.shape:
            raise ValueError(f"{name} has shape {column.shape}, gene has {receipts.shape}")
        receipts[name] = column
    return receipts


def latest(blocks: Iterable[GeneReceipts]) -> GeneReceipts:
    """The last receipt of each gene in `blocks`, in the order of the genes."""
    backwards = np.concatenate([no_genes(), *blocks])[::-1]
    return backwards[np.unique(backwards["gene"], return_index=True)[1]]


@dataclass(frozen=True, slots=True)
class CellIdsFile:
    """The file of the ids of cells.

    Parameters
    ----------
    receipt
        Of the file.
    offsets
        (n_blocks + 1,) where each block begins in it, and its size.
    """

    receipt: Receipt
    offsets: list[int]


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
        Of the values: ``uint8`` when all are small whole numbers; ``float64`` when all are whole
        and float32 skips some, if ready files are written; else ``float32``.
    size, crc32
        Bytes of the file, and of those bytes.
    whole
        Whether all values are whole numbers of a type with more than float32 holds; only said where
        ready files are written.
    """

    path: str
    first: int
    n_rows: int
    n_genes: int
    nnz: int
    dtype: str
    size: int
    crc32: int
    whole: bool = True

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
                values = read_array(file, self.dtype, start * self.n_rows, n)
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


@dataclass(frozen=True, slots=True, eq=False)
class StripSpill:
    """One chunk of rows that is cut at gene strips; several chunks are in one file.

    Parameters
    ----------
    path, offset
        Its file, and where in the file it begins.
    first, n_rows
        First cell, and number of cells.
    dtype
        Of the values, as of `Spill`.
    sizes
        (n_strips,) uint32, values of the chunk in each strip. An array, as there may be thousands
        of chunks and every worker has them all.
    size, crc32
        Bytes of the chunk, and of those bytes.
    whole
        As of `Spill`.
    """

    path: str
    offset: int
    first: int
    n_rows: int
    dtype: str
    sizes: NDArray[np.uint32]
    size: int
    crc32: int
    whole: bool = True

    @property
    def width(self) -> int:
        """Bytes of a value."""
        return np.dtype(self.dtype).itemsize

    def place(self, strip: int) -> tuple[int, int]:
        """Where the segment of a strip begins in the file, and its bytes."""
        before = int(self.sizes[:strip].sum(dtype=np.int64))
        start = self.offset + 2 * self.n_rows * strip + (2 + self.width) * before
        return start, 2 * self.n_rows + (2 + self.width) * int(self.sizes[strip])


@dataclass(frozen=True, slots=True)
class Edges:
    """What was written of the graph."""

    receipts: tuple[Receipt, Receipt]
    n_edges: int
    max_neighbors: int
