"""The other name of each gene, by which a viewer finds it too: a symbol, or an id."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.format import ID_COLUMNS, SYMBOL_COLUMNS
from cellucid_dask.source.arrays.columns import Column
from cellucid_dask.source.model import Frame

ENSEMBL: Final = re.compile(r"ENS[A-Z]{0,4}G\d{11}(\.\d+)?")
_MISSING: Final = frozenset({"", "nan", "<NA>", "None"})  # as columns give missing texts


@dataclass(frozen=True, slots=True)
class Symbols:
    """Another name of each gene.

    Parameters
    ----------
    column
        Column of var that has them, or ``index``.
    names
        In the order of the genes; None where there is none, or it is the id.
    """

    column: str
    names: tuple[str | None, ...]


def have_ensembl_ids(ids: Sequence[str]) -> bool:
    """Whether at least half of the genes go by ids of Ensembl."""
    n = sum(ENSEMBL.fullmatch(gene) is not None for gene in ids)
    return bool(ids) and 2 * n >= len(ids)


def find_columns(table: Frame, names: Sequence[str]) -> Iterator[tuple[str, Column]]:
    """Yield the columns of text that have one of `names`, in upper or lower case, in that order."""
    for name in names:
        for key, column in table.columns.items():
            if key.casefold() != name or isinstance(column, CellucidDaskError):
                continue
            if column.kind == "category":
                yield key, column


def find_symbols(
    table: Frame, id_column: str, ids: Sequence[str], chosen: Sequence[int]
) -> Symbols | None:
    """Find the other name of the genes that are exported; None where none is known.

    Genes that go by ids of Ensembl get symbols. Others, which go by symbols, get ids.

    Parameters
    ----------
    id_column
        Column of var that has the ids in use, or ``index``.
    ids
        Of all genes, unchanged.
    chosen
        Positions of the genes that are exported.
    """
    for key, column in _candidates(table, id_column, ids):
        if key == id_column:
            continue
        try:
            names = column.strings()
        except (CellucidDaskError, TypeError):
            continue  # nobody asked for it
        if key == "index" and all(name.isdecimal() for name in names):
            continue  # which are row numbers
        found = tuple(_other_name(names[i], ids[i]) for i in chosen)
        if any(found):
            return Symbols(key, found)
    return None


def _candidates(table: Frame, id_column: str, ids: Sequence[str]) -> Iterator[tuple[str, Column]]:
    """Yield the columns of var that may have other names, the likeliest first."""
    by_ensembl = have_ensembl_ids(ids)
    if by_ensembl:
        yield from find_columns(table, SYMBOL_COLUMNS)
    if id_column != "index" and not isinstance(table.index, CellucidDaskError):
        yield "index", table.index
    if not by_ensembl:
        yield from find_columns(table, (*ID_COLUMNS, *SYMBOL_COLUMNS))


def _other_name(name: str, gene: str) -> str | None:
    return None if name in _MISSING or name == gene else name
