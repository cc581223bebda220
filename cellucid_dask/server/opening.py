"""What a path is, and how it is served: an export, a folder of exports, or live data."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from math import inf
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Final

from cellucid_dask.errors import CellucidDaskError, InputError, Problem
from cellucid_dask.exporter.fit import refuse
from cellucid_dask.options import ExportOptions
from cellucid_dask.serve_options import ServeOptions
from cellucid_dask.server.cache import AnswerCache
from cellucid_dask.server.cache_folder import default_cache_dir
from cellucid_dask.server.collection import Folder, One, looks_like_export
from cellucid_dask.server.content import Content, ReplacedError
from cellucid_dask.server.exported import ExportedDataset
from cellucid_dask.server.live import LiveDataset
from cellucid_dask.server.zarr_files import ZarrFiles
from cellucid_dask.source.core import Source, open_source
from cellucid_dask.source.fingerprint import Fingerprint, fingerprint
from cellucid_dask.source.store import Store, locate
from cellucid_dask.source.stored import dataset_name

LOOK_AGAIN: Final = 1.0  # seconds until a file is asked whether it changed
ROOM: Final = 4  # this part of the memory is for answers while they are made


@dataclass(slots=True)
class Opened:
    """What is served, and what the service paths tell of it.

    Parameters
    ----------
    datasets
        Answers the paths of the datasets.
    type
        ``exported`` or ``anndata``.
    format
        ``h5ad``, ``zarr`` or ``in-memory``; empty for exports.
    backed
        Whether live data stays on disk.
    live
        The live data; None for exports.
    zarr
        Files of the zarr store, where it is one.
    cache
        Of all answers.
    """

    datasets: One | Folder
    type: str
    cache: AnswerCache
    format: str = ""
    backed: bool = False
    live: WatchedData | LiveDataset | None = None
    zarr: ZarrFiles | None = None

    @property
    def _now(self) -> LiveDataset | None:
        return self.live.now if isinstance(self.live, WatchedData) else self.live

    def describe(self, where: str) -> list[str]:
        """Lines that tell what was found at `where`."""
        live = self._now
        if live is None:
            lines = []
            for entry in self.datasets.list():
                facts = "".join(f", {entry[k]:,} {k[2:]}" for k in _COUNTS if k in entry)
                told = f"cannot be served: {entry['error']}" if "error" in entry else entry["path"]
                lines.append(f"  {entry['name']}{facts}: {told}")
            return [f"{where}: {len(lines)} export{'s' * (len(lines) != 1)}", *lines]
        numbers = live.facts()
        counts = ", ".join(f"{numbers[key]:,} {key[2:]}" for key in _COUNTS)
        notes = [f"  {line}" for line in live.catalog.notes]
        warnings = [f"warning: {line}" for line in live.catalog.warnings]
        return [f"{where}: {self.format}, {counts}", *notes, *warnings]

    def index_progress(self) -> dict[str, Any]:
        """What there is of the gene index of live data."""
        live = self._now
        if live is None or live.genes is None:
            return {"state": "not needed"}
        return live.genes.progress()

    def start(self) -> None:
        """Begin what runs in the background."""
        if self.live is not None:
            self.live.start()

    def close(self) -> None:
        """End it, and remove what was only for this server."""
        if self.live is not None:
            self.live.close()


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


def open_data(
    data: Any, options: ExportOptions, serving: ServeOptions, problems: Sequence[Problem] = ()
) -> Opened:
    """Open what is to be served.

    Parameters
    ----------
    data
        Path of an export, of a folder of exports, of an AnnData file, or an AnnData.
    problems
        What is already known to be wrong, told with the rest.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong.
    """
    try:
        cache = AnswerCache(max(serving.cache_bytes(), 16_000_000) * (ROOM - 1) // ROOM)
        if isinstance(data, str | os.PathLike):
            folder = Path(data)
            if folder.is_dir() and not _is_zarr(folder):
                return _exports(folder, options, cache, problems)
        return _live(data, options, serving, cache, problems)
    except CellucidDaskError as error:
        every = dict.fromkeys([*problems, *error.problems])
        raise InputError.of(every) from error


def _is_zarr(folder: Path) -> bool:
    return any((folder / name).exists() for name in (".zgroup", "zarr.json", ".zmetadata"))


def _exports(
    folder: Path, options: ExportOptions, cache: AnswerCache, problems: Sequence[Problem]
) -> Opened:
    usual = ExportOptions(compression=0, var_quantization=None, obs_quantization=None)
    chosen = [f.name for f in fields(options) if getattr(options, f.name) != getattr(usual, f.name)]
    told = {_SPELLED.get(name, "--" + name.replace("_", "-")) for name in chosen}
    what, fix = "has no meaning for an export, which is served as it is", "leave it out"
    refuse([*problems, *(Problem(what, option, fix) for option in sorted(told))])
    if looks_like_export(folder):
        return Opened(One(ExportedDataset(folder, cache)), "exported", cache)
    return Opened(Folder(folder, cache), "exported", cache)


_SPELLED: Final = {
    "obs_keys": "--obs-key",
    "genes": "--gene",
    "embeddings": "--embedding",
    "connectivity": "--no-graph",
    "vectors": "--no-vectors",
    "expression": "--no-genes",
    "var_quantization": "--quantize",
    "obs_quantization": "--quantize",
}


def _live(
    data: Any,
    options: ExportOptions,
    serving: ServeOptions,
    cache: AnswerCache,
    problems: Sequence[Problem],
) -> Opened:
    path = str(data) if isinstance(data, str | os.PathLike) else None
    store = locate(path) if path is not None else None

    def opened(source: Source, mark: str, still: Callable[[], bool] = lambda: True) -> LiveDataset:
        return LiveDataset(
            source,
            options,
            cache,
            room=max(serving.cache_bytes() // ROOM, 64_000_000),
            index=serving.index,
            cache_dir=Path(serving.cache_dir) if serving.cache_dir else default_cache_dir(),
            mark=mark,
            still=still,
            problems=problems,
        )

    live: WatchedData | LiveDataset
    if store is None or not serving.backed:
        source = open_source(data if store is None else _loaded(store))
        if store is not None:
            source = replace(source, name=dataset_name(store.path))
        live = opened(source, secrets.token_hex(8))
    else:
        place = store.path  # the current folder may be another one later
        live = WatchedData(place, lambda mark, still: opened(open_source(place), mark, still))
    return Opened(
        One(live),
        "anndata",
        cache,
        format=_FORMATS[store.kind] if store else "in-memory",
        backed=serving.backed and (store is not None or bool(getattr(data, "isbacked", False))),
        live=live,
        zarr=ZarrFiles(store) if store is not None and store.kind != "hdf5" else None,
    )


_COUNTS: Final = ("n_cells", "n_genes")
_FORMATS: Final = {"hdf5": "h5ad", "zarr": "zarr", "zip": "zarr"}


def _loaded(store: Store) -> Any:
    import anndata

    if store.kind == "hdf5":
        return anndata.read_h5ad(store.path)
    if store.kind == "zarr":
        return anndata.read_zarr(store.path)
    import zarr

    with zarr.storage.ZipStore(store.path, mode="r") as archive:
        return anndata.read_zarr(archive)
