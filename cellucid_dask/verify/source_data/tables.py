"""obs and var of the data; a column is read when it is requested."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

import anndata
import numpy as np
import pandas as pd

from cellucid_dask.errors import CellucidDaskError, ReadError, TextError
from cellucid_dask.verify.source_data.attributes import text_attribute, text_attributes

INDEX: Final = ""  # the key of the row names; no column has it
FIX_UNREADABLE: Final = "anndata cannot read the data; the export itself may be correct"


@dataclass(frozen=True, slots=True)
class Table:
    """Columns by name.

    Parameters
    ----------
    where
        Where it is, such as ``FILE, obs``.
    readers
        Functions that read a column by its name, and the row names by `INDEX`.
    """

    where: str
    readers: Mapping[str, Callable[[], pd.Series[Any]]]

    @classmethod
    def from_frame(cls, where: str, frame: pd.DataFrame) -> Self:
        """Wrap a table that is in memory."""
        readers = {str(name): partial(frame.__getitem__, name) for name in frame}
        return cls(where, {**readers, INDEX: frame.index.to_series})

    @classmethod
    def from_group(cls, where: str, group: Any) -> Self:
        """Wrap a table of a file; its columns stay there."""
        # anndata reads a table of an older version only as a whole
        if text_attribute(group, "encoding-version") != "0.2.0":
            return cls.from_frame(where, anndata.io.read_elem(group))
        names = {name: name for name in text_attributes(group, "column-order")}
        readers = {name: partial(_read_series, group, key) for name, key in names.items()}
        return cls(
            where, {**readers, INDEX: partial(_read_series, group, text_attribute(group, "_index"))}
        )

    def __contains__(self, name: str) -> bool:
        return name in self.readers

    def __len__(self) -> int:
        """Return the number of rows, by the first column that can be read."""
        for name in (INDEX, *self.readers):
            try:
                return len(self.read_column(name))
            except CellucidDaskError as error:
                failure = error
        raise failure

    def read_column(self, name: str) -> pd.Series[Any]:
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
            raise kind(f"cannot be read ({what})", where=where, fix=FIX_UNREADABLE) from error


def _read_series(group: Any, key: Any) -> pd.Series[Any]:
    values = anndata.io.read_elem(group[key])
    if isinstance(values, dict):  # its own metadata are lost
        raise TypeError("a group without the attribute encoding-type")
    if (
        isinstance(values, np.ndarray) and values.dtype.kind in "OS"
    ):  # text without an encoding is bytes
        values = [v.decode() if isinstance(v, bytes) else v for v in values.tolist()]
    return pd.Series(values)
