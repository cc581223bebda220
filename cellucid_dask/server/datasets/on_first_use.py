"""Live data that are opened when the first of their paths is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

from cellucid_dask import format as fmt
from cellucid_dask.server.datasets.live import LiveDataset
from cellucid_dask.server.datasets.served import LiveData
from cellucid_dask.server.http.content import Content

_FILE: Final = re.compile(r"(obs|var|vectors|connectivity)/.|points_\dd\.")


class OnFirstUse:
    """Live data of a server whose page reads them by another protocol, so that few ask for them.

    Parameters
    ----------
    open_data
        Opens them.
    """

    def __init__(self, open_data: Callable[[], LiveData]) -> None:
        self._open_data, self._lock = open_data, Lock()
        self._data: LiveData | None = None

    @property
    def id(self) -> str:
        """Id in the identity."""
        return self._opened().id

    @property
    def name(self) -> str:
        """Name in the identity."""
        return self._opened().name

    @property
    def current(self) -> LiveDataset:
        """The dataset as it was last opened."""
        return self._opened().current

    def _opened(self) -> LiveData:
        with self._lock:
            if self._data is None:
                self._data = self._open_data()
                self._data.start()
            return self._data

    def facts(self) -> dict[str, Any]:
        """Numbers for the list of datasets."""
        return self._opened().facts()

    def refresh(self) -> None:
        """Reload the data if it changed; raises when it cannot be served now."""
        self._opened().refresh()

    def find(self, path: str, *, gzip: bool, summaries: str | None = None) -> Content | None:
        """Content of a path relative to the dataset, with gzip coding if wanted."""
        if path not in fmt.MANIFESTS and not _FILE.match(path):
            return None
        return self._opened().find(path, gzip=gzip, summaries=summaries)

    def start(self) -> None:
        """Nothing to do before the first use."""

    def close(self) -> None:
        """Stop the background work and release the data."""
        with self._lock:
            if self._data is not None:
                self._data.close()
