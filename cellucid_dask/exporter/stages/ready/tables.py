"""The tables of a ready file: a task for each column of obs, for its row names, and for var."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog, ReadyColumn
from cellucid_dask.exporter.checks.ready.columns import category_codes
from cellucid_dask.exporter.checks.ready.row_names import find_repeats, read_names
from cellucid_dask.exporter.checks.ready.tables import INDEX
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, ChunkWriter
from cellucid_dask.exporter.stages.ready.units import Unit
from cellucid_dask.ready.facts import TEXT
from cellucid_dask.ready.layout import column_nodes, vector_node
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.source.arrays.typed_column import TypedColumn

NAME_CHUNKS: Final = 8  # of the names of cells that one task writes


def table_units(catalog: ReadyCatalog, stores: ChunkStores) -> list[Unit]:
    """Tasks that write obs and var."""
    units = [
        Unit(path, write_column, (stores, column), (path,))
        for column in catalog.obs
        for path in (f"obs/{column.layout.key}",)
    ]
    var = (stores, catalog.gene_names, catalog.var)
    return [*_name_units(catalog, stores), *units, Unit("var", write_genes, var, ("var",))]


def _name_units(catalog: ReadyCatalog, stores: ChunkStores) -> list[Unit]:
    """Tasks that write the names of cells: one where they are renamed, which takes all of them."""
    index: Any = catalog.source.obs.index
    names, path = index.typed(), f"obs/{INDEX}"
    if catalog.rename_cells:
        return [Unit(path, write_renamed, (stores, names), (path,))]
    n_chunks = vector_node(path, catalog.n_cells, TEXT).n_chunks
    if n_chunks <= NAME_CHUNKS:
        return [Unit(path, write_names, (stores, path, names, 0, n_chunks), (path,))]
    return [
        Unit(key, write_names, (stores, key, names, first, last), (path,), range(first, last))
        for first in range(0, n_chunks, NAME_CHUNKS)
        for last in (min(first + NAME_CHUNKS, n_chunks),)
        for key in (f"{path}/{first}-{last}",)
    ]


def write_names(
    stores: ChunkStores, key: str, names: TypedColumn, first: int, last: int
) -> ReadyWork:
    """Write chunks `first` to `last` of the names of cells, as they are."""
    node = vector_node(f"obs/{INDEX}", names.length, TEXT)
    with ChunkWriter(stores) as writer:
        for chunk in range(first, last):
            (rows,) = node.region(chunk)
            writer.write(node, chunk, read_names(names, rows.start, rows.stop))
        return writer.work(key)


def write_renamed(stores: ChunkStores, names: TypedColumn) -> ReadyWork:
    """Write the names of all cells, made unique."""
    path = f"obs/{INDEX}"
    repeats = find_repeats(names)

    def read(start: int, stop: int) -> Any:
        found = read_names(names, start, stop)
        return found if repeats is None else repeats.rename(start, found)

    with ChunkWriter(stores) as writer:
        _write(writer, vector_node(path, names.length, TEXT), read)
        return writer.work(path)


def write_column(stores: ChunkStores, column: ReadyColumn) -> ReadyWork:
    """Write a column of obs."""
    with ChunkWriter(stores) as writer:
        _write_column(writer, "obs", column)
        return writer.work(f"obs/{column.layout.key}")


def write_genes(stores: ChunkStores, names: list[str], columns: list[ReadyColumn]) -> ReadyWork:
    """Write all of var."""
    with ChunkWriter(stores) as writer:
        _write(writer, vector_node(f"var/{INDEX}", len(names), TEXT), lambda a, b: names[a:b])
        for column in columns:
            _write_column(writer, "var", column)
        return writer.work("var")


def _write_column(writer: ChunkWriter, table: str, column: ReadyColumn) -> None:
    layout, values = column.layout, column.column
    members: dict[str, Callable[[int, int], Any]] = {
        "codes": lambda start, stop: category_codes(column, start, stop),
        "categories": lambda start, stop: column.categories[start:stop],
        "values": values.read,
        "mask": values.read_missing,
    }
    path = f"{table}/{layout.key}"
    for node in column_nodes(path, values.length, layout, categories_open=False):
        if isinstance(node, ArrayNode):
            alone = node.path == path
            _write(writer, node, values.read if alone else members[node.path.rpartition("/")[2]])


def _write(writer: ChunkWriter, node: ArrayNode, read: Callable[[int, int], Any]) -> None:
    """Write all chunks of an array of one axis, one in memory at a time."""
    for chunk in range(node.n_chunks):
        (rows,) = node.region(chunk)
        writer.write(node, chunk, read(rows.start, rows.stop))
