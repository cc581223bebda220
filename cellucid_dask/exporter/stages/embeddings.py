"""Writes embeddings as points, and vector fields in the units of the points."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.encode import Box, packed
from cellucid_dask.files import Receipt, bytes_of, name_path_in_errors, write_file
from cellucid_dask.format import Resource
from cellucid_dask.source.arrays.dense_matrix import compute_block
from cellucid_dask.source.storage.file_array import ROWS_PER_READ

if TYPE_CHECKING:
    import dask.array as da

STEP = ROWS_PER_READ  # one block at a time


def rows_of(array: da.Array, start: int, stop: int) -> NDArray[Any]:
    """Read rows `start` to `stop` in this thread."""
    rows: NDArray[Any] = np.asarray(compute_block(array[start:stop], "obsm"))
    return rows


def write_points(folder: str, array: da.Array, box: Box, level: int, raw: str | None) -> Receipt:
    """Write the points of one embedding.

    Parameters
    ----------
    array
        (n_cells, d) coordinates.
    raw
        File that also gets them uncompressed, for the centroids; None for none.
    """
    resource = Resource("points", dim=array.shape[1], gz=level > 0)

    def blocks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, array.shape[0], STEP):
            yield box.normalize(rows_of(array, start, start + STEP))

    if raw is None:
        return write_file(folder, resource, packed(blocks(), level))
    with (
        name_path_in_errors(raw),
        Path(raw).open("wb") as file,
    ):  # anew, also where a lost worker began it

        def kept() -> Iterator[NDArray[np.float32]]:
            for points in blocks():
                file.write(bytes_of(points))
                yield points

        return write_file(folder, resource, packed(kept(), level))


def write_vectors(folder: str, array: da.Array, field: str, box: Box, level: int) -> Receipt:
    """Write one vector field in the units of the points: scaled, not centred."""
    resource = Resource("vectors", field, array.shape[1], gz=level > 0)
    blocks = (
        rows_of(array, start, start + STEP).astype(np.float32) * box.scale
        for start in range(0, array.shape[0], STEP)
    )
    return write_file(folder, resource, packed(blocks, level))
