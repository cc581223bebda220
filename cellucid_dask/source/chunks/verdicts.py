"""What an array means without the chunks that it lacks, which read as its fill value.

A writer may leave out a chunk that holds nothing but the fill value, and zarr does so unless told
otherwise. So a chunk that is not there proves no loss; what it would say about the data does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.chunks.array_uses import Part, Use
from cellucid_dask.source.chunks.gaps import ChunkGaps

SAMPLE: Final = 1 << 20  # stored values that are read to see whether a matrix has duplicates


@dataclass(frozen=True, slots=True)
class ArrayWithGaps:
    """An array that lacks chunks.

    Parameters
    ----------
    use
        The array.
    gaps
        The chunks that are missing.
    shape
        Its shape.
    fill
        What they read as.
    """

    use: Use
    gaps: ChunkGaps
    shape: tuple[int, ...]
    fill: Any

    @property
    def chosen(self) -> bool:
        """Whether a writer chose the fill value for what it says: it is neither 0, NaN nor empty.

        Chunks of such a value are left out on purpose.
        """
        return bool(self.fill) and bool(self.fill == self.fill)  # NaN does not equal itself

    @property
    def rows(self) -> str:
        """Number of rows or items that missing chunks hold, for a message."""
        ranges = self.gaps.rows(self.shape[0])
        return f"{int((ranges[:, 1] - ranges[:, 0]).sum()):,}"

    @property
    def shown(self) -> str:
        """What a missing value reads as, for a message."""
        value = self.fill.item() if isinstance(self.fill, np.generic) else self.fill
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, float):
            return f"{value:g}"
        return repr(value) if isinstance(value, str) else str(self.fill)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the missing chunks of an array mean.

    Parameters
    ----------
    what
        What the data say without them.
    wrong
        Whether data are not meant to say that.
    acceptable
        Whether a user may know better.
    """

    what: str
    wrong: bool = False
    acceptable: bool = True


def judge_array(lacking: ArrayWithGaps) -> Verdict | None:
    """Judge an array by what it says without its missing chunks.

    Returns
    -------
    None where nothing is to be told: a chunk like that holds nothing else in good data.

    Raises
    ------
    CellucidDaskError
        When the matrix that the array is a part of cannot be read.
    """
    part = lacking.use.part
    if _is_usual(lacking):
        return None
    if part is Part.INDICES:
        verdict = _on_indices(lacking)
    elif part is Part.INDPTR:
        verdict = Verdict(f"where {lacking.rows} rows begin is not known", wrong=True)
    elif part is Part.DATA:
        what = f"{lacking.rows} stored values read as {lacking.shown}"
        verdict = Verdict(what, wrong=not lacking.chosen)
    elif part is Part.IDS:
        verdict = Verdict(f"{lacking.rows} ids read as {lacking.shown}", wrong=True)
    elif part is Part.RECORDS:  # with the names of the rows
        verdict = Verdict(f"{lacking.rows} rows read as {lacking.shown}", wrong=True)
    elif part is Part.CATEGORIES:
        return _on_categories(lacking)
    else:
        verdict = Verdict(_cells_show(lacking))
    return _with_most_missing(lacking, verdict)


def _is_usual(lacking: ArrayWithGaps) -> bool:
    """Whether good data of this kind has no chunk there: all values are the only usual one."""
    use, gaps = lacking.use, lacking.gaps
    usual = {
        # Where some are there, a cell may have no category.
        Part.CODES: len(use.categories) == 1 and gaps.missing == gaps.total,
        Part.INDPTR: use.matrix is not None and use.matrix.nnz == 0,
        Part.MASK: gaps.missing == gaps.total,
    }
    return usual.get(use.part, False) and not gaps.emptied and not lacking.fill


def _with_most_missing(lacking: ArrayWithGaps, verdict: Verdict) -> Verdict:
    """Call an array wrong of which more than half is missing, unless its writer left that out.

    A mask is false in most chunks, and stored values of a chosen fill value are no loss. A column
    that lacks all of its chunks may well be 0, or empty, in all cells; and one of a single category
    may have it in nearly all.
    """
    gaps, part = lacking.gaps, lacking.use.part
    constant = part is Part.COLUMN and gaps.missing == gaps.total
    constant |= part is Part.CODES and len(lacking.use.categories) == 1
    constant &= not gaps.emptied
    meant = part is Part.MASK or constant or (part is Part.DATA and lacking.chosen)
    if verdict.wrong or meant or 2 * (gaps.missing - gaps.left_out) <= gaps.total:
        return verdict
    return Verdict(f"more than half of it; {verdict.what}", wrong=True)


def _on_categories(lacking: ArrayWithGaps) -> Verdict | None:
    """Judge names of categories, which are distinct: one at most can be the fill value."""
    n = lacking.rows
    if n != "1":
        return Verdict(f"{n} categories read as {lacking.shown}", wrong=True, acceptable=False)
    if lacking.shown == "''":
        return Verdict("a category has no name", wrong=True)
    return None


def _cells_show(lacking: ArrayWithGaps) -> str:
    """Say what is seen of cells whose values are missing."""
    use, cells, shown = lacking.use, f"{lacking.rows} cells", lacking.shown
    if use.part is Part.CODES:
        known = 0 <= int(lacking.fill) < len(use.categories)
        name = f"category {use.categories[int(lacking.fill)]!r}" if known else "no category"
        return f"{cells} show {name}"
    if use.part is Part.POINTS:
        point = ", ".join([shown] * int(np.prod(lacking.shape[1:])))
        return f"{cells} lie at the point {point}"
    if use.part is Part.MASK:
        return f"{lacking.rows} values count as {'' if lacking.fill else 'not '}missing"
    if use.part is Part.DENSE:
        return f"values of {cells} read as {shown}"
    return f"{cells} show {shown}"


# ---------------------------------------------------------------------------- sparse indices


def _on_indices(lacking: ArrayWithGaps) -> Verdict:
    """Judge indices by how often one row would hold the same index.

    Rows are those of CSR; of CSC, they are its columns.
    """
    matrix, what = lacking.use.matrix, f"{lacking.rows} stored values have index {lacking.shown}"
    assert matrix is not None
    if not 0 <= int(lacking.fill) < matrix.n_minor:
        what += ", which lies outside the matrix"
        return Verdict(what, wrong=True, acceptable=False)
    lost = lacking.gaps.rows(lacking.shape[0])
    most, n_rows = _most_in_one_row(matrix, lost)
    if most < 2 or most <= _repeats(matrix, lost):
        return Verdict(what)
    noun = "rows" if matrix.layout == "csr" else "columns"
    what += f", which {n_rows:,} {noun} would hold more than once, up to {most:,} times"
    return Verdict(what, wrong=True, acceptable=False)


def _most_in_one_row(matrix: SparseMatrix, lost: NDArray[np.int64]) -> tuple[int, int]:
    """Largest number of lost values in a row, and the number of rows that have two or more."""
    before = np.concatenate([[0], np.cumsum(lost[:, 1] - lost[:, 0])])
    most = n_rows = 0
    for _, pointers in matrix.pointers():
        run = np.searchsorted(lost[:, 0], pointers, "right") - 1  # the last that begins before
        inside = np.clip(pointers - lost[run, 0], 0, lost[run, 1] - lost[run, 0])
        counts = np.diff(np.where(run < 0, 0, before[run] + inside))
        most = max(most, int(counts.max(initial=0)))
        n_rows += int((counts >= 2).sum())
    return most, n_rows


def _repeats(matrix: SparseMatrix, lost: NDArray[np.int64]) -> int:
    """How often a row holds one index, at most, in a sample of the rows that lack nothing."""
    kept = np.stack([np.append(0, lost[:, 1]), np.append(lost[:, 0], matrix.nnz)], axis=1)
    low, high = kept[np.argmax(kept[:, 1] - kept[:, 0])]
    most = 1
    for first, pointers in matrix.pointers():
        start = int(np.searchsorted(pointers, low, "left"))
        stop = int(np.searchsorted(pointers, min(high, low + SAMPLE), "right")) - 1
        if start >= stop:
            continue
        lines = matrix.major(first + start, first + stop)
        lengths = np.diff(lines.indptr)
        entries = np.repeat(np.arange(lengths.size), lengths) * matrix.n_minor + lines.indices
        most = max(most, int(np.unique(entries, return_counts=True)[1].max(initial=1)))
    return most
