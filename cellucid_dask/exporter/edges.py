"""The neighbour graph into unique, sorted pairs of cells, in bounded memory.

Entries become keys ``smaller cell << 32 | larger cell``, spilled into buckets by the smaller
one; each bucket is then sorted and reduced alone. An edge is where the graph and its transpose
add up to something that is not 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.encode import packed
from cellucid_dask.exporter.files import Receipt, read_vector, write
from cellucid_dask.format import Resource, index_dtype
from cellucid_dask.source.matrix import Matrix, SparseMatrix

SHIFT, LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
CHUNK = 4_000_000  # entries read at a time


@dataclass(frozen=True, slots=True)
class Edges:
    """What was written of the graph."""

    receipts: tuple[Receipt, Receipt]
    n_edges: int
    max_neighbors: int


def write_edges(folder: str, scratch: str, graph: Matrix, level: int, room: int) -> Edges:
    """Write both files of the graph.

    Parameters
    ----------
    graph
        (n_cells, n_cells), in any layout; need not be symmetric.
    room
        Bytes this task may use.
    """
    n_cells = graph.shape[0]
    buckets = _Buckets(Path(scratch), n_cells, _stored(graph), room)
    loops = np.zeros(n_cells, bool)
    for rows, columns, values in _entries(graph):
        apart = rows != columns
        loops[rows[~apart][values[~apart] != 0]] = True
        low = np.minimum(rows, columns)[apart].astype(np.uint64)
        high = np.maximum(rows, columns)[apart].astype(np.uint64)
        buckets.add((low << SHIFT) | high, values[apart])
    degree = loops.astype(np.int64)
    name, n_edges = index_dtype(n_cells), 0
    ends = {kind: Path(scratch, f"edges.{kind}") for kind in ("src", "dst")}
    for keys in buckets.unique():
        n_edges += keys.size
        for kind, cells in (("src", keys >> SHIFT), ("dst", keys & LOW)):
            narrow = cells.astype(name)
            degree += np.bincount(narrow, minlength=n_cells)
            with ends[kind].open("ab") as file:
                narrow.tofile(file)
    source, target = (
        write(folder, Resource(kind, gz=level > 0), packed(_pieces(ends[kind], name), level))
        for kind in ("src", "dst")
    )
    return Edges((source, target), n_edges, int(degree.max(initial=0)))


def _pieces(path: Path, dtype: str) -> Iterator[NDArray[Any]]:
    """Read a raw file in pieces of one size, since a gzip member may depend on their ends."""
    n = path.stat().st_size // np.dtype(dtype).itemsize if path.exists() else 0
    for start in range(0, n, CHUNK):
        yield read_vector(str(path), dtype, start, min(CHUNK, n - start))


def _stored(graph: Matrix) -> int:
    return graph.nnz if isinstance(graph, SparseMatrix) else graph.shape[0] * graph.shape[1]


def _entries(graph: Matrix) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Rows, columns and values of the stored entries, a bounded number at a time."""
    if isinstance(graph, SparseMatrix):
        for start, stop in _chunks(graph):
            lines = graph.major(start, stop)
            if not lines.has_canonical_format:
                lines = lines.copy()  # it may share the memory of the user's matrix
                lines.sum_duplicates()
            part = lines.tocoo()
            major, minor = part.coords if graph.layout == "csr" else part.coords[::-1]
            yield major.astype(np.int64) + start, minor.astype(np.int64), part.data
        return
    step = max(1, CHUNK // max(1, graph.shape[1]))
    for start in range(0, graph.shape[0], step):
        band = graph.read(slice(start, min(start + step, graph.shape[0])), slice(None))
        part = sparse.coo_array(band)
        yield part.coords[0].astype(np.int64) + start, part.coords[1].astype(np.int64), part.data


def _chunks(graph: SparseMatrix) -> Iterator[tuple[int, int]]:
    for first, pointers in graph.pointers():
        cuts = np.searchsorted(pointers, np.arange(pointers[0], pointers[-1], CHUNK), "left")
        edges = np.unique(np.concatenate([[0], cuts, [pointers.size - 1]]))
        for low, high in itertools.pairwise(edges):
            yield first + int(low), first + int(high)


class _Buckets:
    """Entries by ranges of the smaller cell: in memory when there is one range, else on disk."""

    def __init__(self, scratch: Path, n_cells: int, stored: int, room: int) -> None:
        self.n = max(1, -(-stored * 48 // max(room, 1)))
        self.size = -(-n_cells // self.n) or 1
        self.scratch = scratch
        self.held: list[tuple[NDArray[np.uint64], NDArray[Any]]] = []
        self.dtype: np.dtype[Any] = np.dtype(np.float64)

    def add(self, keys: NDArray[np.uint64], values: NDArray[Any]) -> None:
        """Take entries."""
        self.dtype = values.dtype
        if self.n == 1:
            self.held.append((keys, values))
            return
        order = np.argsort(keys)
        keys, values = keys[order], values[order]
        limits = np.arange(1, self.n, dtype=np.uint64) * np.uint64(self.size) << SHIFT
        cuts = [0, *np.searchsorted(keys, limits).tolist(), keys.size]
        for i, (low, high) in enumerate(itertools.pairwise(cuts)):
            for kind, part in (("keys", keys), ("values", values)):
                with (self.scratch / f"edges-{i}.{kind}").open("ab") as file:
                    part[low:high].tofile(file)

    def unique(self) -> Iterator[NDArray[np.uint64]]:
        """Keys whose values do not add up to 0, in rising order."""
        if self.n == 1:
            if self.held:
                keys, values = zip(*self.held, strict=True)
                self.held = []
                yield _reduce(np.concatenate(keys), np.concatenate(values))
            return
        for i in range(self.n):
            path = self.scratch / f"edges-{i}"
            keys_i = np.fromfile(path.with_suffix(".keys"), np.uint64)
            yield _reduce(keys_i, np.fromfile(path.with_suffix(".values"), self.dtype))


def _reduce(keys: NDArray[np.uint64], values: NDArray[Any]) -> NDArray[np.uint64]:
    if values.size and (values > 0).all():
        keys.sort()  # several times faster than np.unique, which hashes
        return keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    if not keys.size:
        return keys
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    kind = np.float64 if values.dtype.kind == "f" else np.int64
    return keys[first][np.add.reduceat(values.astype(kind), first) != 0]
