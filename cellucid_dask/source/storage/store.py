"""Elements of an AnnData file, opened by path wherever they are read.

A `Store` and a `FileArray` are a few strings and integers: they travel to a worker, and only a
read opens the file.
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cellucid_dask.errors import InputError, ReadError, refuse_fault
from cellucid_dask.source.storage import hdf5
from cellucid_dask.source.storage.damage import DAMAGE, describe_damage
from cellucid_dask.source.storage.elements import open_group, require_element
from cellucid_dask.source.storage.file_kinds import (
    EXPECTED,
    MARKS,
    folder_in_archive,
    is_hdf5,
    missing_path_error,
    not_a_store_error,
    unknown_file_error,
)
from cellucid_dask.source.storage.utf8 import not_utf8_error


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
            with suppress(AttributeError):  # of one that zarr could not open
                archive.close()

    @contextmanager
    def open_element(self, key: str) -> Iterator[Any]:
        """Open the element `key`; damage found while it is open is a ReadError that names it."""
        try:
            with self.open() as root:
                yield require_element(root, key)
        except UnicodeDecodeError as error:
            raise not_utf8_error(error, f"{self.path}, {key}") from error
        except DAMAGE as error:
            where = f"{self.path}, {key}"
            refuse_fault(error, where)
            what, fix = describe_damage(error)
            raise ReadError(what, where=where, fix=fix) from error


def locate_store(path: str | Path) -> Store:
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
        raise missing_path_error(where, full) from error
    except (OSError, ValueError) as error:
        raise _unreadable(where, error) from error
    if stat.S_ISDIR(mode):
        if any((full / name).exists() for name in MARKS):
            return Store(str(full), "zarr")
        raise not_a_store_error(where, full)
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
    raise unknown_file_error(where, full)


def _unreadable(where: str, error: Exception) -> InputError:
    if not isinstance(error, PermissionError):
        refuse_fault(error, where)
    what = getattr(error, "strerror", None) or str(error)
    return InputError(f"cannot be opened ({what})", where=where, fix="check it and its permissions")
