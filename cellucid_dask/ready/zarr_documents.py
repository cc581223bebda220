"""Metadata documents of a zarr store, of version 2 and 3, with the consolidated one at its root.

They say what zarr-python writes for the same store, in JSON without white space.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from cellucid_dask.files import Receipt, write_atomically
from cellucid_dask.ready.facts import FAST, LEVEL, ZarrFormat
from cellucid_dask.ready.nodes import ArrayNode, GroupNode, Node
from cellucid_dask.ready.shards import INDEX_CODECS, is_sharded, shard_node


def zarr_documents(
    nodes: Sequence[Node], zarr_format: ZarrFormat, *, sharded: bool = False
) -> dict[str, bytes]:
    """Make the documents of a store.

    Parameters
    ----------
    sharded
        Whether large arrays are stored in shards, which version 3 has.

    Returns
    -------
    Documents by their key: sorted, but those of the root last, the consolidated one at the end.
    """
    # zarr-python reads the consolidated document level by level, with the children of a group
    # one after the other, and misses those that stand elsewhere.
    nodes = sorted(nodes, key=lambda node: (node.path.count("/"), node.path))
    if zarr_format == 2:
        documents = _version_2(nodes)
        metadata = {key: _in_listing(key, document) for key, document in documents.items()}
        documents[".zmetadata"] = {"zarr_consolidated_format": 1, "metadata": metadata}
    else:
        found = {node.path: _version_3(node, sharded=sharded) for node in nodes}
        documents = {f"{path}/zarr.json".lstrip("/"): found[path] for path in found}
        inner = {path: _in_listing(path, found[path]) for path in found if path}
        documents["zarr.json"] = {**found[""], "consolidated_metadata": _inline(inner)}
    keys = sorted(documents, key=lambda key: ("/" not in key, key.split("/")))
    return {key: json.dumps(documents[key], separators=(",", ":")).encode() for key in keys}


def write_zarr_documents(
    folder: str,
    parts: str,
    nodes: Sequence[Node],
    zarr_format: ZarrFormat,
    *,
    sharded: bool = False,
) -> list[Receipt]:
    """Write the documents of a store into its folder, the consolidated one last.

    Parameters
    ----------
    parts
        Folder on the same disk for files while they are written.
    """
    documents = zarr_documents(nodes, zarr_format, sharded=sharded)
    _make_folders(folder, documents)
    return [
        Receipt(key, *write_atomically(f"{folder}/{key}", [document], parts))
        for key, document in documents.items()
    ]


def _version_2(nodes: Iterable[Node]) -> dict[str, dict[str, Any]]:
    """Documents of version 2 but the consolidated one."""
    documents: dict[str, dict[str, Any]] = {}
    for node in nodes:
        prefix = f"{node.path}/".lstrip("/")
        if isinstance(node, GroupNode):
            documents[f"{prefix}.zgroup"] = {"zarr_format": 2}
        else:
            documents[f"{prefix}.zarray"] = _array_version_2(node)
        documents[f"{prefix}.zattrs"] = dict(node.attributes)
    return documents


def _array_version_2(node: ArrayNode) -> dict[str, Any]:
    filters: list[dict[str, Any]] = []
    if node.is_text:
        filters = [{"id": "vlen-utf8"}]
    elif node.is_shuffled and not node.fast:
        filters = [{"id": "shuffle", "elementsize": node.itemsize}]
    return {
        "shape": list(node.shape),
        "chunks": list(node.chunks),
        "dtype": "|O" if node.is_text else node.dtype,
        "fill_value": _fill_value(node),
        "order": "C",
        "filters": filters or None,
        "dimension_separator": ".",
        "compressor": dict(FAST) if node.fast else {"id": "zlib", "level": LEVEL},
        "zarr_format": 2,
    }


def _version_3(node: Node, *, sharded: bool) -> dict[str, Any]:
    attributes = {"attributes": dict(node.attributes)}
    if isinstance(node, GroupNode):
        return {**attributes, "zarr_format": 3, "node_type": "group"}
    codecs = _codecs(node)
    stored = node
    if sharded and is_sharded(node):
        stored = shard_node(node)
        inner = {"chunk_shape": list(node.chunks), "codecs": codecs, "index_codecs": INDEX_CODECS}
        codecs = [_named("sharding_indexed", **inner, index_location="end")]
    return {
        "shape": list(node.shape),
        "data_type": "string" if node.is_text else np.dtype(node.dtype).name,
        "chunk_grid": _named("regular", chunk_shape=list(stored.chunks)),
        "chunk_key_encoding": _named("default", separator="/"),
        "fill_value": _fill_value(node),
        "codecs": codecs,
        **attributes,
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def _codecs(node: ArrayNode) -> list[dict[str, Any]]:
    """Codecs of a chunk in version 3."""
    gzip = _named("gzip", level=LEVEL)
    if node.is_text:
        return [_named("vlen-utf8"), gzip]
    if node.itemsize == 1:
        return [{"name": "bytes"}, gzip]
    numbers = _named("bytes", endian="little")
    if not node.is_shuffled:
        return [numbers, gzip]
    options = {"cname": "zlib", "clevel": LEVEL, "shuffle": "shuffle", "blocksize": 0}
    return [numbers, _named("blosc", typesize=node.itemsize, **options)]


def _named(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


def _fill_value(node: ArrayNode) -> Any:
    return "" if node.is_text else np.zeros((), node.dtype).item()


def _inline(metadata: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "inline", "must_understand": False, "metadata": metadata}


def _in_listing(key: str, document: dict[str, Any]) -> dict[str, Any]:
    """A document as the consolidated one has it: zarr-python adds an empty listing to groups."""
    if key.endswith("/.zgroup") or document.get("node_type") == "group":
        return {**document, "consolidated_metadata": _inline({})}
    return document


def _make_folders(folder: str, keys: Iterable[str]) -> None:
    for name in {os.path.dirname(key) for key in keys}:  # noqa: PTH120
        os.makedirs(f"{folder}/{name}", exist_ok=True)  # noqa: PTH103
