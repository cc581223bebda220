"""What ready files ask of expression values: that they are finite, and how exactly they are kept.

The folder shows a value that is not finite as missing, and all values as float32. Ready files hold
finite values alone, as float32, or as float64 where all are whole numbers and float32 skips some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import ValuesError
from cellucid_dask.ready.facts import LARGEST_EXACT, may_need_float64

STEP: Final = 1 << 16  # values that are looked at together
SHOWN: Final = 3  # columns that a message names
LARGEST: Final = float(np.finfo(np.float32).max)
REPAIR: Final = (
    "repair or remove these values; the format folder and the built-in page show them as missing"
)


@dataclass(frozen=True, slots=True)
class Exactness:
    """What decides the type of the values of a matrix, found of a part of them.

    Parameters
    ----------
    whole
        Whether all are whole numbers, of a type with more than float32 holds.
    large
        Whether one is so large that float32 skips whole numbers.
    """

    whole: bool = True
    large: bool = False

    @property
    def dtype(self) -> str:
        """Type in which the values are stored."""
        return "<f8" if self.whole and self.large else "<f4"

    @classmethod
    def of(cls, parts: Iterable[Exactness]) -> Exactness:
        """Of all parts of a matrix."""
        found = list(parts)
        return cls(all(p.whole for p in found), any(p.large for p in found))


def survey_values(
    values: NDArray[Any], label: str, place: str, columns: Callable[[NDArray[np.int64]], Any]
) -> Exactness:
    """Look at all values of a part of a matrix.

    Parameters
    ----------
    label, place
        How messages name the matrix, and the part.
    columns
        Gives the columns of the matrix at positions in `values`.

    Raises
    ------
    ValuesError
        When a value is NaN, infinite, or beyond float32.
    """
    if not values.size or values.dtype.kind == "b":
        return Exactness()
    with np.errstate(invalid="ignore"):
        low, high = float(values.min()), float(values.max())
    if not (low >= -LARGEST and high <= LARGEST):
        raise _refuse(values, label, place, columns)
    if not may_need_float64(values.dtype):
        return Exactness(whole=values.dtype.kind != "f")
    large = max(-low, high) > LARGEST_EXACT
    return Exactness(values.dtype.kind != "f" or are_whole(values), large)


def are_whole(values: NDArray[Any]) -> bool:
    """Whether all values are whole numbers."""
    flat = values.reshape(-1)
    parts = (flat[start : start + STEP] for start in range(0, flat.size, STEP))
    return all(np.array_equal(np.floor(part), part) for part in parts)


def drop_zeros(part: Any) -> Any:
    """A CSC or CSR array without values that are 0 as float32, stored zeros or tiny ones."""
    with np.errstate(over="ignore"):
        there = part.data.astype(np.float32, copy=False) != 0
    if there.all():
        return part
    before = np.concatenate([[0], np.cumsum(there)])
    parts = part.data[there], part.indices[there], before[part.indptr]
    return type(part)(parts, shape=part.shape)


def _refuse(
    values: NDArray[Any], label: str, place: str, columns: Callable[[NDArray[np.int64]], Any]
) -> ValuesError:
    flat = values.reshape(-1)
    with np.errstate(invalid="ignore"):
        n_nan, n_inf = int(np.isnan(flat).sum()), int(np.isinf(flat).sum())
        # Not LARGEST itself, which float16 takes for Inf.
        wrong = np.flatnonzero(~(np.abs(flat) <= np.float32(LARGEST)))
    kinds = {"NaN": n_nan, "infinite": n_inf, "beyond float32": wrong.size - n_nan - n_inf}
    told = ", ".join(f"{n:,} {kind}" for kind, n in kinds.items() if n)
    found = np.unique(np.asarray(columns(wrong)))
    named = ", ".join(map(str, found[:SHOWN].tolist())) + (", ..." if found.size > SHOWN else "")
    noun = "column" if found.size == 1 else "columns"
    what = f"holds values that ready files do not: {told} ({place}, {noun} {named})"
    return ValuesError(what, where=label, fix=REPAIR)
