"""X of virtual stores, put into folders that zarr reads, beside what an export writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import anndata
import numpy as np
import pandas as pd
import zarr

from cellucid_dask import export
from cellucid_dask.exporter.checks.ready.survey import survey_ready
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.layout import ReadyLayout
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.ready.zarr_documents import zarr_documents
from cellucid_dask.ready.zarr_keys import chunk_key
from cellucid_dask.server.datasets.gene_reader import gene_folder, open_gene_reader
from cellucid_dask.server.ready.expression import open_expression
from cellucid_dask.server.ready.virtual_store import VirtualExpression
from cellucid_dask.source.open import open_source

ROOM = 64 << 20


def with_points(matrix: Any, points: Any = None) -> anndata.AnnData:
    """An AnnData of `matrix` with what an export needs."""
    n, n_genes = matrix.shape
    if points is None:
        points = np.arange(2.0 * n, dtype="f4").reshape(n, 2)
    return anndata.AnnData(
        matrix,
        obs=pd.DataFrame({"x": np.zeros(n)}, index=[f"c{i}" for i in range(n)]),
        var=pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]),
        obsm={"X_umap_2d": points},
    )


@contextmanager
def opened(
    data: Any, folder: Path, *, index: bool = True, room: int = ROOM, **options: Any
) -> Iterator[VirtualExpression]:
    """X of the virtual store of `data`, a path or an AnnData, with its caches below `folder`."""
    chosen = ExportOptions(**options)
    catalog = survey_ready(open_source(data), chosen, "d")
    assert catalog.problems == []
    assert catalog.genes is not None
    source, genes = catalog.source, catalog.genes
    places = {"cache_dir": folder / "cache", "work_folder": folder / "work"}
    reader = open_gene_reader(source, genes.matrix, chosen, room, index=index, **places)
    kept = gene_folder(source, genes.matrix, chosen, **places) if index else None
    expression = open_expression(source, genes, reader=reader, room=room, folder=kept)
    try:
        yield expression
    finally:
        expression.stop()


def store_nodes(expression: VirtualExpression) -> dict[str, ArrayNode]:
    """Arrays of X as the store declares them."""
    x = expression.matrix_layout()
    layout = ReadyLayout(*x.shape, {}, x=x)
    return {path: node for path, node in layout.arrays().items() if path.split("/")[0] == "X"}


def save_store(expression: VirtualExpression, folder: Path) -> Path:
    """Write all that a client can ask of X into a folder, as it would be answered."""
    x = expression.matrix_layout()
    for key, document in zarr_documents(ReadyLayout(*x.shape, {}, x=x).nodes(), 2).items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(document)
    for path, node in store_nodes(expression).items():
        if path == "X/indptr":
            zarr.open_array(folder / path, mode="r+")[:] = expression.pointers()
            continue
        for number in range(node.n_chunks):
            key = folder / chunk_key(node, number, 2)
            key.write_bytes(expression.chunk(node, number))
    return folder


def export_x(data: Any, folder: Path, **options: Any) -> Path:
    """What an export of `data` to zarr writes."""
    return export(data, folder / "written.zarr", format="zarr", quiet=True, **options).outputs[
        "zarr"
    ]


def assert_same_x(store: Path, written: Path) -> None:
    """Every array of X has the same elements, bit for bit, in the same chunks."""
    found, expected = zarr.open_group(store, mode="r"), zarr.open_group(written, mode="r")
    for name in ("X",) if isinstance(expected["X"], zarr.Array) else _names(expected["X"]):
        one, other = found[name], expected[name]
        assert (one.shape, one.chunks, one.dtype) == (other.shape, other.chunks, other.dtype), name
        assert one[...].tobytes() == other[...].tobytes(), name
        assert dict(one.attrs) == dict(other.attrs)
    assert dict(found["X"].attrs) == dict(expected["X"].attrs)


def _names(group: Any) -> list[str]:
    assert sorted(group.array_keys()) == ["data", "indices", "indptr"]
    return [f"X/{name}" for name in group.array_keys()]


def check_x(data: Any, folder: Path, *, index: bool = True, **options: Any) -> None:
    """X of the virtual store of `data` is what an export writes."""
    written = export_x(data, folder / token_hex(4), **options)
    with opened(data, folder, index=index, **options) as expression:
        expression.start()
        assert_same_x(save_store(expression, folder / token_hex(4)), written)
