"""The `index` command: build a gene index before a server needs it, with many workers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cellucid_dask.compute.choose_cluster import choose_cluster
from cellucid_dask.compute.engine import Engine
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.errors import CellucidDaskError, InputError, Problem, raise_problems, suggest
from cellucid_dask.exporter.planning.plan import SMALL
from cellucid_dask.options.run import RunOptions
from cellucid_dask.server.cache_folder import default_cache_dir, index_folder
from cellucid_dask.server.datasets.gene_reader import matrix_fingerprint
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.chunks.array_uses import uses_of_matrix
from cellucid_dask.source.chunks.missing import find_missing_chunks
from cellucid_dask.source.model import Source
from cellucid_dask.source.open import open_source


@dataclass(frozen=True, slots=True)
class IndexResult:
    """Result of `build_index`.

    Parameters
    ----------
    folder
        Folder of the index; None when the matrix needs no index.
    made
        Whether this run built it.
    layout
        Layout of the matrix.
    warnings
        Warnings about the matrix.
    """

    folder: Path | None
    made: bool
    layout: str
    warnings: tuple[str, ...] = ()


def build_index(
    data: str | os.PathLike[str],
    run: RunOptions,
    *,
    modality: str | None,
    layer: str | None,
    raw: bool,
    cache_dir: str | None,
    quiet: bool,
    accept_missing_chunks: bool = False,
    problems: Sequence[Problem] = (),
) -> IndexResult:
    """Build the gene index of a file, unless it exists.

    Raises
    ------
    CellucidDaskError
        When the data cannot be read, or the index cannot be written.
    """
    try:
        source = open_source(data, modality)
        matrix = _select_matrix(source, layer, raw=raw)
    except CellucidDaskError as error:
        raise InputError.of([*problems, *error.problems]) from error
    missing = find_missing_chunks(uses_of_matrix(matrix), accept=accept_missing_chunks)
    raise_problems([*problems, *missing.problems])
    data_fingerprint, warnings = matrix_fingerprint(matrix), tuple(missing.warnings)
    if matrix.layout != "csr" or data_fingerprint is None:
        return IndexResult(None, False, matrix.layout, warnings)
    assert isinstance(matrix, SparseMatrix)
    folder = index_folder(cache_dir or default_cache_dir(), data_fingerprint)
    reporter, small = Reporter(quiet=quiet), matrix.nnz < SMALL
    cluster = choose_cluster(run, in_memory=False, small=small)
    with Engine(cluster, reporter) as engine:
        task_bytes = engine.cluster.task_memory(run.memory_bytes())
        index = GeneIndex(
            matrix,
            folder,
            memory_bytes=task_bytes,
            threads=engine.slots,
            data_fingerprint=data_fingerprint,
        )
        return IndexResult(folder, index.build(engine, task_bytes), matrix.layout, warnings)


def _select_matrix(source: Source, layer: str | None, *, raw: bool) -> Matrix:
    key = "raw/X" if raw else "X" if layer is None else f"layers/{layer}"
    matrix = source.matrices.get(key)
    if isinstance(matrix, CellucidDaskError):
        raise matrix
    if matrix is None and layer is not None:
        fix = suggest(layer, source.keys("layers"), noun="layers has")
        raise InputError(f"there is no layer {layer!r}", where="--layer", fix=fix)
    if matrix is None:
        raise InputError(f"there is no {'raw matrix' if raw else 'X'}", where=source.where)
    return matrix
