"""The bounding box of an embedding, and the cells that have no place in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.encode import Box
from cellucid_dask.errors import CellucidDaskError, Problem
from cellucid_dask.exporter.checks.placed_cells import map_blocks, unplaced_rows
from cellucid_dask.source.arrays.row_array import RowArray

SAMPLE: Final = 1024  # rows of a block from which the usual size of coordinates is estimated
FAR: Final = 1e6  # times the usual size, beyond which a coordinate is a placeholder
NAMED: Final = 10  # rows that a message names


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


def measure_box(key: str, array: RowArray, report: Any) -> Box | None:
    """Measure the bounding box of an embedding, as one reduction over row blocks.

    Parameters
    ----------
    report
        Where problems and warnings go, into its lists of these names.

    Returns
    -------
    None when there is a problem, or no cell.
    """
    n_cells = array.shape[0]
    if not n_cells:
        return None
    try:
        found = map_blocks(_Block.of, array)
    except CellucidDaskError as error:
        report.problems.extend(error.problems)
        return None
    n_bad, rows = count_rows([(start, block.bad) for start, block in found])
    if n_bad:
        report.problems.append(
            Problem(
                f"{n_bad} of {n_cells} cells have NaN or Inf (rows {rows})",
                f"obsm/{key}",
                "leave them out with --drop-cells-without-embedding, or compute it again",
            )
        )
        return None
    lo = np.min([block.lo for _, block in found], axis=0)
    hi = np.max([block.hi for _, block in found], axis=0)
    with np.errstate(over="ignore"):
        extent = hi - lo
    if not np.isfinite(extent).all():
        report.problems.append(Problem("has coordinates beyond the range of float32", key))
        return None
    sample = np.concatenate([block.sample for _, block in found])
    # Rounded inwards, so that of a few cells a single one does not count.
    low = np.quantile(sample, 0.01, axis=0, method="higher")
    usual = np.maximum(np.abs(low), np.abs(np.quantile(sample, 0.99, axis=0, method="lower")))
    limit = np.where(usual > 0, usual.astype(np.float64) * FAR, np.inf)
    if (np.maximum(np.abs(lo), np.abs(hi)) > limit).any():
        _warn_of_placeholders(key, array, limit, report)
    return Box.of(lo, hi)


def _warn_of_placeholders(
    key: str, array: RowArray, limit: NDArray[np.float64], report: Any
) -> None:
    def far(block: NDArray[Any]) -> NDArray[np.int64]:
        return np.flatnonzero((np.abs(block.astype(np.float32)) > limit).any(axis=1))

    n, rows = count_rows(map_blocks(far, array))
    report.warnings.append(
        f"obsm/{key}: {n} cells lie more than a million times as far out as nearly all others "
        f"(rows {rows}): is that a placeholder? All others are shown as one point"
    )
