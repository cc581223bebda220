"""The layouts of the arrays that were read last, each found out once in a process."""

from __future__ import annotations

import os
from threading import Lock
from typing import Final, TypeAlias

from cachetools import LRUCache

from cellucid_dask.source.storage.direct.hdf5_layout import layout_of_dataset
from cellucid_dask.source.storage.direct.layout import Layout
from cellucid_dask.source.storage.direct.stored import Stamp, stamp_of
from cellucid_dask.source.storage.direct.zarr_layout import layout_of_zarr
from cellucid_dask.source.storage.store import Store

Stamps: TypeAlias = tuple[Stamp | None, ...]
_Entry: TypeAlias = tuple[Stamps, Layout | None]

_CACHE_BYTES: Final = 64 << 20
_ENTRY_BYTES: Final = 1 << 10  # of an entry beside the table of its chunks
_METADATA: Final = ("zarr.json", ".zarray")


class LayoutCache:
    """Layouts by store and key; None stands for an array that HDF5 or zarr has to read."""

    def __init__(self) -> None:
        self._entries: LRUCache[tuple[Store, str], _Entry] = LRUCache(_CACHE_BYTES, _entry_bytes)
        self._access = Lock()
        self._search = Lock()  # held for as long as it takes to read the table of an HDF5 file

    def find(self, store: Store, key: str) -> Layout | None:
        """Find the layout of an array.

        Raises
        ------
        Exception
            One of `cellucid_dask.source.storage.damage.DAMAGE`, or a `CellucidDaskError`.
        """
        stamps = _stamps(store, key)
        entry = self._get(store, key)
        if entry is None or entry[0] != stamps:
            with self._search:
                entry = self._get(store, key)
                if entry is None or entry[0] != stamps:
                    entry = stamps, _describe(store, key, stamps)
                    with self._access:
                        self._entries[store, key] = entry
        return entry[1]

    def _get(self, store: Store, key: str) -> _Entry | None:
        with self._access:
            return self._entries.get((store, key))


def _entry_bytes(entry: _Entry) -> int:
    layout = entry[1]
    return _ENTRY_BYTES + (0 if layout is None else layout.table.n_bytes)


def _stamps(store: Store, key: str) -> Stamps:
    """Versions of the files that say how an array is stored."""
    if store.kind != "zarr":
        return (_stamp(store.path),)
    return tuple(_stamp(f"{store.path}/{key}/{name}") for name in _METADATA)


def _stamp(path: str) -> Stamp | None:
    try:
        return stamp_of(os.stat(path))  # noqa: PTH116  before each read
    except FileNotFoundError:
        return None


def _describe(store: Store, key: str, stamps: Stamps) -> Layout | None:
    stamp = stamps[0]
    with store.open_element(key) as element:
        if store.kind == "hdf5":
            return layout_of_dataset(element, store.path, stamp)
        return layout_of_zarr(element, store, stamp)
