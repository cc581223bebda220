"""The neighbor graph of a ready file: symmetric CSR, float32, without diagonal, in bounded memory.

A graph that is stored as a ready file has it is cut at the chunks of the file, which are units of
their own. The lines of any other symmetric graph are written as they come, columns as rows. Of a
graph that is not symmetric, each weight is taken for both directions: both are spilled into buckets
of rows, and each bucket is then sorted and reduced alone. Of two weights the larger one counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.checks.ready.catalog import GraphFacts, ReadyCatalog
from cellucid_dask.exporter.planning.ready_memory import ENTRIES
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, ChunkWriter
from cellucid_dask.exporter.stages.ready.csr_writer import CsrWriter, graph_nodes
from cellucid_dask.exporter.stages.ready.units import Unit
from cellucid_dask.files import bytes_of, name_path_in_errors
from cellucid_dask.ready.facts import GRAPH, WHOLE
from cellucid_dask.source.arrays.graph_lines import canonical, graph_cuts, read_lines
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

PATH: Final = f"obsp/{GRAPH}"
READ_CHUNKS: Final = 4  # of data and of indices that are read at a time
UNIT_CHUNKS: Final = 32  # of data and of indices in a unit: 64 MB
RANGES: Final = 4096  # of rows, at whose edges buckets begin
SORTED_BYTES: Final = 80  # of a weight while its bucket is sorted and cut into chunks
SHIFT, LOW = np.uint64(32), np.uint64(0xFFFFFFFF)

Entries: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


def graph_units(catalog: ReadyCatalog, stores: ChunkStores, room_bytes: int) -> list[Unit]:
    """Units of the graph; none without one.

    The unit with the key ``obsp/connectivities`` has these facts: ``nnz``, weights in the file;
    ``symmetrized``, pairs of cells whose weights of the two directions were not equal;
    ``self_loops``, weights of cells with themselves, which are left out.

    Parameters
    ----------
    room_bytes
        Memory for sorting the weights of a graph that is not symmetric.
    """
    graph, facts = catalog.graph, catalog.graph_facts
    if graph is None or facts is None:
        return []
    if not (facts.as_stored and facts.symmetric and isinstance(graph, SparseMatrix)):
        work = _write_symmetric if facts.symmetric else _write_both_ways
        arguments = (stores, graph, facts, room_bytes)[: 3 + (not facts.symmetric)]
        return [Unit(PATH, work, arguments, (PATH,))]
    chunks = graph_nodes(PATH, graph.shape[0], facts.nnz)["data"].n_chunks
    units = [Unit(PATH, _write_pointers, (stores, graph, facts), (f"{PATH}/indptr",))]
    entries = (f"{PATH}/data", f"{PATH}/indices")
    for first in range(0, chunks, UNIT_CHUNKS):
        last = min(first + UNIT_CHUNKS, chunks)
        key = f"{PATH}/{first}-{last}"
        what = (stores, key, graph, facts, first, last)
        units.append(Unit(key, _write_entries, what, entries, range(first, last)))
    return units


def _write_pointers(stores: ChunkStores, graph: SparseMatrix, facts: GraphFacts) -> ReadyWork:
    """Write indptr as it is stored."""
    node = graph_nodes(PATH, graph.shape[0], facts.nnz)["indptr"]
    with ChunkWriter(stores) as writer:
        for chunk in range(node.n_chunks):
            writer.write(node, chunk, graph.indptr[node.region(chunk)[0]])
        return writer.work(PATH, nnz=facts.nnz, symmetrized=0, self_loops=0)


def _write_entries(
    stores: ChunkStores, key: str, graph: SparseMatrix, facts: GraphFacts, first: int, last: int
) -> ReadyWork:
    """Write chunks `first` to `last` of data and indices as they are stored."""
    nodes = graph_nodes(PATH, graph.shape[0], facts.nnz)
    with ChunkWriter(stores) as writer:
        for begin in range(first, last, READ_CHUNKS):
            end = min(begin + READ_CHUNKS, last)
            places = slice(begin * WHOLE, min(end * WHOLE, facts.nnz))
            weights = _round(np.asarray(graph.data[places]))
            for name, part in (("indices", np.asarray(graph.indices[places])), ("data", weights)):
                for chunk in range(begin, end):
                    start = (chunk - begin) * WHOLE
                    writer.write(nodes[name], chunk, part[start : start + WHOLE])
        return writer.work(key)


def _write_symmetric(stores: ChunkStores, graph: Matrix, facts: GraphFacts) -> ReadyWork:
    """Write the lines of a symmetric graph as they come: its columns are its rows."""
    with ChunkWriter(stores) as writer:
        csr = CsrWriter(writer, PATH, graph.shape[0], facts.nnz)
        for row, column, weights in _read_entries(graph):
            csr.add(row, column, weights)
        nnz = csr.finish()
        return writer.work(PATH, nnz=nnz, symmetrized=0, self_loops=facts.self_loops)


def _write_both_ways(
    stores: ChunkStores, graph: Matrix, facts: GraphFacts, room_bytes: int
) -> ReadyWork:
    """Write each weight of a graph for both directions."""
    # A folder of its own: a worker that was taken for lost may still write to its files.
    with (
        tempfile.TemporaryDirectory(prefix="graph-", dir=stores.scratch) as own,
        ChunkWriter(stores) as writer,
    ):
        starts = _cut_rows(graph, room_bytes)
        csr = CsrWriter(writer, PATH, graph.shape[0], 2 * facts.nnz)
        _spill(graph, starts, Path(own))
        symmetrized = 0
        for bucket in range(starts.size):
            row, column, weights, unequal = _reduce(Path(own), bucket)
            csr.add(row, column, weights)
            symmetrized += unequal
        nnz = csr.finish()
        return writer.work(PATH, nnz=nnz, symmetrized=symmetrized, self_loops=facts.self_loops)


def _read_entries(graph: Matrix) -> Iterator[Entries]:
    """Line, place and weight of entries beside the diagonal, in rising order, no zeros."""
    for start, stop in graph_cuts(graph, ENTRIES):
        part = canonical(read_lines(graph, start, stop).astype(np.float64)).tocoo()
        line, minor = (cells.astype(np.int64) for cells in part.coords)
        line += start
        kept = (part.data != 0) & (line != minor)
        yield line[kept], minor[kept], _round(part.data[kept])


def _round(weights: NDArray[Any]) -> NDArray[np.float32]:
    """As the public writer does: a weight that becomes 0 stays, whole numbers are rounded twice."""
    return weights.astype(np.float64, copy=False).astype(np.float32)


def _cut_rows(graph: Matrix, room_bytes: int) -> NDArray[np.int64]:
    """First row of each bucket, so that the weights of a bucket can be sorted in memory.

    Of rows with very many weights, such as those of cells that are neighbors of very many, fewer
    share a bucket.
    """
    size = max(1, -(-graph.shape[0] // RANGES))
    counts = np.zeros(RANGES, np.int64)
    for line, minor, _ in _read_entries(graph):
        for cells in (line, minor):
            counts += np.bincount(cells // size, minlength=RANGES)
    limit = max(1, room_bytes // SORTED_BYTES)
    starts, held = [0], 0
    for i, n in enumerate(counts.tolist()):
        if held and held + n > limit:
            starts.append(i * size)
            held = 0
        held += n
    return np.array(starts, np.int64)


def _spill(graph: Matrix, starts: NDArray[np.int64], folder: Path) -> None:
    """Append both directions of each weight to the files of its bucket."""
    for line, minor, weights in _read_entries(graph):
        for row, column in ((line, minor), (minor, line)):
            keys = (row.astype(np.uint64) << SHIFT) | column.astype(np.uint64)
            bucket = np.searchsorted(starts, row, side="right") - 1
            order = np.argsort(bucket, kind="stable")
            ends = np.cumsum(np.bincount(bucket, minlength=starts.size))
            for i in np.flatnonzero(np.diff(ends, prepend=0)):
                places = order[ends[i - 1] if i else 0 : ends[i]]
                for path, part in zip(_paths(folder, int(i)), (keys, weights), strict=True):
                    with name_path_in_errors(path), path.open("ab") as file:
                        file.write(bytes_of(part[places]))


def _paths(folder: Path, bucket: int) -> tuple[Path, Path]:
    return folder / f"{bucket}.keys", folder / f"{bucket}.weights"


def _reduce(
    folder: Path, bucket: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], int]:
    """Rows, columns and the larger weights of a bucket; and pairs whose weights are not equal.

    A pair is counted in the row of its smaller cell.
    """
    paths = _paths(folder, bucket)
    if not paths[0].exists():
        nothing = np.empty(0, np.int64)
        return nothing, nothing, np.empty(0, np.float32), 0
    keys, weights = np.fromfile(paths[0], np.uint64), np.fromfile(paths[1], np.float32)
    for path in paths:
        path.unlink()
    order = np.argsort(keys)
    keys, weights = keys[order], weights[order]
    del order
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    most, least = np.maximum.reduceat(weights, first), np.minimum.reduceat(weights, first)
    alone = np.diff(first, append=keys.size) == 1
    keys = keys[first]
    row, column = (keys >> SHIFT).astype(np.int64), (keys & LOW).astype(np.int64)
    unequal = int(((alone | (most != least)) & (row < column)).sum())
    return row, column, most, unequal
