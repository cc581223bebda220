"""Which bytes of a zarr folder are read: a chunk within a shard is a range of its file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from zarr.abc.store import ByteRequest, RangeByteRequest, SuffixByteRequest

Ranges: TypeAlias = dict[str, list[ByteRequest | None]]  # by key; None is the whole file


def count_reads(file: Path, ranges: list[ByteRequest | None]) -> list[int]:
    """How often each byte of a chunk or of a shard was read; of a shard without its index."""
    counts = np.zeros(file.stat().st_size, int)
    stop = counts.size
    for one in ranges:
        if one is None:
            counts += 1
        elif isinstance(one, SuffixByteRequest):
            stop = counts.size - one.suffix  # where the chunks end and their index begins
        else:
            assert isinstance(one, RangeByteRequest)
            counts[one.start : one.end] += 1
    return [int(n) for n in counts[:stop]]
