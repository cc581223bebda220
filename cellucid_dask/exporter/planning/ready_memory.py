"""Memory of the tasks of ready files that work on cells, estimated without reading a value."""

from __future__ import annotations

from math import prod
from typing import Final

from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.checks.ready.columns import n_categories
from cellucid_dask.ready.layout import rows_node
from cellucid_dask.source.arrays.row_blocks import RowBlocks

CHUNK_COPIES: Final = 4  # of a chunk in memory: its values, shuffled, and deflated
COLUMN_BYTES: Final = 16  # of a cell while a column that is no text is read
NAME_BYTES: Final = 65  # of a cell while names that repeat are made unique
LINE_BYTES: Final = 24  # of a cell of the graph: its number of neighbors, and where they begin
ENTRY_BYTES: Final = 160  # of an entry of the graph that is read
ENTRIES: Final = 1 << 19  # of the graph that are read at a time

# Of the units of outlier quantiles.
RANK_BYTES: Final = 30  # of a cell while a column is ranked: its place, distances, rank, quantile
HELD_BYTES: Final = 10  # of a cell and a column: its group and its distance
GROUP_BYTES: Final = 256 << 20  # held for the columns of a unit, if there is more than one
MOST_COLUMNS: Final = 16  # of a unit
STEP: Final = 1 << 15  # cells of a step of arithmetic, unless there are more categories
STEP_BYTES: Final = 40  # of a cell of a step


def cells_bytes(catalog: ReadyCatalog) -> int:
    """Memory of the largest task on cells."""
    parts = (table_bytes, obsm_bytes, graph_bytes, outlier_bytes)
    return max(part(catalog) for part in parts)


def table_bytes(catalog: ReadyCatalog) -> int:
    """Memory of the largest task on a column of obs, or on the names of cells."""
    return (NAME_BYTES if catalog.rename_cells else COLUMN_BYTES) * catalog.n_cells


def obsm_bytes(catalog: ReadyCatalog) -> int:
    """Memory of the largest task on an array: a block that is read, a chunk, and its bytes."""
    return max(
        (
            RowBlocks.of(array).n_bytes + CHUNK_COPIES * 4 * prod(rows_node("", array.shape).chunks)
            for array in catalog.obsm.values()
        ),
        default=0,
    )


def graph_bytes(catalog: ReadyCatalog) -> int:
    """Memory of the largest task on the graph, beside the room for sorting."""
    return LINE_BYTES * catalog.n_cells + ENTRY_BYTES * ENTRIES if catalog.graph is not None else 0


def columns_of_unit(n_cells: int) -> int:
    """Columns whose quantiles one task finds: they depend on the number of cells alone."""
    return max(1, min(GROUP_BYTES // (HELD_BYTES * max(n_cells, 1)), MOST_COLUMNS))


def outlier_bytes(catalog: ReadyCatalog) -> int:
    """Memory of the largest task on outlier quantiles.

    Groups and distances of all its columns; and what one of them takes while its cells are ranked,
    or a block of the latent space with the sums and means of all categories.
    """
    if not catalog.outliers:
        return 0
    blocks, each = RowBlocks.of(catalog.obsm[catalog.latent]), columns_of_unit(catalog.n_cells)
    columns = [catalog.obs[number] for number in catalog.outliers]
    counts = sorted(n_categories(c) for c in columns if c.layout.kind != "text")[-each:]
    sums = 8 * blocks.width * sum(n + 1 for n in counts)
    measuring = blocks.n_bytes + sums + STEP_BYTES * max([STEP, *counts])
    held = HELD_BYTES * catalog.n_cells * max(1, min(each, len(columns)))
    return held + max(RANK_BYTES * catalog.n_cells, measuring)
