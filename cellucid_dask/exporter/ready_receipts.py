"""Receipts of ready files: chunks that were stored, and pieces of chunks that are still open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

# The number of a chunk (or the first element of a piece), where it begins in its pack (0 in a file
# of its own), its bytes and their crc32.
CHUNK_RECEIPT: Final = np.dtype(
    [("chunk", np.int64), ("offset", np.int64), ("size", np.int64), ("crc32", np.uint32)]
)
ChunkReceipts: TypeAlias = NDArray[np.void]  # (n,) of `CHUNK_RECEIPT`


@dataclass(frozen=True, slots=True, eq=False)
class StoredChunks:
    """Chunks of one array that are stored for one target.

    Parameters
    ----------
    target
        Format of the ready file they are for; empty for pieces.
    array
        Path of the array.
    pack
        Spill file that has them one after the other; empty where each is a file of the target.
    chunks
        (n,) of `CHUNK_RECEIPT`.
    grid, zarr_format
        Chunks of the array along each axis, and version of the store, from which the keys of
        files follow; empty and 0 in packs.
    """

    target: str
    array: str
    pack: str
    chunks: ChunkReceipts
    grid: tuple[int, ...] = ()
    zarr_format: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for the journal."""
        columns = {name: self.chunks[name].tolist() for name in CHUNK_RECEIPT.names or ()}
        keys = {"grid": list(self.grid), "zarr_format": self.zarr_format}
        return {"target": self.target, "array": self.array, "pack": self.pack, **keys, **columns}

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """Inverse of `as_dict`; raises LookupError, TypeError, ValueError or OverflowError."""
        chunks = np.zeros(len(found["chunk"]), CHUNK_RECEIPT)
        for name, (dtype, *_) in (CHUNK_RECEIPT.fields or {}).items():
            column = np.array(found[name], dtype)
            if column.shape != chunks.shape:
                raise ValueError(f"{name} has shape {column.shape}, chunk has {chunks.shape}")
            chunks[name] = column
        grid, zarr_format = tuple(map(int, found["grid"])), int(found["zarr_format"])
        target, array, pack = (str(found[name]) for name in ("target", "array", "pack"))
        return cls(target, array, pack, chunks, grid, zarr_format)


@dataclass(frozen=True, slots=True, eq=False)
class ReadyWork:
    """What one task of a ready file has done: the unit that a run resumes by.

    Parameters
    ----------
    key
        Tells it from all other work of the run, such as ``obs/leiden`` or ``X/0-120``; the same
        in every run of the same provenance.
    chunks
        Complete chunks, of all targets.
    pieces
        Beginnings and ends of chunks, which other work completes, as raw arrays in packs.
    facts
        What later stages must know, as plain data.
    """

    key: str
    chunks: tuple[StoredChunks, ...]
    pieces: tuple[StoredChunks, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for the journal."""
        chunks, pieces = (
            [stored.as_dict() for stored in group] for group in (self.chunks, self.pieces)
        )
        return {"key": self.key, "chunks": chunks, "pieces": pieces, "facts": dict(self.facts)}

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """Inverse of `as_dict`; raises as `StoredChunks.of`."""
        chunks, pieces = (
            tuple(StoredChunks.of(stored) for stored in found[name])
            for name in ("chunks", "pieces")
        )
        return cls(str(found["key"]), chunks, pieces, dict(found["facts"]))
