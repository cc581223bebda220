"""Any AnnData as a lazy `Source`: what is in it, how long it is, and how a worker reads it."""

from cellucid_dask.source.core import Source, open_source
from cellucid_dask.source.matrix import DenseMatrix, Matrix, SparseMatrix

__all__ = ["DenseMatrix", "Matrix", "Source", "SparseMatrix", "open_source"]
