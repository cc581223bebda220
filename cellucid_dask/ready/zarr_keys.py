"""Keys of chunks in a zarr store, relative to its root."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from cellucid_dask.ready.facts import ZarrFormat
from cellucid_dask.ready.nodes import ArrayNode

_POSITION: Final = re.compile(r"(?:0|[1-9][0-9]{0,17})(?:\.(?:0|[1-9][0-9]{0,17}))*", re.ASCII)


def parse_chunk_name(node: ArrayNode, name: str) -> int | None:
    """Number of a chunk whose key in version 2 ends in `name`; None when the array has no such.

    Inverse of `chunk_key`: other spellings of a number are none.
    """
    if not _POSITION.fullmatch(name):
        return None
    place = tuple(map(int, name.split(".")))
    if not node.shape:
        return 0 if place == (0,) else None
    if len(place) != len(node.grid):
        return None
    if any(i >= n for i, n in zip(place, node.grid, strict=True)):
        return None
    return int(np.ravel_multi_index(place, node.grid))


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
