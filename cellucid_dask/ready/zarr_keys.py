"""Keys of chunks in a zarr store, relative to its root."""

from __future__ import annotations

from cellucid_dask.ready.facts import ZarrFormat
from cellucid_dask.ready.nodes import ArrayNode


def chunk_key(node: ArrayNode, chunk: int, zarr_format: ZarrFormat) -> str:
    """Key of a chunk: ``X/data/3`` in version 2, ``X/data/c/3`` in version 3."""
    position = [str(i) for i in node.position(chunk)]
    if zarr_format == 2:
        return f"{node.path}/{'.'.join(position) or '0'}"
    return "/".join([node.path, "c", *position])
