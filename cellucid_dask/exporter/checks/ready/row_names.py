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
    repeated = _repeated(hashes)
    if not repeated.size:
        return None
    rows = np.flatnonzero(_are_among(hashes, repeated))
    second = np.empty(rows.size, np.uint64)
    for start, names in pieces_of_names(column):
        here = slice(*np.searchsorted(rows, (start, start + names.size)))
        second[here] = _hash(names[rows[here] - start], 2)
    first = hashes[rows]
    order = np.lexsort((second, first))  # stable: rows of one name stay in their order
    differs = np.ones(rows.size, bool)
    differs[1:] = np.diff(first[order]) != 0
    differs[1:] |= np.diff(second[order]) != 0
    if differs.all():
        return None
    places = np.arange(rows.size)
    ordinals = np.zeros(hashes.size, np.int32)
    ordinals[rows[order]] = places - np.maximum.accumulate(np.where(differs, places, 0))
    return Repeats(ordinals, _taken_numbers(column, repeated))


def _hash_all(column: TypedColumn, *, in_hdf5: bool) -> NDArray[np.uint64]:
    """(n,) hash of each name; InputError when one is missing or empty."""
    import pandas as pd

    hashes, total, first = np.empty(column.length, np.uint64), 0, 0
    for start, names in pieces_of_names(column):
        if pd.api.types.infer_dtype(names, skipna=False) != "string" or (names == "").any():
            empty = [i for i, name in enumerate(names) if not isinstance(name, str) or not name]
            first = first if total else start + empty[0]
            total += len(empty)
            continue
        check_text(names, in_hdf5=in_hdf5)
        hashes[start : start + names.size] = _hash(names)
    if total:
        what = (
            f"has no text in {total:,} of {column.length:,} rows, the first of which is {first:,}"
        )
        raise InputError(what, fix="give each row a name")
    return hashes


def _taken_numbers(column: TypedColumn, repeated: NDArray[np.uint64]) -> dict[str, list[int]]:
    """Numbers behind names whose hash is one of `repeated`, rising."""
    found: dict[str, set[int]] = {}
    for _, names in pieces_of_names(column):
        heads = np.array([name.rpartition("-")[0] for name in names], dtype=object)
        for i in np.flatnonzero(_are_among(_hash(heads), repeated)):
            number = names[i][len(heads[i]) + 1 :]
            if number.isascii() and number.isdecimal() and number[0] != "0":
                found.setdefault(heads[i], set()).add(int(number))
    return {head: sorted(numbers) for head, numbers in found.items()}


def _repeated(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Values that are there more than once, rising; by sorting, as np.unique takes much memory."""
    values = np.sort(hashes)
    again = values[1:][values[1:] == values[:-1]]
    return again[np.append(True, again[1:] != again[:-1])] if again.size else again


def _are_among(hashes: NDArray[np.uint64], values: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each hash is one of `values`, which rise."""
    places = np.searchsorted(values, hashes)
    return values[np.minimum(places, values.size - 1)] == hashes


def _hash(names: NDArray[Any], number: int = 1) -> NDArray[np.uint64]:
    import pandas as pd

    key = {} if number == 1 else {"hash_key": _SECOND_KEY}
    return pd.util.hash_array(names, categorize=False, **key)
