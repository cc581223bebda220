"""Genes of a ready file compared with their columns of the data, in runs of neighbors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.verify.export_folder.arrays import Array
from cellucid_dask.verify.export_folder.files import DamagedError
from cellucid_dask.verify.ready_file.contents import ReadyContents, StoredSparse
from cellucid_dask.verify.ready_file.expected import same_bits
from cellucid_dask.verify.source_data.gene_columns import read_gene_columns

_RUN_VALUES: Final = 1 << 24  # of columns of the data that wait to be compared


@dataclass(slots=True)
class _Columns:
    """Columns of the file that are decoded together.

    Parameters
    ----------
    first
        Number of the first gene.
    """

    first: int
    values: Array
    indices: Array | None = None
    pointers: Array | None = None

    def differ(self, gene: int, expected: Array) -> int:
        """Return the number of cells in which a gene differs from the data."""
        if self.indices is None or self.pointers is None:
            stored = self.values[:, gene - self.first]
            return 0 if same_bits(stored, expected) else int((stored != expected).sum()) or 1
        part = slice(*self.pointers[gene - self.first : gene - self.first + 2].tolist())
        cells, values = self.indices[part], self.values[part]
        if cells.size and (cells.min() < 0 or cells.max() >= expected.size):
            return int(cells.size)
        equal = int((expected[cells] == values).sum())
        return max(int(np.count_nonzero(expected)), int(cells.size)) - equal


@dataclass(frozen=True, slots=True)
class GeneRuns:
    """The genes that are compared.

    Parameters
    ----------
    matrix
        Expression of the data, on disk.
    columns
        Column of the data for each gene in `chosen`.
    chosen
        Numbers of genes of the file, rising.
    rows
        (n_cells of the data,) which cells are in the file; None for all.
    """

    contents: ReadyContents
    matrix: Any
    columns: Sequence[int]
    chosen: Sequence[int]
    rows: NDArray[np.bool_] | None

    def checks(self) -> Iterator[Iterator[str]]:
        """Yield a check of each gene; the data is read as far as checks are taken.

        Raises
        ------
        DamagedError
            When the expression of the file cannot be read.
        """
        x = self.contents.x
        assert x is not None
        assert self.contents.gene_names is not None
        stored = x.data if isinstance(x, StoredSparse) else x
        dtype = np.dtype(stored.dtype)
        names = self.contents.gene_names.read()
        expected = read_gene_columns(self.matrix, self.columns, dtype) if self.columns else iter(())
        pointers = _read_pointers(x) if isinstance(x, StoredSparse) else None
        for run in self._runs(pointers):
            columns = self._decode(run, pointers)
            for gene in run:
                values = next(expected)
                values = values if self.rows is None else values[self.rows]
                yield _compare(columns, gene, str(names[gene]), values)

    def _runs(self, pointers: NDArray[np.int64] | None) -> Iterator[list[int]]:
        """Yield genes that lie side by side and are decoded together."""
        widest = max(1, _RUN_VALUES // 16 // max(1, self.contents.n_cells))
        run: list[int] = []
        for gene in self.chosen:
            if run and (gene != run[-1] + 1 or not self._fits(run[0], gene, pointers, widest)):
                yield run
                run = []
            run.append(gene)
        if run:
            yield run

    def _fits(self, first: int, gene: int, pointers: NDArray[np.int64] | None, widest: int) -> bool:
        if pointers is None:
            return gene - first < widest
        return bool(pointers[gene + 1] - pointers[first] <= _RUN_VALUES // 16)

    def _decode(self, run: list[int], pointers: NDArray[np.int64] | None) -> _Columns:
        x = self.contents.x
        first, last = run[0], run[-1] + 1
        if isinstance(x, StoredSparse):
            assert pointers is not None
            part = slice(int(pointers[first]), int(pointers[last]))
            bounds = pointers[first : last + 1] - pointers[first]
            return _Columns(first, x.data.read(part), x.indices.read(part), bounds)
        assert x is not None
        return _Columns(first, x.read(slice(None), slice(first, last)))


def _read_pointers(x: StoredSparse) -> NDArray[np.int64]:
    pointers = x.indptr.read().astype(np.int64)
    if pointers[0] != 0 or pointers[-1] != x.data.shape[0] or (np.diff(pointers) < 0).any():
        raise DamagedError(f"{x.indptr.path}: does not rise from 0 to the number of values")
    return pointers


def _compare(columns: _Columns, gene: int, name: str, expected: Array) -> Iterator[str]:
    n = columns.differ(gene, expected)
    if n:
        yield f"X: gene {name!r} differs from the data in {n:,} cell{'s' if n > 1 else ''}"


def choose_genes(n: int, sample: int | None) -> list[int]:
    """Return the numbers of the genes that are compared, evenly spaced."""
    if sample is None or sample >= n:
        return list(range(n))
    return sorted(set(np.linspace(0, n - 1, sample).round().astype(int).tolist()))
