"""A dense X: chunks of columns, read as strips of the input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.genes.exact_values import Exactness, survey_values
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, ChunkWriter
from cellucid_dask.ready.layout import MatrixLayout, dense_node
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.matrix import consecutive_runs


def survey_dense(key: str, matrix: DenseMatrix, columns: NDArray[np.int64]) -> ReadyWork:
    """Check the values of columns; facts are ``whole`` and ``large`` as of `Exactness`.

    Raises
    ------
    InputError
        When a value is NaN, infinite, or beyond float32.
    """
    found = _survey(matrix, columns, read_strip(matrix, columns))
    return ReadyWork(key, (), (), {"whole": found.whole, "large": found.large})


def write_dense(
    stores: ChunkStores,
    key: str,
    layout: MatrixLayout,
    matrix: DenseMatrix,
    columns: NDArray[np.int64],
    first: int,
) -> ReadyWork:
    """Write columns of a dense X from column `first` on, which are complete chunks.

    Raises
    ------
    InputError
        When a value is NaN, infinite, or beyond float32.
    """
    node = dense_node("X", layout)
    values = read_strip(matrix, columns)
    _survey(matrix, columns, values)
    with ChunkWriter(stores) as writer:
        for low in range(0, columns.size, node.chunks[1]):
            part = values[:, low : low + node.chunks[1]]
            write_chunk_columns(writer, node, first + low, part)
        return writer.work(key, dtype=layout.dtype)


def write_chunk_columns(
    writer: ChunkWriter, node: ArrayNode, first: int, values: NDArray[Any]
) -> None:
    """Write all chunks of the columns from `first` on, which begin and end with a chunk."""
    n_columns = node.grid[1]
    for i in range(node.grid[0]):
        rows = slice(i * node.chunks[0], (i + 1) * node.chunks[0])
        writer.write(node, i * n_columns + first // node.chunks[1], values[rows])


def _survey(matrix: DenseMatrix, columns: NDArray[np.int64], values: NDArray[Any]) -> Exactness:
    place = f"columns {columns.min()} to {columns.max()}"
    return survey_values(values, matrix.label, place, lambda places: columns[places % columns.size])


def read_strip(matrix: DenseMatrix, columns: NDArray[np.int64]) -> NDArray[Any]:
    """(n_cells, n) columns in their order, of the type that is stored."""
    order = np.argsort(columns, kind="stable")
    runs = list(consecutive_runs(columns[order]))
    parts = [np.asarray(matrix.read(slice(None), slice(*run))) for run in runs]
    if len(parts) == 1 and np.array_equal(order, np.arange(order.size)):
        return parts[0]
    values = np.empty((matrix.shape[0], columns.size), parts[0].dtype)
    done = 0
    for i in range(len(parts)):
        width = parts[i].shape[1]
        values[:, order[done : done + width]] = parts[i]
        done += width
        parts[i] = values[:, :0]  # free it
    return values
