"""The embeddings and vector fields of an export, and their problems."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cellucid_dask import format as fmt
from cellucid_dask.encode import Box
from cellucid_dask.errors import CellucidDaskError, Problem, suggest
from cellucid_dask.exporter.checks.placed_cells import map_blocks, unplaced_rows
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.row_array import RowArray
from cellucid_dask.source.discover import Shapes, discover, guess_embedding
from cellucid_dask.source.model import Source

SAMPLE = 1024  # rows of a block from which the usual size of coordinates is estimated
FAR = 1e6  # times the usual size, beyond which a coordinate is a placeholder
NAMED = 10  # rows that a message names


def show_other(shapes: Shapes, catalog: Any) -> None:
    """Choose the obsm array that is most likely an embedding when there is no UMAP."""
    other = guess_embedding(shapes)
    if other is None:
        return
    dim, key = other
    catalog.found = discover(shapes, {dim: key})
    catalog.warnings.append(
        f"there is no UMAP in obsm: {key} is shown as {dim}d; choose another with --embedding"
    )


def survey_embeddings(
    source: Source, options: ExportOptions, arrays: Mapping[str, RowArray], catalog: Any
) -> None:
    """Check the embeddings, and find the bounding box of each."""
    known = list(source.obsm)
    for dim, key in options.embeddings.items():
        if key not in known:
            catalog.problems.append(
                Problem(f"there is no obsm key {key!r}", f"--embedding {dim}d", suggest(key, known))
            )
        elif key in arrays and arrays[key].shape[1] != dim:
            catalog.problems.append(
                Problem(
                    f"has shape {arrays[key].shape}, not ({source.n_cells}, {dim})", f"obsm/{key}"
                )
            )
            catalog.found.embeddings.pop(dim, None)
    if not catalog.found.embeddings and not catalog.problems:
        shapes = ", ".join(f"{k} {a.shape}" for k, a in arrays.items()) or "nothing"
        other = guess_embedding({key: array.shape for key, array in arrays.items()})
        fix = "compute one with scanpy.tl.umap"
        if other is not None:
            fix = f"use --embedding {other[0]}d={shlex.quote(other[1])}, or {fix}"
        catalog.problems.append(
            Problem(
                "no embedding found: obsm has none of X_umap_1d, X_umap_2d, X_umap_3d, X_umap "
                f"with 1 to 3 columns; it holds {shapes}",
                source.where,
                fix,
            )
        )
    for dim, key in catalog.found.embeddings.items():
        catalog.notes.append(f"embedding obsm/{key} as {dim}d")
        _bounds(dim, key, arrays[key], catalog)
    for key, why in catalog.found.ignored.items():
        catalog.warnings.append(f"obsm/{key} is ignored: {why}")


def count_rows(found: Sequence[tuple[int, NDArray[np.int64]]]) -> tuple[int, str]:
    """Count the rows found in all blocks, each with its first row, and list the first of them."""
    total = sum(rows.size for _, rows in found)
    first = np.concatenate([start + rows[:NAMED] for start, rows in found])[:NAMED]
    return total, ", ".join(map(str, first)) + (", ..." if total > first.size else "")


@dataclass(frozen=True, slots=True)
class _Block:
    """Summary of one block of coordinates.

    Parameters
    ----------
    lo, hi
        (d,) float32 corners.
    bad
        Rows that are not finite.
    sample
        (n, d) rows at even distances, at most about `SAMPLE`.
    """

    lo: NDArray[np.float32]
    hi: NDArray[np.float32]
    bad: NDArray[np.int64]
    sample: NDArray[np.float32]

    @classmethod
    def of(cls, block: NDArray[Any]) -> Self:
        with np.errstate(over="ignore"):
            values = block.astype(np.float32)
        bad = unplaced_rows(values)
        empty = np.full(values.shape[1], np.inf, np.float32)
        if not len(values):
            return cls(empty, -empty, bad, values)
        sample = values[:: -(-len(values) // SAMPLE)]
        return cls(values.min(axis=0), values.max(axis=0), bad, sample)


def _bounds(dim: int, key: str, array: RowArray, catalog: Any) -> None:
    """Bounding box, and rows that are not finite, as one reduction over row blocks."""
    if not catalog.n_cells:
        return
    try:
        found = map_blocks(_Block.of, array)
    except CellucidDaskError as error:
        catalog.problems.extend(error.problems)
        return
    n_bad, rows = count_rows([(start, block.bad) for start, block in found])
    if n_bad:
        catalog.problems.append(
            Problem(
                f"{n_bad} of {catalog.n_cells} cells have NaN or Inf (rows {rows})",
                f"obsm/{key}",
                "leave them out with --drop-cells-without-embedding, or compute it again",
            )
        )
        return
    lo = np.min([block.lo for _, block in found], axis=0)
    hi = np.max([block.hi for _, block in found], axis=0)
    with np.errstate(over="ignore"):
        extent = hi - lo
    if not np.isfinite(extent).all():
        catalog.problems.append(Problem("has coordinates beyond the range of float32", key))
        return
    catalog.boxes[dim] = Box.of(lo, hi)
    sample = np.concatenate([block.sample for _, block in found])
    # Rounded inwards, so that of a few cells a single one does not count.
    low = np.quantile(sample, 0.01, axis=0, method="higher")
    usual = np.maximum(np.abs(low), np.abs(np.quantile(sample, 0.99, axis=0, method="lower")))
    limit = np.where(usual > 0, usual.astype(np.float64) * FAR, np.inf)
    if (np.maximum(np.abs(lo), np.abs(hi)) > limit).any():
        _warn_of_placeholders(key, array, limit, catalog)


def _warn_of_placeholders(
    key: str, array: RowArray, limit: NDArray[np.float64], catalog: Any
) -> None:
    def far(block: NDArray[Any]) -> NDArray[np.int64]:
        return np.flatnonzero((np.abs(block.astype(np.float32)) > limit).any(axis=1))

    n, rows = count_rows(map_blocks(far, array))
    catalog.warnings.append(
        f"obsm/{key}: {n} cells lie more than a million times as far out as nearly all others "
        f"(rows {rows}): is that a placeholder? All others are shown as one point"
    )


def survey_vectors(options: ExportOptions, arrays: Mapping[str, RowArray], catalog: Any) -> None:
    """Check the vector fields."""
    if not options.vectors:
        catalog.found.vectors = {}
    for field_id, dims in catalog.found.vectors.items():
        if fmt.safe(field_id) != field_id:
            catalog.problems.append(
                Problem(
                    f"the vector field id {field_id!r} has characters that a path cannot hold",
                    "obsm",
                    f"rename it, for example to {fmt.safe(field_id)!r}, or use --no-vectors",
                )
            )
        for dim, key in list(dims.items()):
            if key in arrays:
                catalog.notes.append(f"vectors   obsm/{key} as {field_id} {dim}d")
                _warn_of_unknown_vectors(key, arrays[key], catalog)
            else:
                del dims[dim]


def _warn_of_unknown_vectors(key: str, array: RowArray, catalog: Any) -> None:
    """Warn of vectors that are not finite; a server reports damaged ones when it reads them."""
    try:
        n, rows = count_rows(map_blocks(unplaced_rows, array))
    except CellucidDaskError:
        return
    if n:
        catalog.warnings.append(
            f"obsm/{key}: the vectors of {n} cells have NaN or Inf (rows {rows})"
        )
