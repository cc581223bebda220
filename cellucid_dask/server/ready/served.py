"""The paths of the public app: its documents, and the keys of the one store that it reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from threading import Lock
from typing import Any, Final, Protocol, TypeVar

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.server.http.content import Content, text_content
from cellucid_dask.server.ready.store import AnnDataStore

PREFIX: Final = "_cellucid/anndata/"

Read = TypeVar("Read")


class StoreSource(Protocol):
    """A store that may be replaced by a newer state of its data."""

    def read(self, what: str, work: Callable[[AnnDataStore], Read]) -> Read:
        """Return what `work` reads of the store, as it is now."""

    def start(self) -> None:
        """Start the background work."""

    def close(self) -> None:
        """Stop the background work and release the data."""


class ServedStore:
    """The store of the public app, opened at once or when the first request comes.

    Parameters
    ----------
    open_store
        Opens it.
    at_once
        Whether to open it now, so that problems are raised.
    """

    def __init__(self, open_store: Callable[[], StoreSource], *, at_once: bool) -> None:
        self._open_store, self._lock = open_store, Lock()
        self._source: StoreSource | None = open_store() if at_once else None

    def find(self, path: str) -> Content | None:
        """Content of a path below `PREFIX`; None when there is none."""

        def read(store: AnnDataStore) -> Content | None:
            route = _route(store)
            if not path.startswith(route) or (path != route and not route.endswith("/")):
                return None
            return store.find(path.removeprefix(route))

        return self._opened().read(path, read)

    def datasets(self) -> Content:
        """``/_cellucid/datasets``: one dataset, and where its store is."""

        def describe(store: AnnDataStore) -> dict[str, Any]:
            url = PREFIX + _route(store)
            file: dict[str, Any] = {"url": url, "kind": store.kind, "layout": store.layout}
            if store.layout != "folder":
                whole = store.find("")
                file["size"] = 0 if whole is None else whole.size
            data = {"file": file, "defaults": {}}  # which are in the store
            return {"id": store.id, "name": store.name, "anndata": data}

        return text_content(json.dumps({"datasets": [self._opened().read("datasets", describe)]}))

    def facts(self) -> dict[str, Any]:
        """What both ``/_cellucid/health`` and ``/_cellucid/info`` say."""

        def describe(store: AnnDataStore) -> dict[str, Any]:
            n_cells, n_genes = store.shape
            return {"format": store.kind, "n_cells": n_cells, "n_genes": n_genes}

        facts = self._opened().read("health", describe)
        return {"type": "anndata", "version": version("cellucid-dask"), **facts}

    def describe(self, where: str) -> list[str]:
        """Lines that describe the data at `where`."""
        first, *rest = self._opened().read(where, lambda store: store.describe())
        return [f"{where}: {first}", *rest]

    def warnings(self) -> list[str]:
        """Warnings about the data."""
        return self._opened().read("warnings", lambda store: store.warnings())

    def progress(self) -> dict[str, Any]:
        """Progress of what is made of a store that is open."""
        with suppress(CellucidDaskError):  # requests for the data report it
            if self._source is not None:
                return self._source.read("info", lambda store: store.progress())
        return {}

    def _opened(self) -> StoreSource:
        if self._source is not None:
            return self._source
        with self._lock:
            if self._source is None:
                self._source = self._open_store()
                self._source.start()
            return self._source

    def start(self) -> None:
        """Start the background work of a store that is open."""
        if self._source is not None:
            self._source.start()

    def close(self) -> None:
        """Stop the background work and release the data."""
        with self._lock:
            if self._source is not None:
                self._source.close()


def _route(store: AnnDataStore) -> str:
    """Where a store is, below `PREFIX`."""
    if store.layout == "file":
        return f"{store.id}.{store.kind}"
    return f"{store.id}.zarr/" if store.layout == "folder" else f"{store.id}.zarr.zip"
