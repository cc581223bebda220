"""Sparse matrices of dtypes that scipy, and so anndata, cannot read; they are converted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import sparse

from cellucid_dask.verify.source_data.attributes import text_attribute

_PARTS: Final = ("data", "indices", "indptr")


@dataclass(frozen=True, slots=True)
class ForeignSparse:
    """CSR or CSC matrix of half precision or of the other byte order, read by rows or by columns.

    Parameters
    ----------
    group
        The open group of its arrays.
    format
        ``csr`` or ``csc``.
    shape
        (n_cells, n_genes).
    """

    group: Any
    format: str
    shape: tuple[int, int]

    def __getitem__(self, index: Any) -> Any:
        """Read a range of rows of a CSR, ``[a:b]``, or of columns of a CSC, ``[:, a:b]``."""
        along = index if isinstance(index, slice) else index[1]
        axis = 0 if self.format == "csr" else 1
        start, stop, _ = along.indices(self.shape[axis])
        pointers = self._read_part("indptr", slice(start, stop + 1))
        entries = slice(int(pointers[0]), int(pointers[-1]))
        parts = (*(self._read_part(name, entries) for name in _PARTS[:2]), pointers - pointers[0])
        if axis == 0:
            return sparse.csr_matrix(parts, shape=(stop - start, self.shape[1]))
        return sparse.csc_matrix(parts, shape=(self.shape[0], stop - start))

    def read_all(self) -> Any:
        """Read the matrix into memory."""
        return self[:] if self.format == "csr" else self[:, :]

    def _read_part(self, name: str, where: slice) -> Any:
        values = np.asarray(self.group[name][where])
        if values.dtype == np.float16:
            return values.astype(np.float32)
        return values.astype(values.dtype.newbyteorder("="), copy=False)


def open_foreign_sparse(element: Any) -> ForeignSparse | None:
    """Open the sparse matrix `element`; None when anndata can read it, or it is not sparse."""
    encoding = text_attribute(element, "encoding-type")
    if encoding not in ("csr_matrix", "csc_matrix") or any(p not in element for p in _PARTS):
        return None
    types = [np.dtype(element[name].dtype) for name in _PARTS]
    if all(kind.isnative and kind != np.float16 for kind in types):
        return None
    n_rows, n_columns = (int(n) for n in element.attrs["shape"])
    return ForeignSparse(element, encoding[:3], (n_rows, n_columns))
