"""The datasets of a server: one at the root, or the exports of a folder by their names."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Final, Protocol
from urllib.parse import quote

from cellucid_dask import format as fmt
from cellucid_dask.datasets import SET_ASIDE, find_data_files
from cellucid_dask.errors import CellucidDaskError, InputError
from cellucid_dask.server.datasets.exported import ExportedDataset
from cellucid_dask.server.http.cache import ContentCache
from cellucid_dask.server.http.content import Content, read_file_content, text_content

log = logging.getLogger("cellucid_dask.server")

RESERVED_NAMES: Final = ("_cellucid", "index.html", fmt.DATASETS)
LIST_INTERVAL: Final = 2.0  # seconds between listings of the folder


class Dataset(Protocol):
    """One dataset, whose paths have content."""

    @property
    def id(self) -> str:
        """Id in the identity."""

    @property
    def name(self) -> str:
        """Name in the identity."""

    def facts(self) -> dict[str, Any]:
        """Numbers for the list of datasets."""

    def refresh(self) -> None:
        """Reload the data if it changed; raises when it cannot be served now."""

    def find(self, path: str, *, gzip: bool, summaries: str | None = None) -> Content | None:
        """Content of a path relative to the dataset, with gzip coding if wanted.

        Parameters
        ----------
        summaries
            As of `cellucid_dask.server.datasets.live.LiveDataset.find`.
        """


class SingleDataset:
    """One dataset, at the root and under its id.

    Parameters
    ----------
    dataset
        The dataset.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def find(self, path: str, *, gzip: bool, summaries: str | None = None) -> Content | None:
        """Content of a path relative to the root of the server."""
        content = self.dataset.find(path, gzip=gzip, summaries=summaries)
        head = self.dataset.id + "/"
        if content is None and path.startswith(head):
            return self.dataset.find(path.removeprefix(head), gzip=gzip, summaries=summaries)
        return content

    def warnings(self) -> list[str]:
        """No warnings: there is no second dataset to conflict with."""
        return []

    def notes(self) -> list[str]:
        """No notes: nothing lies beside the dataset."""
        return []

    def list(self) -> list[dict[str, Any]]:
        """Entries of ``/_cellucid/datasets``."""
        dataset = self.dataset
        with suppress(CellucidDaskError):  # reported when it is requested
            dataset.refresh()
        return [_entry(dataset, "/")]


class NoDataset:
    """The datasets of a server that has released its data."""

    def find(self, path: str, *, gzip: bool, summaries: str | None = None) -> Content | None:  # noqa: ARG002
        """None, for every path."""
        return None

    def warnings(self) -> list[str]:
        """No warnings: there is no second dataset to conflict with."""
        return []

    def notes(self) -> list[str]:
        """No notes: nothing lies beside the dataset."""
        return []

    def list(self) -> list[dict[str, Any]]:
        """Entries of ``/_cellucid/datasets``."""
        return []


class DatasetFolder:
    """The exports directly inside a folder, each under the name of its folder and under its id.

    Parameters
    ----------
    root
        The folder.
    cache
        Cache of the responses of all exports.

    Raises
    ------
    InputError
        When the folder has no export.
    """

    def __init__(self, root: Path, cache: ContentCache) -> None:
        self.root = root.resolve()
        self._cache = cache
        self._lock = Lock()
        self._good: dict[str, ExportedDataset] = {}
        self._broken: dict[str, str] = {}
        self._listed = 0.0
        self._refresh_listing()
        self._reported = set(self.warnings())
        if not self._good:
            reasons = "; ".join(f"{name}: {why}" for name, why in self._broken.items())
            fix, others = (
                "give an export, a folder of exports, an .h5ad file or a .zarr",
                self.notes(),
            )
            raise InputError(
                "holds no export that can be served" + (f" ({reasons})" if reasons else ""),
                where=str(root),
                fix="; ".join([fix, *others]),
            )

    def _refresh_listing(self) -> None:
        """Find exports that were added, removed or repaired since the last listing."""
        with self._lock:
            if self._listed and monotonic() - self._listed < LIST_INTERVAL:
                return
            good, broken = {}, {}
            for path in self._folders():
                if SET_ASIDE.search(path.name) or not looks_like_export(path):
                    continue
                try:
                    good[path.name] = self._open(path)
                except CellucidDaskError as error:
                    broken[path.name] = error.problems[0].what
            first = not self._listed
            self._good, self._broken, self._listed = good, broken, monotonic()
            if not first:
                self._log_new_warnings()

    def _log_new_warnings(self) -> None:
        """Log warnings that arose since the server printed what it serves."""
        for line in self.warnings():
            if line not in self._reported:
                self._reported.add(line)
                log.warning("%s", line)

    def warnings(self) -> list[str]:
        """Warnings about exports with the same id."""
        lines = []
        for dataset_id, (first, *others) in _folders_by_id(self._good).items():
            if others:
                lines.append(
                    f"{', '.join([first, *others])} have the same id, {dataset_id!r}: it opens "
                    f"{first}, and the others open by the names of their folders; export them "
                    "again with another --dataset-id"
                )
        return lines

    def notes(self) -> list[str]:
        """What else lies in the folder and could be served, though not from here."""
        others = find_data_files(self.root)
        return [f"{', '.join(others)}: serve each by its own path"] if others else []

    def _folders(self) -> list[Path]:
        try:
            return sorted(self.root.iterdir())
        except OSError:  # the whole folder was removed
            return []

    def _open(self, path: Path) -> ExportedDataset:
        if path.name in RESERVED_NAMES:
            raise InputError("has the name of a path of the server")
        if any("\udc80" <= letter <= "\udcff" for letter in path.name):
            raise InputError("has a name that is not UTF-8")
        if not path.resolve().is_relative_to(self.root):
            raise InputError("is a link that leaves the folder")
        known = self._good.get(path.name)
        if known is None:
            return ExportedDataset(path, self._cache)
        known.refresh()
        return known

    def find(self, path: str, *, gzip: bool, summaries: str | None = None) -> Content | None:
        """Content of a path relative to the root of the server."""
        if path == fmt.DATASETS:
            self._refresh_listing()
            return self._catalog()
        name, _, inner = path.partition("/")
        dataset = self._good.get(name) or self._by_id(name)
        if dataset is None and inner in fmt.MANIFESTS:  # the export may be new
            self._refresh_listing()
            dataset = self._good.get(name) or self._by_id(name)
        return None if dataset is None else dataset.find(inner, gzip=gzip, summaries=summaries)

    def _by_id(self, name: str) -> ExportedDataset | None:
        listed = _unique_ids(self._good)
        return next((self._good[folder] for folder in listed if listed[folder] == name), None)

    def _catalog(self) -> Content | None:
        written = read_file_content(self.root / fmt.DATASETS, media="application/json")
        if written is not None and (self.root / fmt.DATASETS).resolve().parent == self.root:
            return written
        ids = _unique_ids(self._good)
        entries = [
            _entry(dataset, f"{name}/") | {"id": ids[name]} for name, dataset in self._good.items()
        ]
        if not entries:
            return None
        return text_content(fmt.dumps(fmt.datasets(entries, str(entries[0]["id"])), pretty=True))

    def list(self) -> list[dict[str, Any]]:
        """Entries of ``/_cellucid/datasets``; a broken one comes with its ``error``."""
        self._refresh_listing()
        ids = _unique_ids(self._good)
        good = [
            _entry(dataset, f"/{quote(name)}/") | {"id": ids[name]}
            for name, dataset in self._good.items()
        ]
        broken = [
            {
                "id": _free_name(fmt.safe(name), ids.values()),
                "path": f"/{quote(os.fsencode(name))}/",
                "name": os.fsencode(name).decode("utf-8", "replace"),
                "error": why,
            }
            for name, why in self._broken.items()
        ]
        return [*good, *broken]


def _folders_by_id(datasets: Mapping[str, Dataset]) -> dict[str, list[str]]:
    """Names of the folders of each id, in their order."""
    by_id: dict[str, list[str]] = {}
    for name, dataset in datasets.items():
        by_id.setdefault(dataset.id, []).append(name)
    return by_id


def _unique_ids(datasets: Mapping[str, Dataset]) -> dict[str, str]:
    """A unique id for each folder; the first folder of an id keeps the id of its identity."""
    by_id = _folders_by_id(datasets)
    ids = {names[0]: dataset_id for dataset_id, names in by_id.items()}
    taken = set(by_id)
    for names in by_id.values():
        for name in names[1:]:
            ids[name] = _free_name(name, taken)
            taken.add(ids[name])
    return ids


def _free_name(wanted: str, taken: Collection[str]) -> str:
    """The wanted name, or the first one with a number that is not taken."""
    numbered = (f"{wanted}-{number}" for number in count(2))
    return next(name for name in chain([wanted], numbered) if name not in taken)


def _entry(dataset: Dataset, path: str) -> dict[str, Any]:
    """Entry of one dataset in a list of datasets."""
    return {"id": dataset.id, "path": path, "name": dataset.name, **dataset.facts()}


def looks_like_export(path: Path) -> bool:
    """Whether a folder is an export, even a broken one."""
    try:
        return any((path / name).is_file() for name in (fmt.IDENTITY, fmt.OBS_MANIFEST))
    except OSError:  # no permission; opening it reports the reason
        return True
