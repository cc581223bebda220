"""The open data of a server: started, closed, reopened and released, whichever thread asks."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from cellucid_dask.errors import InputError
from cellucid_dask.server.datasets.served import ServedData


class ReopenableData:
    """Data that a server opens, and opens again when it starts after it was closed.

    Parameters
    ----------
    open_data
        Opens the data.
    """

    def __init__(self, open_data: Callable[[], ServedData]) -> None:
        self._open, self.current = open_data, open_data()
        self.started = self._closed = False
        self._lock = Lock()

    def start(self) -> None:
        """Start the background work, unless it runs; open the data first if they are closed."""
        with self._lock:
            if self._closed:
                self.current, self._closed = self._open(), False
            if not self.started:
                self.current.start()
                self.started = True

    def close(self) -> None:
        """Stop the background work, and remove the temporary files."""
        with self._lock:
            if not self._closed:
                self.current.close()
            self.started, self._closed = False, True

    def release(self) -> None:
        """Close for good, and drop all references to the data, which may hold much memory."""
        self.close()
        with self._lock:
            self._open, self.current = _refuse_to_open, self.current.without_data()

    def reopen(self) -> None:
        """Open the data again, as they are now.

        Raises
        ------
        CellucidDaskError
            When they cannot be served now; then the data that were open before stay.
        """
        fresh = self._open()
        with self._lock:
            before, self.current = self.current, fresh
            was_closed, self._closed = self._closed, False
            if self.started:
                fresh.start()
        if not was_closed:
            before.close()


def _refuse_to_open() -> ServedData:
    raise InputError("the server of this view was stopped", fix="show it again")
