"""X of a CSC matrix: a first look counts the entries of each gene, a second one stores them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.genes.exact_values import (
    Exactness,
    drop_zeros,
    survey_values,
)
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, ChunkWriter
from cellucid_dask.exporter.stages.ready.matrix.entries import EntryWriter
from cellucid_dask.ready.layout import MatrixLayout
from cellucid_dask.source.arrays.matrix import consecutive_runs
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix


def survey_columns(key: str, matrix: SparseMatrix, columns: NDArray[np.int64]) -> ReadyWork:
    """Count the entries of genes, and check their values.

    Facts are ``counts``, and ``whole`` and ``large`` as of `Exactness`.

    Raises
    ------
    InputError
        When a value is NaN, infinite, or beyond float32.
    """
    counts, parts = list[int](), list[Exactness]()
    for first, part in read_columns(matrix, columns):
        last = first + part.shape[1] - 1
        pointers = part.indptr

        def column_at(
            places: NDArray[np.int64], first: int = first, pointers: Any = pointers
        ) -> NDArray[np.int64]:
            return first + np.searchsorted(pointers, places, side="right") - 1

        place = f"columns {first} to {last}"
        parts.append(survey_values(part.data, matrix.label, place, column_at))
        counts += np.diff(drop_zeros(part).indptr).tolist()
    found = Exactness.of(parts)
    return ReadyWork(key, (), (), {"counts": counts, "whole": found.whole, "large": found.large})


def write_columns(
    stores: ChunkStores,
    key: str,
    layout: MatrixLayout,
    matrix: SparseMatrix,
    columns: NDArray[np.int64],
    first: int,
) -> ReadyWork:
    """Write the entries of genes, whose first one has number `first` in X."""
    counts = list[int]()
    with ChunkWriter(stores) as writer:
        entries = EntryWriter(writer, layout, first)
        for _, part in read_columns(matrix, columns):
            kept = drop_zeros(part)
            entries.write(kept.data, kept.indices)
            counts += np.diff(kept.indptr).tolist()
        entries.close()
        return writer.work(key, counts=counts, dtype=layout.dtype)


def read_columns(matrix: SparseMatrix, columns: NDArray[np.int64]) -> Iterator[tuple[int, Any]]:
    """Runs of columns in their order, each with its first column, sorted and without duplicates."""
    for start, stop in consecutive_runs(columns):
        part = matrix.major(start, stop)
        if not part.has_canonical_format:
            # There and back sorts each column and keeps the order of duplicates.
            part = part.tocsr().tocsc()
            part.sum_duplicates()
        yield start, part
