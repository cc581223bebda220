"""The arrays of a store that an export or a server reads, and what the values of each mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, auto
from typing import Any, TypeAlias

from cellucid_dask.source.arrays.categorical_column import CategoricalColumn
from cellucid_dask.source.arrays.columns import Column
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.arrays.stored_columns import AnndataColumn
from cellucid_dask.source.inputs.legacy_records import CATEGORIES
from cellucid_dask.source.rows.reordered_column import ReorderedColumn
from cellucid_dask.source.storage.elements import find_element, is_array, member_names
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.store import Store

Place: TypeAlias = tuple[Store, str]


class Part(Enum):
    """What the values of an array mean to who looks at the data."""

    INDPTR = auto()
    INDICES = auto()
    DATA = auto()
    DENSE = auto()
    IDS = auto()
    CATEGORIES = auto()
    CODES = auto()
    MASK = auto()
    COLUMN = auto()
    POINTS = auto()
    AXES = auto()
    RECORDS = auto()


@dataclass(frozen=True, slots=True)
class Use:
    """An array that is read.

    Parameters
    ----------
    store, key
        Where it is; a group stands for the arrays in it.
    part
        What its values mean.
    matrix
        Sparse matrix that it is a part of.
    categories
        Names of the categories, of `Part.CODES`.
    """

    store: Store
    key: str
    part: Part
    matrix: SparseMatrix | None = None
    categories: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """How messages name it."""
        return f"{self.store.path}, {self.key}"


def uses_of_matrix(matrix: Matrix) -> Iterator[Use]:
    """Name the arrays of a matrix that is in a store."""
    if not isinstance(matrix, SparseMatrix):
        yield from _uses_of_file_array(matrix.array, Part.DENSE)
        return
    for part in (Part.INDPTR, Part.INDICES, Part.DATA):
        array = getattr(matrix, part.name.lower())
        if isinstance(array, FileArray):
            yield Use(array.store, array.key, part, matrix)


def uses_of_column(column: Column, categories: tuple[str, ...] = ()) -> Iterator[Use]:
    """Name the arrays of a column of obs that is in a store."""
    if isinstance(column, ReorderedColumn):
        yield from uses_of_column(column.column, categories)
    elif isinstance(column, CategoricalColumn):
        yield Use(column.array.store, column.array.key, Part.CODES, categories=categories)
        yield Use(column.store, column.categories_key, Part.CATEGORIES)
    elif isinstance(column, AnndataColumn):
        yield Use(column.store, column.key, Part.COLUMN)
    elif is_dataclass(column):
        for f in fields(column):
            part = Part.MASK if f.name == "mask" else Part.COLUMN
            yield from _uses_of_file_array(getattr(column, f.name), part)


def uses_of_ids(column: Column) -> Iterator[Use]:
    """Name the arrays of a column of ids."""
    for use in uses_of_column(column):
        part = Part.IDS if use.part in (Part.COLUMN, Part.CODES) else use.part
        yield Use(use.store, use.key, part)


def uses_of_records(store: Store, *, raw: bool) -> Iterator[Use]:
    """Name the tables that are arrays of records, as of anndata 0.6, and their categories."""
    with store.open() as root:
        keys = "obs", "raw.var" if raw else "var", "obsm"
        tables = [key for key in keys if is_array(find_element(root, key))]
        yield from (Use(store, key, Part.RECORDS) for key in tables)
        uns = find_element(root, "uns") if tables else None
        if uns is not None and not is_array(uns):
            for name in member_names(uns):
                if isinstance(name, str) and name.endswith(CATEGORIES):
                    yield Use(store, f"uns/{name}", Part.CATEGORIES)


def uses_of_array(array: Any, part: Part) -> Iterator[Use]:
    """Name the arrays of a store that an array of obsm is made of."""
    if isinstance(array, SparseMatrix):
        yield from uses_of_matrix(array)
    elif isinstance(array, FileArray):
        yield from _uses_of_file_array(array, part)
    elif isinstance(array, tuple):
        for item in array:
            yield from uses_of_array(item, part)
    elif is_dataclass(array):
        for f in fields(array):
            inner_part = Part.MASK if f.name == "mask" else part
            yield from uses_of_array(getattr(array, f.name), inner_part)


def _uses_of_file_array(array: Any, part: Part) -> Iterator[Use]:
    if isinstance(array, FileArray):
        yield Use(array.store, array.key, part)
