"""Opening what the public app reads: a ready file as it lies, else a virtual store."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from cellucid_dask.errors import InputError, Problem
from cellucid_dask.exporter.checks.ready.survey import survey_ready
from cellucid_dask.exporter.checks.ready.texts import id_fault, text_fault
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.formats import OF_FOLDER
from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.server.datasets.auto_reload import ReloadingData
from cellucid_dask.server.datasets.open_live import read_whole_source
from cellucid_dask.server.http.cache import ContentCache
from cellucid_dask.server.ready.inspect import inspect_ready
from cellucid_dask.server.ready.missing import find_missing
from cellucid_dask.server.ready.open_virtual import open_virtual
from cellucid_dask.server.ready.served import Read, StoreSource
from cellucid_dask.server.ready.store import AnnDataStore
from cellucid_dask.server.ready.stored import StoredFile
from cellucid_dask.source.model import Source
from cellucid_dask.source.open import open_source
from cellucid_dask.source.storage.store import Store, locate_store

# Options that do not change what is in a store; the id and the name are in its URL and its entry,
# and who reads it takes missing chunks for their fill value anyway.
_OUTSIDE: Final = frozenset({*OF_FOLDER, "dataset_id", "dataset_name", "accept_missing_chunks"})


def open_ready(
    data: Any,
    options: ExportOptions,
    serving: ServeOptions,
    cache: ContentCache,
    problems: Sequence[Problem] = (),
) -> StoreSource:
    """Open the store of an AnnData; see `cellucid_dask.server.opening.open_data`.

    Raises
    ------
    CellucidDaskError
        With everything for which an export of a ready file would refuse the data.
    """
    opener = _Opener(options, serving, cache, problems)
    if not isinstance(data, str | os.PathLike):
        return FixedStore(opener.open(open_source(data, options.modality), secrets.token_hex(8)))
    store = locate_store(str(data))  # absolute: the folder may change
    if not serving.backed:
        return FixedStore(opener.read(store))
    return ReloadingData(
        store.path, lambda _, mark, is_current: opener.open_file(store, mark, is_current)
    )


@dataclass(frozen=True, slots=True)
class _Opener:
    """Opens stores with the options of one server."""

    options: ExportOptions
    serving: ServeOptions
    cache: ContentCache
    problems: Sequence[Problem]

    def open(
        self, source: Source, state: str, is_current: Callable[[], bool] = lambda: True
    ) -> AnnDataStore:
        """Open the virtual store of a source whose state has the text `state` in entity tags."""
        return open_virtual(
            source, self.options, self.serving, self.cache, state, is_current, self.problems
        )

    def open_file(self, store: Store, state: str, is_current: Callable[[], bool]) -> AnnDataStore:
        """Open a file: as it lies if the public app can read it, and no option asks for more."""
        facts = None if _needs_survey(self.options) else inspect_ready(store)
        accept = self.options.accept_missing_chunks
        missing = None if facts is None else find_missing(store, accept=accept)
        if facts is None or missing is None:
            return self.open(open_source(store.path, self.options.modality), state, is_current)
        if missing.problems:
            raise InputError.of([*self.problems, *missing.problems])
        own_id = self.options.dataset_id or facts.id
        name = self.options.dataset_name or facts.name
        return StoredFile(store, facts, own_id, name, is_current, missing.warnings)

    def read(self, store: Store) -> AnnDataStore:
        """Read a whole file into memory, and open that."""
        source, missing = read_whole_source(
            store, self.options, lambda source: survey_ready(source, self.options).missing_chunks
        )
        source = replace(source, warnings=(*source.warnings, *missing.warnings))
        opener = replace(self, problems=[*missing.problems, *self.problems])
        return opener.open(source, secrets.token_hex(8))


@dataclass(frozen=True, slots=True)
class FixedStore:
    """The store of data in memory, which does not change."""

    store: AnnDataStore

    def read(self, what: str, work: Callable[[AnnDataStore], Read]) -> Read:  # noqa: ARG002
        """Return what `work` reads of the store."""
        return work(self.store)

    def start(self) -> None:
        """Start the background work."""
        self.store.start()

    def close(self) -> None:
        """Stop the background work and release the data."""
        self.store.close()


def _needs_survey(options: ExportOptions) -> bool:
    """Whether options ask for something else than is there, or for names that are refused."""
    own_id, name = options.dataset_id, options.dataset_name
    if (own_id is not None and id_fault(own_id)) or (name is not None and text_fault(name)):
        return True
    usual = ExportOptions()
    names = (f.name for f in fields(options) if f.name not in _OUTSIDE)
    return any(getattr(options, name) != getattr(usual, name) for name in names)
