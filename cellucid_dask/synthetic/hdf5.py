"""Parts of an .h5ad file, as anndata reads them back, written a chunk at a time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from cellucid_dask.synthetic.draw import CELLS, Rows

HDF5_CHUNK: Final = 1 << 18  # elements


class _PatientFile(io.FileIO):
    """A file that keeps the first error of a write, and lets HDF5 take it for done.

    HDF5 ends the process when it closes a dataset on a full disk, or prints a traceback.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`."""
        left = memoryview(data).cast("B")
        total = len(left)
        try:
            while left:
                left = left[super().write(left) or 0 :]
        except OSError as error:
            self.error = self.error or error
        return total


@contextmanager
def create_file(path: Path) -> Iterator[h5py.File]:
    """Create an HDF5 file.

    Raises
    ------
    OSError
        At the end, when it could not be written.
    """
    with _PatientFile(path, "w+") as raw:
        try:
            with h5py.File(raw, "w", rdcc_nbytes=1 << 23) as file:
                yield file
        finally:
            if raw.error is not None:
                raise raw.error


def tag(item: Any, kind: str, version: str, **attrs: Any) -> Any:
    """Say what an HDF5 item is, the way anndata reads it back."""
    item.attrs.update({"encoding-type": kind, "encoding-version": version, **attrs})
    return item


def write_array(group: h5py.Group, name: str, values: Any, **storage: Any) -> None:
    """Write numbers."""
    tag(group.create_dataset(name, data=values, **storage), "array", "0.2.0")


def write_strings(
    group: h5py.Group, name: str, count: int, string_of: Callable[[int], str]
) -> None:
    """Write ``string_of(i)`` of each of ``range(count)``, a chunk at a time."""
    strings = group.create_dataset(name, count, h5py.string_dtype())
    for start in range(0, count, CELLS):
        stop = min(start + CELLS, count)
        strings[start:stop] = np.array([string_of(i) for i in range(start, stop)], object)
    tag(strings, "string-array", "0.2.0")


def write_categorical(
    frame: h5py.Group,
    name: str,
    codes: NDArray[np.signedinteger[Any]],
    count: int,
    name_of: Callable[[int], str],
) -> None:
    """Write a column of ``count`` categories; code -1 is a missing value."""
    group = tag(frame.create_group(name), "categorical", "0.2.0", ordered=False)
    write_array(group, "codes", codes)
    write_strings(group, "categories", count, name_of)


def tag_frame(frame: h5py.Group, columns: Sequence[str]) -> None:
    """Say that a group with ``_index`` and these columns is a table."""
    order = np.array(columns, h5py.string_dtype())
    tag(frame, "dataframe", "0.2.0", **{"_index": "_index", "column-order": order})


def write_sparse(
    parent: h5py.Group,
    name: str,
    shape: tuple[int, int],
    blocks: Iterable[Rows],
    kind: str = "csr_matrix",
    **storage: Any,
) -> None:
    """Append blocks of rows (columns if `kind` is ``csc_matrix``) as they are made."""
    group = tag(parent.create_group(name), kind, "0.1.0", shape=shape)
    storage |= {"shape": (0,), "maxshape": (None,), "chunks": HDF5_CHUNK}
    indices = group.create_dataset("indices", dtype="i4", **storage)
    values = group.create_dataset("data", dtype="f4", **storage)
    lengths = []
    for block in blocks:
        start, stop = len(indices), len(indices) + len(block.indices)
        for target, part in ((indices, block.indices), (values, block.values)):
            target.resize(stop, axis=0)
            target[start:stop] = part
        lengths.append(block.lengths)
    indptr = np.concatenate(([0], np.cumsum(np.concatenate(lengths), dtype=np.int64)))
    group["indptr"] = indptr.astype(np.int32 if indptr[-1] < 2**31 else np.int64)
