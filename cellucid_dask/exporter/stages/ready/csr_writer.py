"""Writes a float32 CSR matrix whose rows come in order, while their number of values is unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkWriter
from cellucid_dask.ready.facts import WHOLE
from cellucid_dask.ready.layout import MatrixLayout, entry_nodes, pointer_nodes
from cellucid_dask.ready.nodes import ArrayNode


def graph_nodes(path: str, n_cells: int, nnz: int) -> dict[str, ArrayNode]:
    """Nodes of data, indices and indptr of a graph at `path`, by their names."""
    layout = MatrixLayout((n_cells, n_cells), "<f4", nnz)
    nodes = [
        *pointer_nodes(path, "csr_matrix", layout, n_cells),
        *entry_nodes(path, layout, n_cells),
    ]
    return {
        node.path.removeprefix(f"{path}/"): node for node in nodes if isinstance(node, ArrayNode)
    }


class CsrWriter:
    """Cuts the rows of a graph into chunks, of which less than one is in memory.

    Parameters
    ----------
    most
        Values that there can be.
    """

    def __init__(self, writer: ChunkWriter, path: str, n_cells: int, most: int) -> None:
        self._writer, self._path = writer, path
        self._nodes = graph_nodes(path, n_cells, most)
        self._lengths = np.zeros(n_cells, np.int64)
        self._held: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self._n_held = self._n_written = 0

    def add(
        self, rows: NDArray[np.int64], indices: NDArray[Any], values: NDArray[np.float32]
    ) -> None:
        """Add values, of which `rows` rise and continue where the last ones ended."""
        if not rows.size:
            return
        counts = np.bincount(rows - rows[0])
        self._lengths[rows[0] : rows[0] + counts.size] += counts
        self._held.append((indices, values))
        self._n_held += rows.size
        if self._n_held >= WHOLE:
            self._write(self._n_held - self._n_held % WHOLE)

    def finish(self) -> int:
        """Write the last chunk and indptr; the number of values."""
        nnz = self._n_written + self._n_held
        self._nodes = graph_nodes(self._path, self._lengths.size, nnz)
        self._write(self._n_held)
        pointers = np.zeros(self._lengths.size + 1, np.int64)
        np.cumsum(self._lengths, out=pointers[1:])
        node = self._nodes["indptr"]
        for chunk in range(node.n_chunks):
            self._writer.write(node, chunk, pointers[node.region(chunk)])
        return nnz

    def _write(self, n: int) -> None:
        """Write `n` of the values that are held, from a chunk's edge on."""
        if not n:
            return
        parts = [np.concatenate(part) for part in zip(*self._held, strict=True)]
        for name, part in zip(("indices", "data"), parts, strict=True):
            for start in range(0, n, WHOLE):
                chunk = (self._n_written + start) // WHOLE
                self._writer.write(self._nodes[name], chunk, part[start : min(start + WHOLE, n)])
        self._held = [(parts[0][n:].copy(), parts[1][n:].copy())]
        self._n_held -= n
        self._n_written += n
