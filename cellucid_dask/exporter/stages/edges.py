"""Writes the neighbor graph as unique, sorted pairs of cells, in bounded memory.

An edge is where the graph and its transpose add up to something that is not 0. Most graphs are
symmetric and positive: their edges are the entries on one side of the diagonal, as they come. Of
any other graph, entries become keys ``smaller cell << 32 | larger cell``, spilled into buckets by
the smaller one; each bucket is then sorted and reduced alone.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.encode import packed
from cellucid_dask.exporter.receipts import Edges
from cellucid_dask.files import bytes_of, name_path_in_errors, read_array, write_file
from cellucid_dask.format import Kind, Resource, index_dtype
from cellucid_dask.source.arrays.graph_lines import canonical, graph_cuts, read_lines
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

SHIFT, LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
CHUNK = 1_000_000  # entries read at a time


def write_edges(folder: str, scratch: str, graph: Matrix, level: int, room: int) -> Edges:
    """Write both files of the graph.

    Parameters
    ----------
    graph
        (n_cells, n_cells), in any layout; need not be symmetric.
    room
        Bytes this task may use.
    """
    name = index_dtype(graph.shape[0])
    # A folder of its own: a worker that was taken for lost may still write to its files.
    with tempfile.TemporaryDirectory(prefix="edges-", dir=scratch) as own:
        ends = _EdgeFiles(Path(own), graph.shape[0], name)
        if not _write_upper_triangle(graph, ends):
            ends = _EdgeFiles(Path(own), graph.shape[0], name)
            _write_any_graph(graph, ends, Path(own), room)
        source, target = (
            write_file(folder, Resource(kind, gz=level > 0), packed(_pieces(path, name), level))
            for kind, path in ends.paths.items()
        )
    return Edges((source, target), ends.n_edges, int(ends.degree.max(initial=0)))


class _EdgeFiles:
    """Two raw files of edges, and the number of neighbors of every cell."""

    def __init__(self, scratch: Path, n_cells: int, dtype: str) -> None:
        self.degree = np.zeros(n_cells, np.int64)
        self.n_edges, self._dtype = 0, dtype
        self.paths: dict[Kind, Path] = {
            "src": scratch / "edges.src",
            "dst": scratch / "edges.dst",
        }
        for path in self.paths.values():
            path.unlink(missing_ok=True)

    def add(self, low: NDArray[Any], high: NDArray[Any]) -> None:
        """Append edges, which continue where the last ones ended."""
        self.n_edges += low.size
        for path, cells in zip(self.paths.values(), (low, high), strict=True):
            with name_path_in_errors(path), path.open("ab") as file:
                file.write(bytes_of(cells.astype(self._dtype)))


def _write_upper_triangle(graph: Matrix, ends: _EdgeFiles) -> bool:
    """Write the entries after the diagonal; return whether those before it are equal and all count.

    Both sides are compared by their number and by two sums of 64-bit hashes, so that none has to
    be kept: sides that differ pass for equal once in 2**128.
    """
    sums, balance = np.zeros(2, np.uint64), 0
    for major, minor, values in _entries(graph):
        if not (values > 0).all():
            return False
        after, before = minor > major, minor < major
        if major.size:  # the entries of a cell are its neighbours, and maybe itself
            counts = np.bincount(major - major[0])
            ends.degree[major[0] : major[0] + counts.size] += counts
        low, high = major[after], minor[after]
        sums += _hashes(low, high)
        sums -= _hashes(minor[before], major[before])
        balance += low.size - int(before.sum())
        ends.add(low, high)
    return balance == 0 and not sums.any()


def _hashes(low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.uint64]:
    """(2,) sums of two hashes of each pair; the first is the finalizer of splitmix64."""
    keys = (low.astype(np.uint64) << SHIFT) | high.astype(np.uint64)
    keys += np.uint64(0x9E3779B97F4A7C15)
    sums = np.zeros(2, np.uint64)
    for i, (shift, factor) in enumerate(((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))):
        keys ^= keys >> np.uint64(shift)
        keys *= np.uint64(factor)
        keys ^= keys >> np.uint64(31)
        sums[i] = keys.sum(dtype=np.uint64)
    return sums


def _write_any_graph(graph: Matrix, ends: _EdgeFiles, scratch: Path, room: int) -> None:
    """Write the edges of any graph."""
    n_cells = graph.shape[0]
    buckets = _Buckets(scratch, n_cells, _stored(graph), room)
    loops = np.zeros(n_cells, bool)
    for major, minor, values in _entries(graph):
        apart = major != minor
        loops[major[~apart][values[~apart] != 0]] = True
        low = np.minimum(major, minor)[apart].astype(np.uint64)
        high = np.maximum(major, minor)[apart].astype(np.uint64)
        buckets.add((low << SHIFT) | high, values[apart])
    ends.degree += loops
    for keys in buckets.unique():
        low, high = keys >> SHIFT, keys & LOW
        for cells in (low, high):
            ends.degree += np.bincount(cells.astype(np.int64), minlength=n_cells)
        ends.add(low, high)


def _pieces(path: Path, dtype: str) -> Iterator[NDArray[Any]]:
    """Read a raw file in pieces of one size, since a gzip member may depend on their ends."""
    n = path.stat().st_size // np.dtype(dtype).itemsize if path.exists() else 0
    for start in range(0, n, CHUNK):
        yield read_array(str(path), dtype, start, min(CHUNK, n - start))


def _stored(graph: Matrix) -> int:
    return graph.nnz if isinstance(graph, SparseMatrix) else graph.shape[0] * graph.shape[1]


def _entries(graph: Matrix) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Place along the stored axis, along the other, and value, of a number of entries at a time.

    Each once, in rising order of the places.
    """
    for start, stop in graph_cuts(graph, CHUNK):
        part = canonical(read_lines(graph, start, stop)).tocoo()
        major, minor = part.coords
        yield major.astype(np.int64) + start, minor.astype(np.int64), part.data


class _Buckets:
    """Entries by ranges of the smaller cell: in memory when there is one range, else on disk."""

    def __init__(self, scratch: Path, n_cells: int, stored: int, room: int) -> None:
        self.n = max(1, -(-stored * 48 // max(room, 1)))
        self.size = -(-n_cells // self.n) or 1
        self.scratch = scratch
        self.held: list[tuple[NDArray[np.uint64], NDArray[Any]]] = []
        self.dtype: np.dtype[Any] = np.dtype(np.float64)

    def add(self, keys: NDArray[np.uint64], values: NDArray[Any]) -> None:
        """Add entries."""
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
                path = self.scratch / f"edges-{i}.{kind}"
                with name_path_in_errors(path), path.open("ab") as file:
                    file.write(bytes_of(part[low:high]))

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
    with np.errstate(invalid="ignore"):  # Inf and -Inf add up to NaN, which is not 0
        return keys[first][np.add.reduceat(values.astype(kind), first) != 0]
