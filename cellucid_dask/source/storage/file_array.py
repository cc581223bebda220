"""An array of a store, read when it is indexed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import ReadError, refuse_fault
from cellucid_dask.source.storage.damage import COPY_AGAIN, DAMAGE, describe_damage
from cellucid_dask.source.storage.direct import read as direct
from cellucid_dask.source.storage.direct.layout import holds_numbers
from cellucid_dask.source.storage.elements import is_array
from cellucid_dask.source.storage.store import Store
from cellucid_dask.source.storage.zstd_filter import refuse_damaged_chunks

ROWS_PER_READ = 1 << 17  # rows of cells that are read at a time
DIRECT_BYTES = 1 << 16  # of a range for which it is worth it to find out how an array is stored


@dataclass(frozen=True, slots=True)
class FileArray:
    """An array of a store, of which nothing is read until it is indexed.

    Parameters
    ----------
    store, key
        Where it is.
    shape, dtype, chunks
        As on disk; `chunks` is None for contiguous HDF5.
    direct_bytes
        From which a range is read without HDF5 and zarr.
    """

    store: Store
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None = None
    direct_bytes: int = DIRECT_BYTES

    @classmethod
    def of(cls, store: Store, key: str, element: Any) -> FileArray:
        """Describe `element`, an open h5py.Dataset or zarr.Array.

        Raises
        ------
        ReadError
            When it is a group.
        """
        if not is_array(element):
            what = "is a group, not an array"
            raise ReadError(what, where=f"{store.path}, {key}", fix=COPY_AGAIN)
        chunks = element.chunks  # within the shards of a zarr, which may be of 1 GB
        dtype = element.dtype
        return cls(store, key, tuple(element.shape), np.dtype(dtype), chunks and tuple(chunks))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        rows = index[0] if isinstance(index, tuple) else index
        found = self.read_directly(rows)
        return self._read(index, rows) if found is None else found

    def read_directly(self, rows: Any) -> NDArray[Any] | None:
        """Read a range of an array of one axis without HDF5 and zarr.

        Returns
        -------
        None where they have to read it, `rows` is something else, or the range is small.
        """
        if self.ndim != 1 or not isinstance(rows, slice) or rows.step not in (None, 1):
            return None
        start, stop, _ = rows.indices(self.shape[0])
        n_bytes = (stop - start) * self.dtype.itemsize
        if n_bytes < max(1, self.direct_bytes) or not holds_numbers(self.dtype):
            return None
        out = np.empty(stop - start, self.dtype)
        return out if direct.read_into(self.store, self.key, start, out) else None

    def read_into(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Fill `out` with values `start` to `stop`, the one after the last, of one axis.

        Memory that is used again costs less than what `__getitem__` asks the system for.

        Parameters
        ----------
        out
            Contiguous, of the type of the array and of `stop` - `start` values.

        Raises
        ------
        ReadError
            As indexing the array; and when it has become another array since it was described.
        """
        assert out.size == stop - start
        if out.nbytes >= max(1, self.direct_bytes) and direct.read_into(
            self.store, self.key, start, out
        ):
            return
        rows = slice(start, stop)
        found = self._read(rows, rows)
        if found.shape != out.shape or found.dtype != out.dtype:
            raise ReadError(
                "is another array than it was before",
                where=f"{self.store.path}, {self.key}",
                fix="run again once nobody writes to the file",
            )
        out[...] = found

    def _read(self, index: Any, rows: Any) -> NDArray[Any]:
        """Read by HDF5 or zarr, and say which chunk is damaged."""
        place = f"{self.store.path}, {self.key}"
        with self.store.open_element(self.key) as element:
            try:
                return np.asarray(_read_sound(element, index))
            except UnicodeDecodeError:
                raise  # the bytes are there: it is their meaning that is not known
            except DAMAGE as error:
                refuse_fault(error, place, of_memory=self._memory_is_short(rows))
                chunk = self._damaged(element, rows) if isinstance(rows, slice) else ""
                what, fix = describe_damage(error)
                raise ReadError(what, where=place + chunk, fix=fix) from error

    def _memory_is_short(self, rows: Any) -> bool:
        """Whether what was asked for cannot be held: a damaged chunk may claim any size."""
        n_rows = len(range(self.shape[0])[rows]) if isinstance(rows, slice) else 1
        n_rows += 2 * (self.chunks[0] if self.chunks else 0)
        try:
            np.empty((n_rows, *self.shape[1:]), self.dtype)
        except MemoryError:
            return True
        return False

    def _damaged(self, element: Any, rows: slice) -> str:
        """Name the first damaged chunk among `rows`."""
        step = self.chunks[0] if self.chunks else self.shape[0]
        first, last, _ = rows.indices(self.shape[0])
        for start in range(first - first % step, last, step):
            try:
                _read_sound(element, slice(start, start + step))
            except DAMAGE:
                noun = "items" if self.ndim == 1 else "rows"
                return f", chunk {start // step} ({noun} {start} to {start + step - 1})"
        return ""


def _read_sound(element: Any, index: Any) -> Any:
    """Read by HDF5 or zarr; what HDF5 does not notice is refused first."""
    if isinstance(element, h5py.Dataset):
        refuse_damaged_chunks(element, index)
    return element[index]
