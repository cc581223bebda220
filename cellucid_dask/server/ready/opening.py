"""Opening what the public app reads: a ready file as it lies, else a virtual store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from cellucid_dask.errors import InputError
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.server.datasets.auto_reload import ReloadingData
from cellucid_dask.server.ready.inspect import inspect_ready
from cellucid_dask.server.ready.store import AnnDataStore
from cellucid_dask.server.ready.stored import StoredFile
from cellucid_dask.source.storage.store import locate_store

# Options that do not change what is in a store: those of the folder, and the names in its URL.
_OUTSIDE = frozenset(
    {"compression", "var_quantization", "obs_quantization", "dataset_id", "dataset_name"}
)


def open_ready(data: Any, options: ExportOptions) -> ReloadingData[AnnDataStore]:
    """Open the store of a file.

    Raises
    ------
    CellucidDaskError
        With everything for which a ready file would be refused.
    """
    store = locate_store(str(data))

    def open_state(_state: str, _is_current: Callable[[], bool]) -> AnnDataStore:
        facts = None if _changes_content(options) else inspect_ready(store)
        if facts is None:
            fix = "write one with cellucid-dask export --format zarr"
            raise InputError("is no ready file", where=store.path, fix=fix)
        own_id, name = options.dataset_id or facts.id, options.dataset_name or facts.name
        return StoredFile(store, facts, own_id, name)

    return ReloadingData(store.path, open_state)


def _changes_content(options: ExportOptions) -> bool:
    usual = ExportOptions()
    names = (f.name for f in fields(options) if f.name not in _OUTSIDE)
    return any(getattr(options, name) != getattr(usual, name) for name in names)
