"""Ids of the cells of live data, a block at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cellucid_dask.exporter.checks.cell_ids import read_ids
from cellucid_dask.format import IDS_PER_BLOCK, ids_block
from cellucid_dask.source.arrays.typed_column import TypedColumn

LARGEST_PIECE: Final = 1 << 17  # ids that are read at a time
PIECES: Final = 2  # that are held in memory


class CellIdBlocks:
    """Blocks of ids.

    A chunk of a file is decoded as a whole, so the ids of all of it are held: who asks for a block
    mostly asks for the next one, too.
    """

    def __init__(self, ids: TypedColumn) -> None:
        self._ids = ids
        chunks = getattr(ids.array, "chunks", None)
        chunk = int(chunks[0]) if chunks else 1
        self._step = min(max(1, chunk // IDS_PER_BLOCK) * IDS_PER_BLOCK, LARGEST_PIECE)
        self._read_piece = lru_cache(PIECES)(self._read_ids)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return -(-self._ids.length // IDS_PER_BLOCK)

    def read(self, number: int) -> str:
        """JSON text of a block.

        Raises
        ------
        CellucidDaskError
            When the ids cannot be read.
        """
        start = number * IDS_PER_BLOCK
        first = start % self._step
        return ids_block(self._read_piece(start - first)[first : first + IDS_PER_BLOCK])

    def _read_ids(self, start: int) -> list[str]:
        return read_ids(self._ids, start, min(start + self._step, self._ids.length))
