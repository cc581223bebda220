"""Names of cells and genes: read as text in pieces, and made unique as anndata does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import InputError
from cellucid_dask.exporter.checks.ready.columns import check_text
from cellucid_dask.source.arrays.typed_column import TypedColumn

_SECOND_KEY: Final = "fedcba9876543210"  # of the second hash; any other than that of pandas


@dataclass(frozen=True, slots=True)
class Repeats:
    """Which names repeat.

    Parameters
    ----------
    ordinals
        (n,) int32; 0 for the first row of a name, 1 for the next one of the same name, and so on.
    taken
        Numbers that already stand behind a repeated name, as 2 in ``CD4-2``.
    """

    ordinals: NDArray[np.int32]
    taken: dict[str, list[int]]

    def rename(self, start: int, names: NDArray[Any]) -> NDArray[Any]:
        """Append ``-1``, ``-2``, ... to the names that repeat, of rows from `start` on."""
        renamed = names.copy()
        for row in np.flatnonzero(self.ordinals[start : start + names.size]):
            number = int(self.ordinals[start + row])
            for used in self.taken.get(names[row], ()):
                number += used <= number
            renamed[row] = f"{names[row]}-{number}"
        return renamed


def read_names(column: TypedColumn, start: int, stop: int) -> NDArray[Any]:
    """Read names as text, as anndata makes them of numbers; None where one is missing."""
    values = column.read(start, stop)
    if column.kind == "text":
        return values
    if column.kind == "category":
        texts = [str(category) for category in column.categories]
        return np.array([*texts, None], dtype=object)[values]
    import pandas as pd

    series = pd.Series(values)
    names = series.astype(str).to_numpy(dtype=object)
    missing = series.isna().to_numpy()
    names[missing | column.read_missing(start, stop) if column.nullable else missing] = None
    return names


def pieces_of_names(column: TypedColumn) -> Iterator[tuple[int, NDArray[Any]]]:
    """Read all names, some at a time: the first row of a piece, and its names."""
    for start, stop in column.steps():
        yield start, read_names(column, start, stop)


def find_repeats(column: TypedColumn, *, in_hdf5: bool = False) -> Repeats | None:
    """Find the names that repeat; None without any.

    Names are compared by hashes of 8 bytes, and where these are equal by 8 bytes of another, so
    that they need never be in memory all at once.

    Parameters
    ----------
    in_hdf5
        Whether an h5ad is among the files that will store them.

    Raises
    ------
    InputError
        When a row has no name.
    """
    hashes = _hash_all(column, in_hdf5=in_hdf5)
    values, counts = np.unique(hashes, return_counts=True)
    repeated = values[counts > 1]
    if not repeated.size:
        return None
    rows = np.flatnonzero(np.isin(hashes, repeated))
    second = _concatenate(
        [
            _hash(
                names[rows[slice(*np.searchsorted(rows, (start, start + names.size)))] - start], 2
            )
            for start, names in pieces_of_names(column)
        ]
    )
    order = np.lexsort((second, hashes[rows]))  # stable: rows of one name stay in their order
    pairs = np.stack([hashes[rows][order], second[order]])
    is_first = np.append(True, (pairs[:, 1:] != pairs[:, :-1]).any(axis=0))
    if is_first.all():
        return None
    places = np.arange(rows.size)
    ordinals = np.zeros(hashes.size, np.int32)
    ordinals[rows[order]] = places - np.maximum.accumulate(np.where(is_first, places, 0))
    return Repeats(ordinals, _taken_numbers(column, repeated))


def _hash_all(column: TypedColumn, *, in_hdf5: bool) -> NDArray[np.uint64]:
    """(n,) hash of each name; InputError when one is missing or empty."""
    hashes, total, first = [], 0, 0
    for start, names in pieces_of_names(column):
        empty = [row for row, name in enumerate(names) if not name or not isinstance(name, str)]
        first = start + empty[0] if empty and not total else first
        total += len(empty)
        if not total:
            check_text(names, in_hdf5=in_hdf5)
            hashes.append(_hash(names))
    if total:
        what = (
            f"has no text in {total:,} of {column.length:,} rows, the first of which is {first:,}"
        )
        raise InputError(what, fix="give each row a name")
    return _concatenate(hashes)


def _taken_numbers(column: TypedColumn, repeated: NDArray[np.uint64]) -> dict[str, list[int]]:
    """Numbers behind names whose hash is one of `repeated`, rising."""
    found: dict[str, set[int]] = {}
    for _, names in pieces_of_names(column):
        numbered = [name.rpartition("-") for name in names if name[-1:].isdecimal()]
        heads = np.array([head for head, _, _ in numbered], dtype=object)
        for i in np.flatnonzero(np.isin(_hash(heads), repeated)):
            head, dash, number = numbered[i]
            if dash and number.isascii() and number.isdecimal() and number[0] != "0":
                found.setdefault(head, set()).add(int(number))
    return {head: sorted(numbers) for head, numbers in found.items()}


def _hash(names: NDArray[Any], number: int = 1) -> NDArray[np.uint64]:
    import pandas as pd

    key = {} if number == 1 else {"hash_key": _SECOND_KEY}
    return pd.util.hash_array(names, categorize=False, **key)


def _concatenate(pieces: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    return np.concatenate([np.zeros(0, np.uint64), *pieces])
