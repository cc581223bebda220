"""The neighbor graph that a ready file holds, and its problems.

The public writer refuses a graph that is not symmetric or has weights on its diagonal. Whether it
is one shows only when all of it is read, so it is read once here, by blocks in threads: what is
refused is refused before anything is written, and the stage knows what kind of graph it writes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import CellucidDaskError, Problem
from cellucid_dask.exporter.checks.bounding_box import count_rows
from cellucid_dask.exporter.checks.graph_choice import choose_graph
from cellucid_dask.exporter.checks.placed_cells import THREADS
from cellucid_dask.exporter.checks.ready.catalog import GraphFacts, ReadyCatalog
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.graph_lines import canonical, graph_cuts, read_lines
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.model import Source

ENTRIES: Final = 1 << 19  # that a thread reads at a time
_LARGEST: Final = float(np.finfo(np.float32).max)
_SHIFT: Final = np.uint64(32)
_FACTORS: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))  # those of splitmix64


def survey_graph(source: Source, options: ExportOptions, catalog: ReadyCatalog) -> None:
    """Choose the graph and check its weights; sets ``graph`` and ``graph_facts`` of the catalog."""
    if not options.connectivity:
        return
    key, graph = choose_graph(source, options, catalog)
    if graph is None:
        return
    where = f"obsp/{key}"
    try:
        scanned = list(_map_lines(_Scan.of, graph))
    except CellucidDaskError as error:
        catalog.problems.extend(error.problems)
        return
    for name, fault in (
        ("infinite", "weights are NaN, Inf or beyond float32"),
        ("negative", "weights are negative"),
    ):
        n, cells = count_rows([(start, getattr(scan, name)) for start, scan in scanned])
        if n:
            fix = "compute the graph again, or use --no-graph"
            catalog.problems.append(Problem(f"{n} {fault} (cells {cells})", where, fix))
    catalog.graph = graph
    facts = catalog.graph_facts = _add_up(graph, [scan for _, scan in scanned])
    if facts.self_loops:
        catalog.warnings.append(
            f"{where}: {facts.self_loops} weights of cells with themselves are left out"
        )
    if not facts.symmetric:
        catalog.warnings.append(
            f"{where} is not symmetric, which a ready file must be: a weight of one direction is "
            "taken for both, and the larger one where they differ"
        )


@dataclass(frozen=True, slots=True)
class _Scan:
    """What was found in some lines of a graph.

    Parameters
    ----------
    infinite, negative
        Lines of weights that are refused.
    nnz, loops
        Weights beside the diagonal and on it, zeros not counted.
    balance
        Weights after the diagonal, less those before it.
    sums
        (2,) sums of hashes of the former, less those of the latter.
    sound
        Whether the entries are sorted, and none is zero, repeated or on the diagonal.
    """

    infinite: NDArray[np.int64]
    negative: NDArray[np.int64]
    nnz: int
    loops: int
    balance: int
    sums: NDArray[np.uint64]
    sound: bool

    @classmethod
    def of(cls, start: int, stored: Any) -> Self:
        """Scan lines, of which `start` is the number of the first."""
        sorted_ = bool(stored.has_canonical_format)
        part = canonical(stored.astype(np.float64)).tocoo()
        (line, minor), weights = part.coords, part.data
        bad = ~(np.abs(weights) <= _LARGEST)
        major = line.astype(np.int64) + start
        apart = (weights != 0) & (major != minor)
        after = apart & (minor > major)
        before = apart ^ after
        sums = _hashes(major[after], minor[after], weights[after])
        sums -= _hashes(minor[before], major[before], weights[before])
        nnz, n_after = int(apart.sum()), int(after.sum())
        return cls(
            line[bad].astype(np.int64),
            line[weights < 0].astype(np.int64),
            nnz,
            int(((weights != 0) & (major == minor)).sum()),
            2 * n_after - nnz,
            sums,
            sorted_ and nnz == weights.size,
        )


def _hashes(
    low: NDArray[Any], high: NDArray[Any], weights: NDArray[np.float64]
) -> NDArray[np.uint64]:
    """(2,) sums of two hashes of each pair of cells and its weight."""
    keys = (low.astype(np.uint64) << _SHIFT) | high.astype(np.uint64)
    keys += np.uint64(0x9E3779B97F4A7C15)
    sums = np.zeros(2, np.uint64)
    for i, (shift, factor) in enumerate(_FACTORS):
        keys ^= keys >> np.uint64(shift)
        keys *= np.uint64(factor)
        keys ^= keys >> np.uint64(31)
        keys += weights.view(np.uint64)
        keys *= np.uint64(_FACTORS[1 - i][1])
        keys ^= keys >> np.uint64(29)
        sums[i] = keys.sum(dtype=np.uint64)
    return sums


def _map_lines(work: Callable[[int, Any], _Scan], graph: Matrix) -> list[tuple[int, _Scan]]:
    """Apply `work` to blocks of lines, in threads; each result with its first line."""

    def work_on(cut: tuple[int, int]) -> tuple[int, _Scan]:
        return cut[0], work(cut[0], read_lines(graph, *cut))

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work_on, graph_cuts(graph, ENTRIES)))


def _add_up(graph: Matrix, scans: list[_Scan]) -> GraphFacts:
    """The facts of a graph; sides that differ pass for equal once in 2**128."""
    sums = np.zeros(2, np.uint64)
    for scan in scans:
        sums += scan.sums
    return GraphFacts(
        nnz=sum(scan.nnz for scan in scans),
        self_loops=sum(scan.loops for scan in scans),
        symmetric=not sums.any() and not sum(scan.balance for scan in scans),
        # Of another class, entries are chosen while they are read.
        as_stored=type(graph) is SparseMatrix and all(scan.sound for scan in scans),
    )
