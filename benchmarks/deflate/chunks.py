"""Chunks as ready files have them: of synthetic matrices, or of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.native.timing import Kind, draw_genes
from cellucid_dask.ready.facts import SLICED

DENSITIES = (0.05, 0.3)
N_CELLS = 200_000
MOST_CHUNKS = 16  # of a file


@dataclass(frozen=True, slots=True)
class Chunks:
    """Chunks of X/data or X/indices, each of 65,536 elements."""

    name: str
    items: tuple[NDArray[Any], ...]
    shuffle: bool

    @property
    def n_bytes(self) -> int:
        """Bytes of all chunks before compression."""
        return sum(each.nbytes for each in self.items)

    def streams(self) -> list[bytes]:
        """What a compressor gets: the bytes of each chunk, shuffled where they are."""
        if not self.shuffle:
            return [each.tobytes() for each in self.items]
        planes = (each.view(np.uint8).reshape(-1, each.itemsize).T for each in self.items)
        return [np.ascontiguousarray(each).tobytes() for each in planes]


def draw_chunks(n_chunks: int) -> list[Chunks]:
    """Draw genes of several densities, as counts and as logarithms of normalized counts."""
    found = []
    for density in DENSITIES:
        n_genes = 1 + int(n_chunks * SLICED / (N_CELLS * density) * 1.02)
        for values in ("counts", "lognorm"):
            genes = draw_genes(Kind(density, values), N_CELLS, n_genes)
            name = f"{100 * density:g}% {values}"
            found.append(_cut(f"data, {name}", genes.data, n_chunks, shuffle=False))
        cells = _cut(f"indices, {100 * density:g}%", genes.indices, n_chunks, shuffle=True)
        found.append(cells)
    return found


def read_chunks(path: Path) -> list[Chunks]:
    """Read chunks from all over the matrix X, stored by gene, of an h5ad file."""
    with h5py.File(path) as file:
        x: Mapping[str, Any] = file["X"]
        n_chunks = x["data"].size // SLICED
        numbers = np.unique(np.linspace(0, n_chunks - 1, min(n_chunks, MOST_CHUNKS)).astype(int))
        found = []
        for key, dtype, shuffle in (("data", np.float32, False), ("indices", np.int32, True)):
            parts = (x[key][n * SLICED : (n + 1) * SLICED] for n in numbers.tolist())
            items = tuple(np.ascontiguousarray(part, dtype) for part in parts)
            found.append(Chunks(f"{key}, {path.name}", items, shuffle))
    return found


def _cut(name: str, array: NDArray[Any], n_chunks: int, *, shuffle: bool) -> Chunks:
    items = tuple(array[i * SLICED : (i + 1) * SLICED] for i in range(n_chunks))
    return Chunks(name, items, shuffle)
