"""CPU time of a thread, and genes to spend it on."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Work = Callable[[], object]


def time_turns(works: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Run all works once in each round, after a first time that does not count.

    Returns
    -------
    Median CPU seconds of this thread, of each work.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name in list(works)[:: -1 if turn % 2 else 1]:
            start = time.thread_time()
            works[name]()
            if turn:
                seconds[name].append(time.thread_time() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


@dataclass(frozen=True, slots=True)
class Kind:
    """Genes of one kind.

    Parameters
    ----------
    density
        Share of the cells that store a value.
    values
        ``counts``, or ``lognorm``: counts over the depth of the cell, in logarithms.
    bits
        Quantization: 8, 16 or None.
    """

    density: float
    values: str
    bits: int | None = 8

    @property
    def name(self) -> str:
        """As the table shows it."""
        stored = "float32" if self.bits is None else f"{self.bits} bits"
        return f"{stored}, {100 * self.density:g}% {self.values}"


def draw_values(
    rng: np.random.Generator, cells: NDArray[np.int64], n_cells: int, kind: Kind
) -> NDArray[np.float32]:
    """Draw the values of cells that detected a gene, (n,) float32, none of them 0."""
    rate = -np.log1p(-kind.density)
    counts = 1.0 + rng.poisson(rng.gamma(2, rate / 2, cells.size))
    if kind.values == "counts":
        return counts.astype(np.float32)
    depth = np.exp(np.random.default_rng(7).normal(np.log(3000), 0.4, n_cells))
    return np.log1p(counts * 1e4 / depth[cells]).astype(np.float32)


def draw_genes(kind: Kind, n_cells: int, n_genes: int) -> sparse.csc_array:
    """Draw genes of one kind: (n_cells, n_genes)."""
    rng = np.random.default_rng(1)
    cells = [np.flatnonzero(rng.random(n_cells) < kind.density) for _ in range(n_genes)]
    values = [draw_values(rng, each, n_cells, kind) for each in cells]
    pointers = np.concatenate([[0], np.cumsum([each.size for each in cells])])
    parts = (np.concatenate(values), np.concatenate(cells).astype(np.int32), pointers)
    return sparse.csc_array(parts, shape=(n_cells, n_genes))


def draw_chunk(n_cells: int, n_genes: int) -> sparse.csr_array:
    """Draw a chunk of rows: genes of 0.1% to 95% of the cells, most of them rare; 7% on average."""
    rng = np.random.default_rng(2)
    shares = np.clip(rng.lognormal(np.log(0.03), 1.3, n_genes), 0.001, 0.95)
    shares *= 0.07 / shares.mean()
    columns = [np.flatnonzero(rng.random(n_cells) < share) for share in shares]
    values = [draw_values(rng, each, n_cells, Kind(0.07, "lognorm")) for each in columns]
    pointers = np.concatenate([[0], np.cumsum([each.size for each in columns])])
    parts = (np.concatenate(values), np.concatenate(columns).astype(np.int32), pointers)
    rows = sparse.csc_array(parts, shape=(n_cells, n_genes)).tocsr()
    rows.sort_indices()
    return rows
