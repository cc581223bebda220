"""Paths of the server itself, below ``/_cellucid/``: facts about it, its page, a zarr store."""

from __future__ import annotations

import json
from contextlib import suppress
from importlib.metadata import version
from typing import Any, Final

from werkzeug.exceptions import BadRequest, MethodNotAllowed, RequestEntityTooLarge

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.server.datasets.reopenable import ReopenableData
from cellucid_dask.server.http.content import Content, text_content
from cellucid_dask.server.http.pages import page_apart, page_file
from cellucid_dask.server.http.response import Environ
from cellucid_dask.server.ready.served import PREFIX

SERVICE: Final = "_cellucid/"
HEALTH: Final = SERVICE + "health"
PAGE: Final = SERVICE + "page/"
MAX_EVENT_BODY: Final = 1 << 20  # bytes
READ_METHODS: Final = ("GET", "HEAD", "OPTIONS")


class ServicePaths:
    """Finds the content of paths that belong to no dataset.

    Parameters
    ----------
    data
        The data that the server serves.
    has_page
        Whether the server shows a page.
    """

    def __init__(self, data: ReopenableData, *, has_page: bool) -> None:
        self._data, self._has_page = data, has_page
        self._makers = {
            HEALTH: self._health,
            SERVICE + "info": self._info,
            SERVICE + "datasets": self._datasets,
        }

    def find(self, path: str, address: tuple[str, int]) -> Content | None:
        """Content of a path that begins with `SERVICE`; None for an unknown one.

        Parameters
        ----------
        address
            Host and port of this server.
        """
        store = self._data.current.app_store
        if path.startswith(PREFIX):
            return None if store is None else store.find(path.removeprefix(PREFIX))
        if store is not None and self._data.current.speaks_ready:
            if path == HEALTH:
                return text_content(json.dumps({"status": "ok", **store.facts()}))
            if path == SERVICE + "info":
                host, port = address
                facts = {"host": host, "port": port, "runtime": "python"}
                return text_content(json.dumps({**store.facts(), **facts}))
            if path == SERVICE + "datasets":
                return store.datasets()
        if path in self._makers:
            return self._makers[path]()
        if path.startswith(PAGE) and self._has_page:
            name = path.removeprefix(PAGE)
            return page_apart() if name in ("", "index.html") else page_file(name)
        zarr = self._data.current.zarr
        if path.startswith(SERVICE + "zarr/") and zarr is not None:
            return zarr.find(path.removeprefix(SERVICE + "zarr/"))
        return None

    def _facts(self) -> dict[str, Any]:
        data = self._data.current
        facts: dict[str, Any] = {"type": data.type, "version": version("cellucid-dask")}
        if data.live is not None:
            with suppress(CellucidDaskError):  # requests for the data report it
                data.live.refresh()
            facts |= {"format": data.format, "is_backed": data.backed}
            facts |= data.live.facts()
        return facts

    def _health(self) -> Content:
        return text_content(json.dumps({"status": "ok", **self._facts()}))

    def _info(self) -> Content:
        data = self._data.current
        facts = self._facts() | {"cache": {"bytes": data.cache.used, "limit": data.cache.n_bytes}}
        facts |= {"datasets": len(data.datasets.list())}
        if data.live is not None:
            facts["index"] = data.index_progress()
            facts["embeddings"] = data.live.current.embedding_facts()
        return text_content(json.dumps(facts))

    def _datasets(self) -> Content:
        return text_content(json.dumps({"datasets": self._data.current.datasets.list()}))


def receive_events(environ: Environ, path: str) -> Content:
    """Accept the events of a viewer in a notebook; no program here listens to them.

    Raises
    ------
    HTTPException
        For any other path, and for a body that is too large.
    """
    if path != SERVICE + "events":
        raise MethodNotAllowed(valid_methods=READ_METHODS)
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isascii() or not length.isdecimal():
        raise BadRequest("the Content-Length is not a number")
    if int(length) > MAX_EVENT_BODY:
        raise RequestEntityTooLarge("the body is too large")
    # The body is not read: a client that sends it slowly would occupy a thread.
    return text_content(json.dumps({"status": "not_found", "delivered": False}))
