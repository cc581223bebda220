"""`Source`: what an AnnData holds, described without reading its matrices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.source.arrays.columns import Column, SeriesColumn
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.row_array import RowArray

if TYPE_CHECKING:
    import pandas as pd

    from cellucid_dask.source.rows.row_selection import RowSelection

ARGUMENTS = "arguments"  # how messages name the place of loose arrays
# Before the names of arrays of a MuData that its modality has too. They are used only by name.
MUDATA_PREFIX = "whole:"
COLORS_ENDING = "_colors"  # of the names of lists of colors in uns


@dataclass(frozen=True, slots=True)
class Frame:
    """obs or var: its columns by name, in order.

    Parameters
    ----------
    length
        Number of rows.
    index
        The row names, or the error that tells why they cannot be read.
    columns
        Each column, or the error that tells why it cannot be read.
    repeated
        Names that stand on more than one column.
    """

    length: int
    index: Column | CellucidDaskError
    columns: Mapping[str, Column | CellucidDaskError]
    repeated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredColors:
    """The file that has the colors of categories, in ``uns`` of its AnnData.

    Parameters
    ----------
    path
        Of the file.
    bases
        Group of the AnnData by obs column; the root for columns that it does not name.
    """

    path: str
    bases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """An AnnData, described lazily: opening it reads no array.

    Parameters
    ----------
    name
        What a dataset made of it is called unless the user says otherwise.
    where
        How messages name it: its path, or that it is in memory.
    path
        File or folder a worker must see; None when nothing is read from disk.
    obs, var
        Tables of cells and of genes.
    raw_var
        Table of the genes of ``raw``, or why it cannot be read; None without one.
    obsm
        Each array, (n_cells, d) numbers, or why it cannot be read.
    matrices
        Each matrix under ``X``, ``layers/NAME``, ``raw/X`` or ``obsp/NAME``, or why not.
    local
        Whether some of it lives in the memory of this process, out of reach of others.
    all_cells, selection
        Where some cells are left out: the source of all cells, and the rows that are selected.
    record
        ``uns['cellucid']`` of an AnnData in memory, or why it cannot be read; None where it is in
        the file, if anywhere.
    colors
        What ``uns`` says of the colors of categories, by obs column; or the file that has it.
    notes, warnings
        What was left out when it was opened, and what the user should know of it.
    """

    name: str
    where: str
    path: str | None
    obs: Frame
    var: Frame
    obsm: Mapping[str, RowArray | CellucidDaskError]
    matrices: Mapping[str, Matrix | CellucidDaskError]
    raw_var: Frame | CellucidDaskError | None = None
    local: bool = field(default=False)
    all_cells: Source | None = None
    selection: RowSelection | None = None
    record: Any = None
    colors: Mapping[str, Any] | StoredColors = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def n_cells(self) -> int:
        """Number of cells, which is the length of obs."""
        return self.obs.length

    def keys(self, folder: str) -> list[str]:
        """Names in ``layers`` or ``obsp``."""
        head = folder + "/"
        return [key.removeprefix(head) for key in self.matrices if key.startswith(head)]


def wrap_table(table: pd.DataFrame) -> Frame:
    """Describe a DataFrame in memory."""
    names = [str(name) for name in table.columns]
    columns = {name: SeriesColumn(table.iloc[:, i]) for i, name in enumerate(names)}
    index = SeriesColumn(table.index.to_series())
    return Frame(len(table), index, columns, repeated_names(names))


def repeated_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names that occur more than once."""
    counts = Counter(names)
    return tuple(name for name, n in counts.items() if n > 1)
