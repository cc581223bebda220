"""Elements of an AnnData file, opened by path wherever they are read.

A `Store` and a `FileArray` are a few strings and integers: they travel to a worker, and only a
read opens the file.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from cellucid_dask.errors import InputError, ReadError, refuse_fault
from cellucid_dask.source.inputs.file_kinds import (
    EXPECTED,
    MARKS,
    folder_in_archive,
    is_hdf5,
    neither,
    no_store,
    nothing_there,
)
from cellucid_dask.source.storage import hdf5
from cellucid_dask.source.storage.elements import is_array, need, open_group
from cellucid_dask.source.storage.utf8 import not_utf8

# What h5py, zarr and the codecs raise on bytes that are not what they should be.
_ZLIB_NG: Any = zlib_ng.error  # its stub takes the class for an instance
DAMAGE: tuple[type[Exception], ...] = (
    OSError,
    RuntimeError,
    SystemError,  # numcodecs, of a blosc header with a negative size
    MemoryError,  # or with an absurd one
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    zlib.error,
    _ZLIB_NG,
    zipfile.BadZipFile,
)
ROWS = 1 << 17  # rows of cells that are read at a time
COPY_AGAIN = "the file is truncated or corrupt: copy or write it again"
NEWER_ZARR = "install a newer zarr; pip finds it only for a Python that is new enough"
_UNKNOWN = (  # what zarr says of data types, codecs and extensions that it does not know
    "No Zarr data type found",
    "Unknown codec",
    "codec not available",
    "An implementation for codec",
    "Unknown chunk",
    "Rectilinear chunk grids",
    "storage transformers",
    "disallowed extra fields",
    "Invalid zarr_format",
)


@dataclass(frozen=True, slots=True)
class Store:
    """A file or folder that holds an AnnData.

    Parameters
    ----------
    path
        Absolute path.
    kind
        ``hdf5``, ``zarr`` (a folder, format 2 or 3) or ``zip`` (the same in one file).
    folder
        Where in a zip archive the zarr group is; empty for its root.
    """

    path: str
    kind: Literal["hdf5", "zarr", "zip"]
    folder: str = ""

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Open the root group for reading; h5py.File or zarr.Group."""
        if self.kind == "hdf5":
            with hdf5.open_file(self.path) as root:
                yield root
            return
        if self.kind == "zarr":
            yield open_group(self.path)
            return
        from zarr.storage import ZipStore

        archive = ZipStore(self.path, mode="r", read_only=True)
        try:
            yield open_group(archive, self.folder)
        finally:
            archive.close()

    @contextmanager
    def reading(self, key: str) -> Iterator[Any]:
        """Open the element `key`; damage found while it is open is a ReadError that names it."""
        try:
            with self.open() as root:
                yield need(root, key)
        except UnicodeDecodeError as error:
            raise not_utf8(error, f"{self.path}, {key}") from error
        except DAMAGE as error:
            where = f"{self.path}, {key}"
            refuse_fault(error, where)
            what, fix = said(error)
            raise ReadError(what, where=where, fix=fix) from error


def said(error: Exception, deed: str = "read") -> tuple[str, str]:
    """What a library says of bytes that it cannot read, and what to do about it."""
    what = " ".join(str(error).split())
    if any(piece in what for piece in _UNKNOWN):
        return f"needs a newer zarr than the installed {version('zarr')} ({what})", NEWER_ZARR
    if isinstance(error, FileNotFoundError) and error.errno is not None:
        return f"cannot be {deed} ({error.strerror})", "put back what was there before"
    return f"cannot be {deed} ({what})", COPY_AGAIN


def locate(path: str | Path) -> Store:
    """Find out what kind of store `path` is, from its bytes more than from its name.

    Raises
    ------
    InputError
        When it is missing or of no known kind.
    """
    given = Path(path)
    where, full = str(path), given.absolute()
    try:
        mode = full.stat().st_mode
    except FileNotFoundError as error:
        raise nothing_there(where, full) from error
    except (OSError, ValueError) as error:
        raise _unreadable(where, error) from error
    if stat.S_ISDIR(mode):
        if any((full / name).exists() for name in MARKS):
            return Store(str(full), "zarr")
        raise no_store(where, full)
    if not stat.S_ISREG(mode):
        raise InputError("is neither a file nor a folder", where=where, fix=EXPECTED)
    try:
        return _store_of_file(where, full)
    except OSError as error:
        raise _unreadable(where, error) from error


def _store_of_file(where: str, full: Path) -> Store:
    with full.open("rb") as file:
        head = file.read(4)
    if head == b"PK\x03\x04" and zipfile.is_zipfile(full):  # a user block may begin like one
        return Store(str(full), "zip", folder_in_archive(where, full))
    if is_hdf5(full):
        return Store(str(full), "hdf5")
    if head == b"PK\x03\x04":  # cut short
        return Store(str(full), "zip")
    raise neither(where, full)


def _unreadable(where: str, error: Exception) -> InputError:
    if not isinstance(error, PermissionError):
        refuse_fault(error, where)
    what = getattr(error, "strerror", None) or str(error)
    return InputError(f"cannot be opened ({what})", where=where, fix="check it and its permissions")


@dataclass(frozen=True, slots=True)
class FileArray:
    """An array of a store; looks like an array to dask, reads nothing until it is indexed.

    Parameters
    ----------
    store, key
        Where it is.
    shape, dtype, chunks
        As on disk; `chunks` is None for contiguous HDF5.
    field
        Column of a compound HDF5 dataset, as old AnnData files have them.
    """

    store: Store
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None = None

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
        place = f"{self.store.path}, {self.key}"
        with self.store.reading(self.key) as element:
            try:
                if self.store.kind == "hdf5":
                    return hdf5.read(element, index)
                return np.asarray(element[index])
            except UnicodeDecodeError:
                raise  # the bytes are there: it is their meaning that is not known
            except DAMAGE as error:
                refuse_fault(error, place, of_memory=self._memory_is_short(rows))
                chunk = self._damaged(element, rows) if isinstance(rows, slice) else ""
                what, fix = said(error)
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
                element[start : start + step]
            except DAMAGE:
                noun = "items" if self.ndim == 1 else "rows"
                return f", chunk {start // step} ({noun} {start} to {start + step - 1})"
        return ""
