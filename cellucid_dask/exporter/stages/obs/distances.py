"""The distance of every cell to the mean of its category, in a second pass over the spaces."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.encode import Float32
from cellucid_dask.exporter.planning.obs_memory import cached_cells, measured_cells
from cellucid_dask.exporter.stages.obs.columns import CodedColumn
from cellucid_dask.exporter.stages.obs.spaces import Space, SpaceReader, total_width
from cellucid_dask.files import bytes_of, name_path_in_errors, write_all


def distance_path(scratch: str, column: int, space: str) -> str:
    """Scratch file of the distances of column number `column` in `space`."""
    return str(Path(scratch, f"distance-{column}-{space}.f32"))


def measure_distances(
    columns: Sequence[tuple[int, CodedColumn]],
    spaces: Sequence[Space],
    span: tuple[int, int],
    means: str,
    scratch: str,
) -> None:
    """Write the float32 distance of each cell of `span` to the mean of its category.

    NaN where a cell has no category. Files are of all cells, each span writes its own part.
    """
    width = total_width(spaces) + 1
    table = np.fromfile(means).reshape(-1, width)[:, :-1].astype(np.float32)
    with ExitStack() as stack:
        files = {
            (i, space.name): stack.enter_context(
                open_at(distance_path(scratch, i, space.name), 4 * span[0])
            )
            for i, _ in columns
            for space in spaces
        }
        step = min(measured_cells(width), span[1] - span[0])
        buffer, reader = np.empty((step, width - 1), np.float32), SpaceReader(spaces)
        for start in range(*span, step):
            stop = min(start + step, span[1])
            rows, base = reader.fill(buffer[: stop - start], start, stop), 0
            for i, column in columns:
                centers = table[base : base + column.n_categories]
                base += column.n_categories
                distances = _piece_distances(column, start, stop, rows, centers, spaces)
                for space, distance in zip(spaces, distances, strict=True):
                    file = files[i, space.name]
                    with name_path_in_errors(str(file.name)):
                        write_all(file, bytes_of(distance))


def _piece_distances(
    column: CodedColumn,
    start: int,
    stop: int,
    rows: NDArray[Any],
    centers: Float32,
    spaces: Sequence[Space],
) -> list[Float32]:
    """Distances in each space, in steps that stay in the caches."""
    codes, step = column.read(start, stop), cached_cells(rows.shape[1])
    out = [np.full(codes.size, np.nan, np.float32) for _ in spaces]
    if not column.n_categories:
        return out
    for first in range(0, codes.size, step):
        here = slice(first, min(first + step, codes.size))
        gap = np.take(centers, codes[here], axis=0, mode="clip")  # a missing code is the highest
        with np.errstate(over="ignore", invalid="ignore"):
            gap -= rows[here]
            done = 0
            for space, distance in zip(spaces, out, strict=True):
                part = gap[:, done : done + space.width]
                np.sqrt(np.einsum("ij,ij->i", part, part), out=distance[here])
                done += space.width
    for distance in out:
        distance[codes == column.code.missing] = np.nan
    return out


def open_at(path: str, offset: int) -> FileIO:
    """Open a file that other tasks write too, at a place of one's own."""

    def keep_content(name: str, _: int) -> int:
        return os.open(name, os.O_WRONLY | os.O_CREAT, 0o666)

    file = open(path, "wb", buffering=0, opener=keep_content)  # noqa: SIM115
    file.seek(offset)
    return file
