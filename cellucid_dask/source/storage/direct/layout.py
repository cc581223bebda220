"""How an array of one axis is stored, where that is a way that can be read here."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from cellucid_dask.source.storage.direct.codecs import Coding
from cellucid_dask.source.storage.direct.stored import ChunkTable

CHUNKS = 1 << 21  # of an array whose chunks are kept in a table


@dataclass(frozen=True, slots=True)
class Layout:
    """How an array of one axis is stored.

    Parameters
    ----------
    size
        Values of the array.
    dtype
        Their type, in the byte order of the machine.
    chunk
        Values of a chunk; also of the last one, which is stored whole.
    coding
        Of each chunk.
    table
        Where the chunks are.
    """

    size: int
    dtype: np.dtype[Any]
    chunk: int
    coding: Coding
    table: ChunkTable


def holds_numbers(dtype: np.dtype[Any]) -> bool:
    """Whether values are stored as they lie in memory."""
    return dtype.kind in "biuf" and dtype.isnative and sys.byteorder == "little"
