"""The metadata of a zarr store: its documents, and their consolidated copy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cellucid_dask.verify.export_folder.files import DamagedError
from cellucid_dask.verify.ready_file.stored import describe
from cellucid_dask.verify.ready_file.zarr_keys import StoreKeys

_COPY: Final = "consolidated_metadata"

Document = Mapping[str, Any]


def read_documents(keys: StoreKeys, version: int, problems: list[str]) -> dict[str, Document]:
    """Read all documents by key, and note where the consolidated copy differs."""
    names = (".zgroup", ".zattrs", ".zarray") if version == 2 else ("zarr.json",)
    documents = {}
    for key in keys.sizes:
        if key.rpartition("/")[2] in names:
            document = _read(keys, key, problems)
            if document is not None:
                documents[key] = document
    copies = _read_copies_2(keys, problems) if version == 2 else _read_copies_3(documents, problems)
    if copies is not None:
        problems.extend(_compare(documents, copies))
    return documents


def _read(keys: StoreKeys, key: str, problems: list[str]) -> Document | None:
    try:
        document = json.loads(keys.read(key))
    except DamagedError as damage:
        problems.append(str(damage))
    except (ValueError, RecursionError) as error:
        problems.append(f"{key}: is not JSON ({describe(error)})")
    else:
        if isinstance(document, dict):
            return document
        problems.append(f"{key}: is not an object of JSON")
    return None


def _read_copies_2(keys: StoreKeys, problems: list[str]) -> dict[str, Document] | None:
    """Read ``.zmetadata``: documents by key."""
    if ".zmetadata" not in keys.sizes:
        problems.append(".zmetadata: is missing, and a browser cannot list the store")
        return None
    document = _read(keys, ".zmetadata", problems)
    if document is None:
        return None
    copies = document.get("metadata")
    if not isinstance(copies, dict) or document.get("zarr_consolidated_format") != 1:
        problems.append(".zmetadata: is not consolidated metadata of zarr version 2")
        return None
    return copies


def _read_copies_3(
    documents: Mapping[str, Document], problems: list[str]
) -> dict[str, Document] | None:
    """Return the consolidated part of the root's document: documents by key."""
    root = documents.get("zarr.json")
    if root is None:
        return None  # the root itself is missing, which is reported
    copy = root.get(_COPY)
    if not isinstance(copy, dict) or not isinstance(copy.get("metadata"), dict):
        problems.append(
            "zarr.json: has no consolidated metadata, and a browser cannot list the store"
        )
        return None
    if copy.get("kind") != "inline" or copy.get("must_understand") is not False:
        problems.append("zarr.json: the consolidated metadata is not inline and optional")
    copies = {f"{path}/zarr.json": document for path, document in copy["metadata"].items()}
    return {"zarr.json": root, **copies}


def _compare(documents: Mapping[str, Document], copies: Mapping[str, Any]) -> Iterator[str]:
    """Compare every document with its copy."""
    for key in sorted(documents.keys() | copies.keys()):
        document, copy = documents.get(key), copies.get(key)
        if document is None:
            if copy != {}:  # no attributes
                yield f"{key}: is missing, the consolidated metadata has it"
        elif copy is None:
            if document != {}:
                yield f"{key}: is not in the consolidated metadata"
        elif _without_copy(document) != _without_copy(copy):
            yield f"{key}: differs from the consolidated metadata"


def _without_copy(document: Any) -> Any:
    """A document without consolidated metadata, in text: true is not 1, and 0.0 is not 0."""
    if not isinstance(document, dict):
        return document
    return json.dumps({k: v for k, v in document.items() if k != _COPY}, sort_keys=True)
