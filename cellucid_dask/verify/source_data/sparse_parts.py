"""Parts of sparse matrices that scipy would follow out of its memory."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from cellucid_dask.verify.source_data.attributes import text_attribute

SPARSE: Final = ("csr_matrix", "csc_matrix")


def check_pointers(element: Any) -> None:
    """Check the pointers of an open element, if it is a sparse matrix.

    Raises
    ------
    ValueError
        When they do not rise from 0 to the number of stored values.
    """
    if text_attribute(element, "encoding-type") not in SPARSE:
        return
    pointers = np.asarray(element["indptr"][...]).astype(np.int64)
    n_values = min(int(element[name].shape[0]) for name in ("data", "indices"))
    rises = pointers.size > 0 and pointers[0] == 0 and bool((np.diff(pointers) >= 0).all())
    if not rises or pointers[-1] > n_values:
        raise ValueError("indptr does not rise from 0 to the number of stored values")


def check_indices(matrix: Any) -> Any:
    """Return a CSR or CSC matrix in memory whose indices lie in it.

    Raises
    ------
    ValueError
        When one does not.
    """
    n_minor = matrix.shape[1 if matrix.format == "csr" else 0]
    indices = matrix.indices
    if indices.size and (int(indices.min()) < 0 or int(indices.max()) >= n_minor):
        raise ValueError("an index lies outside the matrix")
    return matrix
