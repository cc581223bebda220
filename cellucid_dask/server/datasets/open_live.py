"""Opening live data: a file that is reopened when it changes, or data in memory."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cellucid_dask.errors import InputError, Problem
from cellucid_dask.exporter.checks.survey import survey
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.options.timestamps import time_of_seconds
from cellucid_dask.server.cache_folder import default_cache_dir, summaries_folder
from cellucid_dask.server.datasets.auto_reload import ReloadingDataset
from cellucid_dask.server.datasets.collection import SingleDataset
from cellucid_dask.server.datasets.live import LiveDataset
from cellucid_dask.server.datasets.memory_shares import preparation_share
from cellucid_dask.server.datasets.on_first_use import OnFirstUse
from cellucid_dask.server.datasets.served import LiveData, ServedData
from cellucid_dask.server.datasets.zarr_files import ZarrFiles
from cellucid_dask.server.http.cache import ContentCache
from cellucid_dask.source.chunks.missing import Findings
from cellucid_dask.source.inputs.anndata_file import dataset_name
from cellucid_dask.source.inputs.in_memory import read_into_memory
from cellucid_dask.source.model import Source
from cellucid_dask.source.open import open_source
from cellucid_dask.source.record import record_or_error
from cellucid_dask.source.storage.fingerprint import Fingerprint
from cellucid_dask.source.storage.store import Store, locate_store

_FORMATS: Final = {"hdf5": "h5ad", "zarr": "zarr", "zip": "zarr"}


def open_live(
    data: Any,
    options: ExportOptions,
    serving: ServeOptions,
    cache: ContentCache,
    problems: Sequence[Problem],
) -> ServedData:
    """Open live data; see `cellucid_dask.server.opening.open_data`.

    Where the page reads them by the protocol of ready files, they are opened on their first use.
    """
    opener = _Opener(options, serving, cache, problems)
    live: LiveData
    if not isinstance(data, str | os.PathLike):
        live = opener.open_early_or_late(lambda: opener.open_object(data))
        backed = serving.backed and bool(getattr(data, "isbacked", False))
        return ServedData(
            SingleDataset(live), "anndata", cache, format="in-memory", backed=backed, live=live
        )
    store = locate_store(str(data))
    live = opener.open_early_or_late(
        lambda: opener.open_file(store) if serving.backed else opener.read_file(store)
    )
    zarr = None if store.kind == "hdf5" else ZarrFiles(store, options.modality)
    return ServedData(
        SingleDataset(live),
        "anndata",
        cache,
        format=_FORMATS[store.kind],
        backed=serving.backed,
        live=live,
        zarr=zarr,
    )


@dataclass(frozen=True, slots=True)
class _Opener:
    """Opens datasets with the options of one server."""

    options: ExportOptions
    serving: ServeOptions
    cache: ContentCache
    problems: Sequence[Problem]

    def open_early_or_late(self, open_data: Callable[[], LiveData]) -> LiveData:
        """Open data now, or on their first use."""
        return OnFirstUse(open_data) if self.serving.speaks_ready else open_data()

    def open_object(self, data: Any) -> LiveDataset:
        """Open data in memory."""
        return self.open(open_source(data, self.options.modality), secrets.token_hex(8))

    def open(
        self,
        source: Source,
        mark: str,
        is_current: Callable[[], bool] = lambda: True,
        state: Fingerprint | None = None,
    ) -> LiveDataset:
        """Open a source whose state has the text `mark` in entity tags.

        Parameters
        ----------
        state
            Of the file; None for data in memory.
        """
        folder = Path(self.serving.cache_dir or default_cache_dir())
        is_kept = self.serving.index and state is not None
        return LiveDataset(
            source,
            self.options,
            self.cache,
            room=preparation_share(self.serving),
            memory=self.serving.cache_bytes(),
            index=self.serving.index,
            cache_dir=folder,
            mark=mark,
            modified=time_of_seconds(state.mtime_ns // 10**9) if state else None,
            kept_in=summaries_folder(folder, state) if is_kept and state else None,
            is_unchanged=is_current,
            problems=self.problems,
        )

    def open_file(self, store: Store) -> ReloadingDataset:
        """Open a file that stays on disk, and is reopened when it changes."""
        path, modality = store.path, self.options.modality  # absolute: the folder may change
        return ReloadingDataset(
            path,
            lambda state, mark, is_current: self.open(
                open_source(path, modality), mark, is_current, state
            ),
        )

    def read_file(self, store: Store) -> LiveDataset:
        """Read a whole file into memory."""
        source, missing = read_whole_source(
            store, self.options, lambda source: survey(source, self.options).missing_chunks
        )
        opener = replace(self, problems=[*missing.problems, *self.problems])
        live = opener.open(source, secrets.token_hex(8))
        live.catalog.warnings += missing.warnings
        return live


def read_whole_source(
    store: Store, options: ExportOptions, find_missing: Callable[[Source], Findings]
) -> tuple[Source, Findings]:
    """Read a whole file into memory.

    Parameters
    ----------
    find_missing
        Finds the chunks that the file lacks: nothing shows them once the data is in memory.

    Raises
    ------
    InputError
        With a modality, which is read from the file only.
    """
    if options.modality is not None:
        fix = "leave one of them out"
        raise InputError("--no-backed and --modality cannot both be given", fix=fix)
    file = open_source(store.path)
    missing, record = find_missing(file), record_or_error(file)
    source = open_source(read_into_memory(store))
    named = replace(source, name=dataset_name(store.path), record=record, colors=file.colors)
    return named, missing
