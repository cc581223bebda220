"""How many cells the obs stages read at a time, and how much memory their tasks need.

The number of cells depends on the width of the spaces and the number of categories, never on the
memory or the workers: the order in which coordinates are added decides the last bits of a sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.source.storage.file_array import ROWS_PER_READ

PIECE_BYTES: Final = 32 << 20  # of the coordinates of a piece, in the forms it is held in
LARGE_PIECE_BYTES: Final = 128 << 20
SUMMED_BYTES: Final = 14  # of a coordinate: as float64, as float32, and whether it is finite
MEASURED_BYTES: Final = 8  # of a coordinate as float32, twice
CELL_BYTES: Final = 48  # of a cell: its codes, their places, its distances
CACHED_CELLS: Final = 1 << 12  # of a step of arithmetic on float32, which stay in the caches
CACHED_BYTES: Final = 4 << 20
STEP_BYTES: Final = 6 << 20  # of a step of arithmetic, and of what else a task needs
RANK_BYTES: Final = 44  # of a cell while one column is ranked: keys, their order, distances
VALUE_BYTES: Final = 12  # of a cell while a continuous column is encoded
LEFT_OUT_BYTES: Final = 16  # of a stored cell while those that are left out go from a column


@dataclass(frozen=True, slots=True)
class ObsMemory:
    """What tasks of the obs stages take.

    Parameters
    ----------
    column_bytes
        Largest task that works on a whole column, or on the points of an embedding.
    piece_bytes
        A block of the latent space and a piece of cells, while coordinates are summed.
    sums
        Bytes of the sums by category of each categorical column, in all spaces.
    """

    column_bytes: int
    piece_bytes: int = 0
    sums: tuple[int, ...] = ()

    @classmethod
    def of(cls, catalog: Catalog) -> ObsMemory:
        """Plan for the columns and spaces of `catalog`."""
        n_cells, blocks = catalog.n_cells, catalog.blocks
        shown = max((b.n_bytes for key, b in blocks.items() if key != catalog.latent), default=0)
        if catalog.source.selection is not None:
            read = catalog.source.selection.n_stored * LEFT_OUT_BYTES + n_cells * VALUE_BYTES
            shown = max(shown, read)
        if not catalog.categorical:
            return cls(max(n_cells * VALUE_BYTES, shown) + STEP_BYTES)
        latent = blocks.get(catalog.latent)
        width = (latent.width if latent else 0) + sum(catalog.boxes) + 1
        counts = [len(column.categories) for column in catalog.categorical]
        sums = tuple(8 * width * n for n in counts)
        cells = min(summed_cells(width, max(counts)), max(n_cells, 1))
        piece = cells * (SUMMED_BYTES * width + CELL_BYTES) + max(counts) * CELL_BYTES
        piece += (latent.n_bytes if latent else 0) + STEP_BYTES
        column = max(n_cells * RANK_BYTES + max(sums), shown) + STEP_BYTES
        return cls(column, piece, sums)

    @property
    def reduction_bytes(self) -> int:
        """Least memory of summing coordinates by category, one column at a time.

        Sums are held twice, of all cells and of a block of them; those of one column twice more,
        while a piece is added to them.
        """
        return self.piece_bytes + 4 * max(self.sums, default=0)

    @property
    def least(self) -> int:
        """Least memory with which every task can run."""
        return max(self.column_bytes, self.reduction_bytes)

    def group_bytes(self, worker_bytes: int) -> int:
        """Bytes of the sums of columns that are reduced together; of one column at least."""
        widest = max(self.sums, default=0)
        room = (worker_bytes - self.piece_bytes - 2 * widest) // 2
        return max(widest, min(worker_bytes // 4, room))


def size_of_sums(catalog: Catalog) -> str:
    """Say what makes the sums by category large."""
    width = catalog.blocks[catalog.latent].width
    column = max(catalog.categorical, key=lambda column: len(column.categories))
    n = len(column.categories)
    return f"obsm/{catalog.latent} has {width:,} columns, obs[{column.key!r}] {n:,} categories"


def summed_cells(width: int, n_categories: int) -> int:
    """Cells that are summed at a time, each with `width` coordinates.

    Each time takes a walk through the sums of all categories: of many, more cells share one.
    """
    each = SUMMED_BYTES * width + CELL_BYTES
    cells = max(PIECE_BYTES // each, min(16 * n_categories, LARGE_PIECE_BYTES // each))
    return max(1, min(cells, ROWS_PER_READ))


def measured_cells(width: int) -> int:
    """Cells that are measured at a time."""
    return max(1, min(PIECE_BYTES // (MEASURED_BYTES * width + CELL_BYTES), ROWS_PER_READ))


def cached_cells(width: int) -> int:
    """Cells of a step of arithmetic."""
    return max(1, min(CACHED_CELLS, CACHED_BYTES // (4 * max(width, 1))))
