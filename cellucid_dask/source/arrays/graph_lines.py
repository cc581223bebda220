"""A graph of cells, some of its lines at a time: rows of CSR and of dense, columns of CSC."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix


def graph_cuts(graph: Matrix, entries: int) -> Iterator[tuple[int, int]]:
    """Ranges of lines that hold about so many entries, or one line.

    Raises
    ------
    ReadError
        As `SparseMatrix.pointers`.
    """
    if not isinstance(graph, SparseMatrix):
        step = max(1, entries // max(1, graph.shape[1]))
        for start in range(0, graph.shape[0], step):
            yield start, min(start + step, graph.shape[0])
        return
    for first, pointers in graph.pointers():
        cuts = np.searchsorted(pointers, np.arange(pointers[0], pointers[-1], entries), "left")
        edges = np.unique(np.concatenate([[0], cuts, [pointers.size - 1]]))
        for low, high in itertools.pairwise(edges):
            yield first + int(low), first + int(high)


def read_lines(graph: Matrix, start: int, stop: int) -> Any:
    """Read lines `start` to `stop` as the rows of a scipy CSR array, entries as they are stored.

    It may share memory with the matrix of a user.

    Raises
    ------
    ReadError
        As `SparseMatrix.major`.
    """
    if not isinstance(graph, SparseMatrix):
        band = graph.read(slice(start, stop), slice(None))
        if band.dtype == np.float16:  # which scipy cannot compute with
            band = band.astype(np.float32)
        return sparse.csr_array(band)
    lines = graph.major(start, stop)
    return lines if graph.layout == "csr" else lines.T


def canonical(lines: Any) -> Any:
    """Sort the entries of each line, and add up those of one place."""
    if not lines.has_canonical_format:
        lines = lines.copy()  # it may share memory with the matrix of the user
        lines.sum_duplicates()
    return lines
