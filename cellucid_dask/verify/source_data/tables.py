"""obs and var of the data: columns are read one by one, and only those that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

import anndata
import numpy as np
import pandas as pd

from cellucid_dask.errors import CellucidDaskError, ReadError, TextError
from cellucid_dask.verify.source_data.attributes import text, texts

INDEX: Final = ""  # row names, as the name of no column
NO_FAULT: Final = "it is the data that anndata cannot read: the export may be right"


@dataclass(frozen=True, slots=True)
class Table:
    """Columns by name.

    Parameters
    ----------
    where
        What holds it, such as ``FILE, obs``.
    readers
        Reads each column, and the row names as `INDEX`.
    """

    where: str
    readers: Mapping[str, Callable[[], pd.Series[Any]]]

    @classmethod
    def of(cls, where: str, frame: pd.DataFrame) -> Self:
        """Take a table that is in memory."""
        readers = {str(name): partial(frame.__getitem__, name) for name in frame}
        return cls(where, {**readers, INDEX: frame.index.to_series})

    @classmethod
    def stored(cls, where: str, group: Any) -> Self:
        """Take a table of a file, whose columns stay there."""
        if text(group, "encoding-version") != "0.2.0":  # anndata knows older ones only whole
            return cls.of(where, anndata.io.read_elem(group))
        names = {name: name for name in texts(group, "column-order")}
        readers = {name: partial(_series, group, key) for name, key in names.items()}
        return cls(where, {**readers, INDEX: partial(_series, group, text(group, "_index"))})

    def __contains__(self, name: str) -> bool:
        return name in self.readers

    def __len__(self) -> int:
        """Number of rows, by the first column that can be read."""
        for name in (INDEX, *self.readers):
            try:
                return len(self.column(name))
            except CellucidDaskError as error:
                failure = error
        raise failure

    def column(self, name: str) -> pd.Series[Any]:
        """Read a column, or the row names.

        Raises
        ------
        TextError
            When anndata cannot decode its text.
        ReadError
            When it cannot be read for another reason.
        """
        try:
            return self.readers[name]()
        except Exception as error:
            what = " ".join(str(error).split()) or type(error).__name__
            where = f"{self.where}[{name!r}]" if name else f"{self.where} index"
            kind = TextError if isinstance(error, UnicodeError) else ReadError
            raise kind(f"cannot be read ({what})", where=where, fix=NO_FAULT) from error


def _series(group: Any, key: Any) -> pd.Series[Any]:
    values = anndata.io.read_elem(group[key])
    if isinstance(values, np.ndarray) and values.dtype.kind in "OS":  # bytes where nothing says
        values = [v.decode() if isinstance(v, bytes) else v for v in values.tolist()]
    return pd.Series(values)
