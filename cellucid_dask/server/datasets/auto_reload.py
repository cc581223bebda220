"""Data of a file: reopened when the file changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Final, Generic, Protocol, TypeVar

from cellucid_dask.errors import CellucidDaskError, InputError, MachineError
from cellucid_dask.server.datasets.live import LiveDataset
from cellucid_dask.server.http.content import Content, ReplacedError
from cellucid_dask.source.storage.fingerprint import Fingerprint, take_fingerprint

CHECK_INTERVAL: Final = 1.0  # seconds between checks of the file for changes


class Startable(Protocol):
    """Open data with background work."""

    def start(self) -> None:
        """Start the background work."""

    def close(self) -> None:
        """Stop the background work and release the data."""


Opened = TypeVar("Opened", bound=Startable)
Read = TypeVar("Read")


class ReloadingData(Generic[Opened]):
    """Data of a file, reopened when the file changes.

    Parameters
    ----------
    path
        File or folder.
    open_state
        Opens the data, given the state of the file, a text that no other opening has, and a
        function that returns whether the file is still in that state.
    """

    def __init__(
        self, path: str, open_state: Callable[[Fingerprint, str, Callable[[], bool]], Opened]
    ) -> None:
        self._path, self._open_state = path, open_state
        self._refused: CellucidDaskError | None = None
        self._openings = 0
        self._state: Fingerprint | None = None
        self.current = self._open(read_state(path))
        self._checked_at, self._lock, self._started = monotonic(), Lock(), False

    def read(self, what: str, work: Callable[[Opened], Read]) -> Read:
        """Return what `work` reads of the data, in the present state of the file.

        Parameters
        ----------
        what
            Path that is read, for the error.

        Raises
        ------
        ReplacedError
            When the file was replaced meanwhile.
        """
        self.refresh()
        opened = self.current
        try:
            return work(opened)
        except Exception as error:
            # The file may have changed during the read, and have its earlier state again by now.
            if isinstance(error, ReplacedError) or not self._has_state(self._state):
                self._state = None
            self._checked_at = -inf
            self.refresh()
            if opened is self.current:
                raise
            raise ReplacedError(what) from error

    def _has_state(self, state: Fingerprint | None) -> bool:
        try:
            return take_fingerprint(self._path) == state
        except OSError:
            return False

    def refresh(self) -> None:
        """Reopen the file if it changed.

        Raises
        ------
        CellucidDaskError
            When the file cannot be served in its present state.
        """
        if monotonic() - self._checked_at > CHECK_INTERVAL:
            with self._lock:
                if monotonic() - self._checked_at > CHECK_INTERVAL:
                    self._reload_if_changed()
                    self._checked_at = monotonic()
        if self._refused is not None:
            raise self._refused

    def _reload_if_changed(self) -> None:
        try:
            state = read_state(self._path)
            if state == self._state:
                return
            previous, self.current = self.current, self._open(state)
            self._refused = None
        except CellucidDaskError as error:
            self._refused = error
            if isinstance(error, MachineError) or not Path(self._path).exists():
                self._state = None  # the same file may be served at the next check
            return
        previous.close()
        if self._started:
            self.current.start()

    def _open(self, state: Fingerprint) -> Opened:
        # Content that was read during a change may be cached under the old state: its entity tags
        # must never match again, even when the old state returns. Hence the number.
        self._state, self._openings = state, self._openings + 1
        mark = f"{state.key()}-{self._openings}"
        return self._open_state(state, mark, partial(self._has_state, state))

    def start(self) -> None:
        """Start the background work."""
        self._started = True
        self.current.start()

    def close(self) -> None:
        """Stop the background work."""
        self.current.close()


class ReloadingDataset(ReloadingData[LiveDataset]):
    """A live dataset that is reopened when its file changes."""

    @property
    def id(self) -> str:
        """Id in the identity."""
        return self.current.id

    @property
    def name(self) -> str:
        """Name in the identity."""
        return self.current.name

    def facts(self) -> dict[str, Any]:
        """Counts for the list of datasets."""
        return self.current.facts()

    def find(self, path: str, *, gzip: bool, summaries: str | None = None) -> Content | None:
        """Content of a path, from the present state of the file."""
        return self.read(path, lambda dataset: dataset.find(path, gzip=gzip, summaries=summaries))


def read_state(path: str) -> Fingerprint:
    """Fingerprint of a file.

    Raises
    ------
    InputError
        When it cannot be opened.
    """
    try:
        return take_fingerprint(path)
    except OSError as error:
        what = f"cannot be opened ({error.strerror})"
        raise InputError(what, where=path, fix="check it and its permissions") from error
