"""Writes embeddings as points, and vector fields in the units of the points."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.encode import Box, packed
from cellucid_dask.files import Receipt, bytes_of, name_path_in_errors, write_all, write_file
from cellucid_dask.format import Resource
from cellucid_dask.source.arrays.row_array import RowArray
from cellucid_dask.source.storage.file_array import ROWS_PER_READ

STEP = ROWS_PER_READ  # one block at a time


def write_points(
    folder: str, resource: Resource, array: RowArray, box: Box, level: int, raw: str | None
) -> Receipt:
    """Write the points of one embedding.

    Parameters
    ----------
    resource
        The file.
    array
        (n_cells, d) coordinates.
    raw
        File that also gets them uncompressed, for the centroids; None for none.
    """

    def blocks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, array.shape[0], STEP):
            yield box.normalize(array.rows(start, start + STEP))

    if raw is None:
        return write_file(folder, resource, packed(blocks(), level))
    with (
        name_path_in_errors(raw),
        open(raw, "wb", buffering=0) as file,  # noqa: PTH123
    ):  # anew, also where a lost worker began it

        def kept() -> Iterator[NDArray[np.float32]]:
            for points in blocks():
                with name_path_in_errors(raw):  # before it is taken for an error of the other file
                    write_all(file, bytes_of(points))
                yield points

        return write_file(folder, resource, packed(kept(), level))


def write_vectors(folder: str, array: RowArray, field: str, box: Box, level: int) -> Receipt:
    """Write one vector field in the units of the points: scaled, not centred."""
    resource = Resource("vectors", field, array.shape[1], gz=level > 0)
    blocks = (
        array.rows(start, start + STEP).astype(np.float32) * box.scale
        for start in range(0, array.shape[0], STEP)
    )
    return write_file(folder, resource, packed(blocks, level))
