"""Hints at a better choice of genes, in one line that names the option."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.exporter.checks.gene_symbols import find_columns, have_ensembl_ids
from cellucid_dask.format import SYMBOL_COLUMNS
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.model import Frame, Source

SAMPLE = 1 << 18  # values of a matrix that are read


def hint_at_symbols(ids: Sequence[str], table: Frame, options: ExportOptions, catalog: Any) -> None:
    """Hint at the column of gene symbols when the genes have Ensembl ids."""
    if options.gene_id_column != "index" or not have_ensembl_ids(ids):
        return
    for name, column in find_columns(table, SYMBOL_COLUMNS):
        try:
            symbols = column.strings()
        except CellucidDaskError:
            continue  # it was not requested
        use = f"--gene-id-column {shlex.quote(name)}"
        if len(set(symbols)) < len(symbols):
            use += " --rename-duplicates"
        catalog.warnings.append(
            f"genes go by Ensembl ids; var[{name!r}] has their symbols: use {use} to search by them"
        )
        return


def hint_at_raw(source: Source, matrix: Matrix, options: ExportOptions, catalog: Any) -> None:
    """Hint at ``--raw`` when raw has more genes than X, or X was scaled.

    Only the first values of X are checked for negative ones: a scaled matrix has them everywhere.
    """
    raw, raw_var = source.matrices.get("raw/X"), source.raw_var
    if options.raw or options.layer or isinstance(raw, CellucidDaskError | None):
        return
    n = matrix.shape[1]
    if isinstance(raw_var, Frame) and raw_var.length > n:
        catalog.warnings.append(
            f"raw holds {raw_var.length:,} genes, X only {n:,}: use --raw to take those of raw"
        )
    elif has_negative(matrix):
        catalog.warnings.append(
            "X has negative values, as scaled data do: use --raw for the values of raw"
        )


def has_negative(matrix: Matrix) -> bool:
    """Whether some of the first values of a matrix are negative; False for what dask computes."""
    if matrix.layout == "rows":
        return False
    try:
        if isinstance(matrix, SparseMatrix):
            values: Any = matrix.data[: min(SAMPLE, matrix.nnz)]
        else:
            rows = max(1, SAMPLE // max(1, matrix.shape[1]))
            values = matrix.read(slice(0, min(rows, matrix.shape[0])), slice(None))
    except CellucidDaskError:
        return False  # reading it for the export reports what is wrong
    with np.errstate(invalid="ignore"):
        return bool((np.asarray(values) < 0).any())
