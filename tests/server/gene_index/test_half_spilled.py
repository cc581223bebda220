"""Genes of which a build has spilled some chunks, and not the first ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy import sparse

from cellucid_dask.exporter.stages.genes.transpose import transpose_chunk
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.source.arrays.matrix import wrap_matrix


def test_pieces_come_in_the_order_of_the_cells(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stored = sparse.random_array((140_000, 20), density=0.5, rng=rng, dtype="f4", format="csr")
    matrix = wrap_matrix(stored, "X")
    index = GeneIndex(matrix, None, memory_bytes=8 << 20, threads=2)
    assert len(index._chunks) > 2
    spill = transpose_chunk(matrix, *index._chunks[-1], None, tmp_path)
    index._background = SimpleNamespace(spills=lambda: [spill], prioritize=lambda _: None)  # type: ignore[assignment]
    (pieces,) = index.pieces_of([3])
    firsts = [piece[0] for piece in pieces]
    assert firsts == sorted(firsts)
    assert len(firsts) == len(index._chunks)
