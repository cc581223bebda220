"""The names of the chunks of a zarr array, and the position in the grid that each name means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class ChunkKeys:
    """Chunk names below the folder of one array.

    Parameters
    ----------
    grid
        Number of chunks along each axis.
    prefix
        ``c`` for the default encoding of zarr v3; empty for zarr v2 and the v2 encoding of v3.
    separator
        ``/`` or ``.``.
    """

    grid: tuple[int, ...]
    prefix: str
    separator: str

    @classmethod
    def of(cls, metadata: Mapping[str, Any], grid: tuple[int, ...]) -> Self:
        """Read the encoding from the metadata of an array, of zarr v2 or v3.

        Raises
        ------
        ValueError
            When the encoding is none of those that zarr defines.
        """
        if metadata["zarr_format"] == 2:
            return cls(grid, "", metadata.get("dimension_separator") or ".")
        encoding = metadata["chunk_key_encoding"]
        name = encoding["name"]
        if name not in ("default", "v2"):
            raise ValueError(f"chunk key encoding {name!r}")
        usual = "/" if name == "default" else "."
        separator = encoding.get("configuration", {}).get("separator", usual)
        return cls(grid, "c" if name == "default" else "", separator)

    @property
    def depth(self) -> int:
        """Folder levels from the folder of the array to a chunk; 1 when the chunk lies in it."""
        parts = len(self.grid) + bool(self.prefix) if self.separator == "/" else 1
        return max(1, parts)

    def name(self, position: int) -> str:
        """Name of the chunk at `position`, counted in C order through the grid."""
        numbers: list[str] = []
        for length in reversed(self.grid):
            position, number = divmod(position, length)
            numbers.append(str(number))
        parts = [self.prefix] * bool(self.prefix) + numbers[::-1]
        return self.separator.join(parts or ["0"])

    def position(self, name: str) -> int:
        """Position of the chunk that `name` means, in C order; -1 when it means none."""
        parts = name.split(self.separator)
        if self.prefix and parts.pop(0) != self.prefix:
            return -1
        if not self.grid:
            return 0 if parts == ([] if self.prefix else ["0"]) else -1
        if len(parts) != len(self.grid):
            return -1
        position = 0
        for part, length in zip(parts, self.grid, strict=True):
            if not (part.isascii() and part.isdigit()) or (part[0] == "0" and part != "0"):
                return -1
            number = int(part)
            if number >= length:
                return -1
            position = position * length + number
        return position

    @property
    def total(self) -> int:
        """Number of chunks in the grid; 1 for a scalar."""
        return prod(self.grid)
