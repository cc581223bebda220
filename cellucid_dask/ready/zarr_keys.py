"""Keys of chunks in a zarr store, relative to its root."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from cellucid_dask.ready.facts import ZarrFormat
from cellucid_dask.ready.nodes import ArrayNode


def chunk_key(node: ArrayNode, chunk: int, zarr_format: ZarrFormat) -> str:
    """Key of a chunk: ``X/data/3`` in version 2, ``X/data/c/3`` in version 3."""
    return _key(node.path, node.position(chunk), zarr_format)


def chunk_keys(
    array: str, grid: Sequence[int], chunks: Sequence[int], zarr_format: ZarrFormat
) -> list[str]:
    """Keys of many chunks of the array at `array`, which has `grid` chunks along each axis.

    Raises
    ------
    ValueError
        When a chunk is not in the grid.
    """
    if not grid:
        return [_key(array, (), zarr_format)] * len(chunks)
    positions = np.array(np.unravel_index(np.asarray(chunks, np.int64), tuple(grid))).T.tolist()
    return [_key(array, position, zarr_format) for position in positions]


def _key(array: str, position: Iterable[int], zarr_format: ZarrFormat) -> str:
    place = [str(i) for i in position]
    if zarr_format == 2:
        return f"{array}/{'.'.join(place) or '0'}"
    return "/".join([array, "c", *place])
