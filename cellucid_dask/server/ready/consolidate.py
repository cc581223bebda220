"""The consolidated metadata of a zarr store: a browser cannot list its folders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cellucid_dask.server.ready.documents import Documents, parse_document, read_document
from cellucid_dask.source.chunks.lost_elements import listed_documents
from cellucid_dask.source.storage.store import Store


def consolidate(documents: Documents) -> tuple[str, bytes]:
    """Make the consolidated document of a store, as zarr-python does.

    Parameters
    ----------
    documents
        Those of the store, nearer to the root first: zarr-python wants the children of a group one
        after the other.

    Returns
    -------
    Its key, ``.zmetadata`` of version 2 or ``zarr.json`` of version 3, and its bytes.
    """
    root = documents.get("zarr.json")
    if root is None:
        metadata = {key: _in_listing(key, document) for key, document in documents.items()}
        return ".zmetadata", _dump({"zarr_consolidated_format": 1, "metadata": metadata})
    nodes = {
        key.removesuffix("/zarr.json"): _in_listing(key, document)
        for key, document in documents.items()
        if key != "zarr.json"
    }
    return "zarr.json", _dump({**root, "consolidated_metadata": _inline(nodes)})


def made_consolidated(store: Store, documents: Documents) -> dict[str, bytes]:
    """Consolidated document that a store needs, by its key; empty when its own is right.

    Raises
    ------
    OSError, BadZipFile
        When its own cannot be read.
    ValueError
        When its own lists what is not there, which a copy may have lost.
    """
    key, made = consolidate(documents)
    own = read_document(store, key)
    if own is None:
        return {key: made}
    if lost := _listed(own) - documents.keys():
        raise ValueError(f"{min(lost)} is not there, but {key} lists it")
    return {} if has_same_metadata(own, made) else {key: made}


def has_same_metadata(one: bytes, other: bytes) -> bool:
    """Whether two consolidated documents say the same; damage is no document.

    Some writers give the groups in it an empty listing of their own, and some do not.
    """
    try:
        return _metadata(parse_document(one)) == _metadata(parse_document(other))
    except (ValueError, AttributeError, TypeError, KeyError):
        return False


def _listed(raw: bytes) -> set[str]:
    """Keys of the documents that a consolidated one lists; damage lists none."""
    try:
        return set(listed_documents(parse_document(raw)))
    except (ValueError, AttributeError, TypeError, KeyError):
        return set()


def _metadata(document: dict[str, Any]) -> Any:
    own = {key: value for key, value in document.items() if key != "consolidated_metadata"}
    nodes = document.get("consolidated_metadata", document)["metadata"]
    listed = {key: _without_listing(node) for key, node in nodes.items()}
    return listed if "metadata" in own else (own, listed)


def _without_listing(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "consolidated_metadata"}


def _in_listing(key: str, document: dict[str, Any]) -> dict[str, Any]:
    """A document as the consolidated one has it: zarr-python adds an empty listing to groups."""
    if key.endswith("/.zgroup") or document.get("node_type") == "group":
        return {**document, "consolidated_metadata": _inline({})}
    return document


def _inline(metadata: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "inline", "must_understand": False, "metadata": metadata}


def _dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
