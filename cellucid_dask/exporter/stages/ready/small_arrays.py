"""The small arrays of a ready file: all of ``uns`` but quantiles, and the pointers of X."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, ChunkWriter
from cellucid_dask.ready.layout import ReadyLayout


def write_small_arrays(
    layout: ReadyLayout, pointers: NDArray[np.int64] | None, stores: ChunkStores
) -> ReadyWork:
    """Write what is known only when all else is.

    Parameters
    ----------
    pointers
        (n_genes + 1,) where each gene begins in X; None where X is dense or absent.
    """
    arrays = layout.arrays()
    with ChunkWriter(stores) as writer:
        for path, value in uns_values("uns", layout.uns):
            node = arrays[path]
            for chunk in range(node.n_chunks):
                part = value[node.region(chunk)[0]] if node.shape else value
                writer.write(node, chunk, part)
        if pointers is not None:
            node = arrays["X/indptr"]
            for chunk in range(node.n_chunks):
                writer.write(node, chunk, pointers[node.region(chunk)[0]])
        return writer.work("small arrays")


def uns_values(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Arrays of ``uns`` by their path; not outlier quantiles, whose place holds None."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from uns_values(f"{path}/{name}", item)
    elif value is not None:
        yield path, value
