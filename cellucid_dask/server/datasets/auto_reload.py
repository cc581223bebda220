"""Live data: opened, and opened anew when its file changes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Final

from cellucid_dask.errors import CellucidDaskError, InputError, Problem
from cellucid_dask.exporter.checks.survey import survey
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.server.cache_folder import default_cache_dir
from cellucid_dask.server.datasets.collection import One
from cellucid_dask.server.datasets.live import LiveDataset
from cellucid_dask.server.datasets.opening import ROOM, Opened
from cellucid_dask.server.datasets.zarr_files import ZarrFiles
from cellucid_dask.server.http.cache import ContentCache
from cellucid_dask.server.http.content import Content, ReplacedError
from cellucid_dask.source.core import open_source
from cellucid_dask.source.inputs.anndata_file import dataset_name
from cellucid_dask.source.inputs.in_memory import read_whole
from cellucid_dask.source.storage.fingerprint import Fingerprint, fingerprint
from cellucid_dask.source.storage.store import Store, locate

LOOK_AGAIN: Final = 1.0  # seconds until a file is asked whether it changed
_FORMATS: Final = {"hdf5": "h5ad", "zarr": "zarr", "zip": "zarr"}


class WatchedData:
    """Live data of a file, opened anew when the file changes.

    Parameters
    ----------
    path
        File or folder.
    make
        Opens it, given what marks its state, and what tells whether that is still its state.
    """

    def __init__(self, path: str, make: Callable[[str, Callable[[], bool]], LiveDataset]) -> None:
        self._path, self._make = path, make
        self._refused: CellucidDaskError | None = None
        self._openings = 0
        self._mark: Fingerprint | None = None
        self.now = self._opened(_state(path))
        self._asked, self._lock, self._started = monotonic(), Lock(), False

    @property
    def id(self) -> str:
        """Id in the identity."""
        return self.now.id

    @property
    def name(self) -> str:
        """Name in the identity."""
        return self.now.name

    def facts(self) -> dict[str, Any]:
        """Numbers for the list of datasets."""
        return self.now.facts()

    def find(self, path: str, *, gzip: bool) -> Content | None:
        """Content at a path, of the file as it is now."""
        self.refresh()
        dataset = self.now
        try:
            return dataset.find(path, gzip=gzip)
        except Exception as error:
            # It may have changed while it was read, and be as it was before by now.
            if isinstance(error, ReplacedError) or not self._is(self._mark):
                self._mark = None
            self._asked = -inf
            self.refresh()
            if dataset is self.now:
                raise
            raise ReplacedError(path) from error

    def _is(self, mark: Fingerprint | None) -> bool:
        try:
            return fingerprint(self._path) == mark
        except OSError:
            return False

    def refresh(self) -> None:
        """Open the file again if it changed.

        Raises
        ------
        CellucidDaskError
            When it cannot be served as it is now.
        """
        if monotonic() - self._asked > LOOK_AGAIN:
            with self._lock:
                if monotonic() - self._asked > LOOK_AGAIN:
                    self._look()
                    self._asked = monotonic()
        if self._refused is not None:
            raise self._refused

    def _look(self) -> None:
        try:
            mark = _state(self._path)
            if mark == self._mark:
                return
            before, self.now = self.now, self._opened(mark)
            self._refused = None
        except CellucidDaskError as error:
            self._refused, self._mark = error, None if _is_gone(self._path) else self._mark
            return
        before.close()
        if self._started:
            self.now.start()

    def _opened(self, mark: Fingerprint) -> LiveDataset:
        # What was read while a file changed may be held as of the old one: that one's entity
        # tags must never be right again, also when it comes back.
        self._mark, self._openings = mark, self._openings + 1
        return self._make(f"{mark.key()}-{self._openings}", partial(self._is, mark))

    def start(self) -> None:
        """Begin what runs in the background."""
        self._started = True
        self.now.start()

    def close(self) -> None:
        """End it."""
        self.now.close()


def _state(path: str) -> Fingerprint:
    try:
        return fingerprint(path)
    except OSError as error:
        what = f"cannot be opened ({error.strerror})"
        raise InputError(what, where=path, fix="check it and its permissions") from error


def _is_gone(path: str) -> bool:
    return not Path(path).exists()


def open_live(
    data: Any,
    options: ExportOptions,
    serving: ServeOptions,
    cache: ContentCache,
    problems: Sequence[Problem],
) -> Opened:
    """Open live data; as `cellucid_dask.server.datasets.opening.open_data`."""
    store = locate(str(data)) if isinstance(data, str | os.PathLike) else None
    make = partial(
        LiveDataset,
        options=options,
        cache=cache,
        room=max(serving.cache_bytes() // ROOM, 64_000_000),
        memory=serving.cache_bytes(),
        index=serving.index,
        cache_dir=Path(serving.cache_dir) if serving.cache_dir else default_cache_dir(),
        problems=problems,
    )
    live: WatchedData | LiveDataset
    if store is None:
        live = make(open_source(data, options.modality), mark=secrets.token_hex(8))
    elif serving.backed:
        live = _watch(store.path, options.modality, make)
    else:
        live = _read_into_memory(store, options, make, problems)
    is_zarr = store is not None and store.kind != "hdf5"
    return Opened(
        One(live),
        "anndata",
        cache,
        format=_FORMATS[store.kind] if store else "in-memory",
        backed=serving.backed and (store is not None or bool(getattr(data, "isbacked", False))),
        live=live,
        zarr=ZarrFiles(store, options.modality) if store is not None and is_zarr else None,
    )


def _watch(path: str, modality: str | None, make: Callable[..., LiveDataset]) -> WatchedData:
    """Open a file that stays on disk; `path` is absolute, the current folder may change."""

    def open_now(mark: str, is_unchanged: Callable[[], bool]) -> LiveDataset:
        return make(open_source(path, modality), mark=mark, is_unchanged=is_unchanged)

    return WatchedData(path, open_now)


def _read_into_memory(
    store: Store,
    options: ExportOptions,
    make: Callable[..., LiveDataset],
    problems: Sequence[Problem],
) -> LiveDataset:
    """Read a file into memory, and say which of its chunks are missing."""
    if options.modality is not None:
        fix = "leave one of them out"
        raise InputError("--no-backed and --modality cannot both be given", fix=fix)
    # Once the data are in memory, nothing tells which chunks were missing.
    missing = survey(open_source(store.path), options).missing_chunks
    source = replace(open_source(read_whole(store)), name=dataset_name(store.path))
    known = [*missing.problems, *problems]
    live = make(source, mark=secrets.token_hex(8), problems=known)
    live.catalog.warnings += missing.warnings
    return live
