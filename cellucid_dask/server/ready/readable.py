"""Whether the reader of the public app can read every array of a file, from metadata alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import h5py

from cellucid_dask.ready.facts import (
    READER_HDF5_FILTERS,
    READER_ZARR2_COMPRESSORS,
    READER_ZARR2_FILTERS,
    READER_ZARR3_CODECS,
    UNKNOWN_TO_READER,
)
from cellucid_dask.server.ready.documents import Documents, is_array_document
from cellucid_dask.source.storage.elements import encoding_of


def can_read_hdf5(root: h5py.File) -> bool:
    """Whether all is in the file itself, with filters that the reader undoes."""

    def find_fault(name: str, link: Any) -> str | None:
        if not isinstance(link, h5py.HardLink):
            return name  # leads to another place, or to another file
        element = root[name]
        if isinstance(element, h5py.Dataset):
            return None if _can_read(element) else name
        return name if encoding_of(element) in UNKNOWN_TO_READER else None

    return root.visititems_links(find_fault) is None


def _can_read(dataset: h5py.Dataset) -> bool:
    facts = dataset.id.get_create_plist()
    if facts.get_layout() == h5py.h5d.VIRTUAL or facts.get_external_count():
        return False
    filters = {facts.get_filter(i)[0] for i in range(facts.get_nfilters())}
    return filters <= READER_HDF5_FILTERS


def can_read_zarr(documents: Documents) -> bool:
    """Whether the arrays of a store have codecs that the reader undoes, and it knows its elements.

    Raises
    ------
    TypeError, KeyError, AttributeError
        When a document is not that of an array.
    """
    for key, document in documents.items():
        attributes = document if key.endswith(".zattrs") else document.get("attributes", {})
        if attributes.get("encoding-type") in UNKNOWN_TO_READER:
            return False
    arrays = (document for key, document in documents.items() if is_array_document(key, document))
    return all(
        _knows_codecs(array["codecs"]) if "codecs" in array else _knows_version_2(array)
        for array in arrays
    )


def _knows_version_2(array: dict[str, Any]) -> bool:
    compressor, filters = array.get("compressor"), array.get("filters") or ()
    return (compressor is None or compressor["id"] in READER_ZARR2_COMPRESSORS) and all(
        codec["id"] in READER_ZARR2_FILTERS for codec in filters
    )


def _knows_codecs(codecs: Iterable[Any]) -> bool:
    for codec in codecs:
        name = codec if isinstance(codec, str) else codec["name"]
        if name not in READER_ZARR3_CODECS:
            return False
        if name == "sharding_indexed":
            inner = codec["configuration"]
            if not (_knows_codecs(inner["codecs"]) and _knows_codecs(inner["index_codecs"])):
                return False
    return True
