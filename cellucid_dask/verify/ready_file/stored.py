"""What all containers of a ready file have in common: groups and arrays, as they are stored."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from cellucid_dask.verify.export_folder.arrays import Array
from cellucid_dask.verify.export_folder.files import DamagedError

Container = Literal["zarr2", "zarr3", "h5ad"]
TEXT: Final = "text"  # in place of a dtype
UNREADABLE: Final = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, RuntimeError, AttributeError),
    *(EOFError, MemoryError, SystemError, struct.error, zlib.error, zipfile.BadZipFile),
)


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A group.

    Parameters
    ----------
    path
        From the root, with slashes; empty for the root.
    attributes
        As plain Python values.
    """

    path: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array, and how it is stored.

    Parameters
    ----------
    path, attributes
        As of `StoredGroup`.
    dtype
        Little-endian numpy name such as ``<f4``; `TEXT` for strings; any other text for a type
        that no ready file has.
    chunks
        Shape of a chunk; None for an array of HDF5 without chunks.
    coding
        How the container stores its chunks, by the container's own names.
    shards
        Shape of a shard; None without shards.
    open_values
        Function that opens what reads a range of the values.
    """

    path: str
    attributes: Mapping[str, Any]
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...] | None
    coding: Mapping[str, Any]
    open_values: Callable[[], Any]
    shards: tuple[int, ...] | None = None

    def read(self, *region: slice) -> Array:
        """Read a region, by default everything; strings as Python objects.

        Raises
        ------
        DamagedError
            When it cannot be read.
        """
        with errors_as_damage(self.path):
            values = np.asarray(self.open_values()[region or ...])
            return values.astype(object) if self.dtype == TEXT else values
        raise AssertionError

    def read_blocks(self, rows: int) -> Iterator[tuple[int, Array]]:
        """Yield first row and values of every block of at most `rows` rows."""
        for start in range(0, self.shape[0], rows):
            yield start, self.read(slice(start, min(start + rows, self.shape[0])))


Node = StoredGroup | StoredArray


@dataclass(slots=True)
class StoredTree:
    """All groups and arrays of a file.

    Parameters
    ----------
    nodes
        By path; the root's is empty.
    problems
        What is wrong with the container itself.
    missing
        Lines about chunks that are not stored, and so read as the fill value.
    """

    container: Container
    nodes: dict[str, Node] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def names(self, path: str) -> list[str]:
        """Return the names of what lies directly in a group."""
        prefix = f"{path}/" if path else ""
        inner = (key[len(prefix) :] for key in self.nodes if key.startswith(prefix) and key)
        return [name for name in inner if "/" not in name]


@contextmanager
def errors_as_damage(path: str) -> Iterator[None]:
    """Raise what a library says of unreadable bytes as damage to what is at `path`."""
    try:
        yield
    except UNREADABLE as error:
        raise DamagedError(f"{path}: cannot be read ({describe(error)})") from error


def describe(error: BaseException) -> str:
    """One line that says what an error says."""
    return " ".join(str(error).split()) or type(error).__name__


def plain(value: Any) -> Any:
    """Return a value of an attribute as plain Python: numbers, text, lists."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
