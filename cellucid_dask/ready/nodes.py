"""Groups and arrays of a ready file, described without their values.

A node says what any container needs: zarr metadata and HDF5 datasets are made from the same nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from cellucid_dask.ready.facts import TEXT


@dataclass(frozen=True, slots=True)
class GroupNode:
    """A group.

    Parameters
    ----------
    path
        From the root, with slashes; empty for the root.
    attributes
        As anndata writes them.
    """

    path: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ArrayNode:
    """An array, whose chunks are numbered along the last axis first.

    Parameters
    ----------
    path
        From the root, with slashes.
    shape
        Empty for a scalar.
    dtype
        Little-endian numpy name such as ``<f4`` or ``|b1``; `TEXT` for strings.
    chunks
        Shape of a chunk, 1 or more along each axis.
    attributes
        As anndata writes them.
    shuffle
        Whether the bytes of an item are shuffled before they are deflated.
    opening
        Whether the viewer reads it when it opens the file.
    fast
        Whether its chunks are made anew for each request, by a codec that takes little time. Only
        version 2 of zarr has it, and not for strings; files never do.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    shuffle: bool = False
    opening: bool = False
    fast: bool = False

    @property
    def is_text(self) -> bool:
        """Whether it holds strings."""
        return self.dtype == TEXT

    @property
    def itemsize(self) -> int:
        """Bytes of an item; of strings 1, as they are not shuffled."""
        return 1 if self.is_text else np.dtype(self.dtype).itemsize

    @property
    def is_shuffled(self) -> bool:
        """Whether shuffling its bytes changes their order."""
        return self.shuffle and self.itemsize > 1

    @property
    def grid(self) -> tuple[int, ...]:
        """Chunks along each axis; none along an axis of length 0."""
        return tuple(-(-n // size) for n, size in zip(self.shape, self.chunks, strict=True))

    @property
    def n_chunks(self) -> int:
        """Number of chunks; 1 of a scalar."""
        return prod(self.grid)

    def position(self, chunk: int) -> tuple[int, ...]:
        """Place of a chunk in the grid."""
        return tuple(int(i) for i in np.unravel_index(chunk, self.grid)) if self.shape else ()

    def region(self, chunk: int) -> tuple[slice, ...]:
        """Part of the array that a chunk covers; at the edges smaller than `chunks`."""
        return tuple(
            slice(i * size, min((i + 1) * size, n))
            for i, size, n in zip(self.position(chunk), self.chunks, self.shape, strict=True)
        )


Node = GroupNode | ArrayNode
