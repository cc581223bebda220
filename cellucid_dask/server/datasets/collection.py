"""What one server serves: one dataset at the root, or the exports of a folder by their names."""

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
from cellucid_dask.datasets import SET_ASIDE
from cellucid_dask.errors import CellucidDaskError, InputError
from cellucid_dask.server.datasets.exported import ExportedDataset
from cellucid_dask.server.http.cache import ContentCache
from cellucid_dask.server.http.content import Content, read_file_content, text_content

log = logging.getLogger("cellucid_dask.server")

OURS: Final = ("_cellucid", "index.html", fmt.DATASETS)
LIST_AGAIN: Final = 2.0  # seconds until the folder is listed again


class Dataset(Protocol):
    """What answers the paths of one dataset."""

    @property
    def id(self) -> str:
        """Id in the identity."""

    @property
    def name(self) -> str:
        """Name in the identity."""

    def facts(self) -> dict[str, Any]:
        """Numbers for the list of datasets."""

    def refresh(self) -> None:
        """Look whether the data changed; raises when they cannot be served now."""

    def find(self, path: str, *, gzip: bool) -> Content | None:
        """Content at a path relative to the dataset, coded with gzip where that is wanted."""


class One:
    """One dataset, at the root and under its id.

    Parameters
    ----------
    dataset
        It.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def find(self, path: str, *, gzip: bool) -> Content | None:
        """Content at a path relative to the root of the server."""
        found = self.dataset.find(path, gzip=gzip)
        head = self.dataset.id + "/"
        if found is None and path.startswith(head):
            return self.dataset.find(path.removeprefix(head), gzip=gzip)
        return found

    def warnings(self) -> list[str]:
        """What is odd about the datasets among each other: nothing."""
        return []

    def list(self) -> list[dict[str, Any]]:
        """Entries of ``/_cellucid/datasets``."""
        dataset = self.dataset
        with suppress(CellucidDaskError):  # told when it is asked for
            dataset.refresh()
        return [_entry(dataset, "/")]


class Nothing:
    """No dataset any more."""

    def find(self, path: str, *, gzip: bool) -> Content | None:  # noqa: ARG002
        """Content at a path: none."""
        return None

    def warnings(self) -> list[str]:
        """What is odd about the datasets among each other: nothing."""
        return []

    def list(self) -> list[dict[str, Any]]:
        """Entries of ``/_cellucid/datasets``."""
        return []


class Folder:
    """The exports right below a folder, each under its own name and its id.

    Parameters
    ----------
    root
        The folder.
    cache
        Shared by all of them.

    Raises
    ------
    InputError
        When there is no export in it at all.
    """

    def __init__(self, root: Path, cache: ContentCache) -> None:
        self.root = root.resolve()
        self._cache = cache
        self._lock = Lock()
        self._good: dict[str, ExportedDataset] = {}
        self._broken: dict[str, str] = {}
        self._listed = 0.0
        self._list()
        self._told = set(self.warnings())
        if not self._good:
            reasons = "; ".join(f"{name}: {why}" for name, why in self._broken.items())
            raise InputError(
                "holds no export that can be served" + (f" ({reasons})" if reasons else ""),
                where=str(root),
                fix="give an export, a folder of exports, an .h5ad file or a .zarr",
            )

    def _list(self) -> None:
        """Find what came, went or was repaired since the last time."""
        with self._lock:
            if self._listed and monotonic() - self._listed < LIST_AGAIN:
                return
            good, broken = {}, {}
            for path in self._folders():
                if SET_ASIDE.search(path.name) or not looks_like_export(path):
                    continue
                try:
                    good[path.name] = self._opened(path)
                except CellucidDaskError as error:
                    broken[path.name] = error.problems[0].what
            first = not self._listed
            self._good, self._broken, self._listed = good, broken, monotonic()
            if not first:
                self._tell()

    def _tell(self) -> None:
        """Warn of exports of one id that came since the server told what it serves."""
        for line in self.warnings():
            if line not in self._told:
                self._told.add(line)
                log.warning("%s", line)

    def warnings(self) -> list[str]:
        """What is odd about the exports, for the terminal."""
        told = []
        for dataset_id, (first, *others) in _folders_by_id(self._good).items():
            if others:
                told.append(
                    f"{', '.join([first, *others])} have one id, {dataset_id!r}: it is that of "
                    f"{first}, and the others are found by their folders; export them again with "
                    "another --dataset-id"
                )
        return told

    def _folders(self) -> list[Path]:
        try:
            return sorted(self.root.iterdir())
        except OSError:  # it was removed as a whole
            return []

    def _opened(self, path: Path) -> ExportedDataset:
        if path.name in OURS:
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

    def find(self, path: str, *, gzip: bool) -> Content | None:
        """Content at a path relative to the root of the server."""
        if path == fmt.DATASETS:
            self._list()
            return self._catalog()
        name, _, inner = path.partition("/")
        dataset = self._good.get(name) or self._by_id(name)
        if dataset is None and inner in fmt.MANIFESTS:  # it may be new
            self._list()
            dataset = self._good.get(name) or self._by_id(name)
        return None if dataset is None else dataset.find(inner, gzip=gzip)

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
        self._list()
        ids = _unique_ids(self._good)
        good = [
            _entry(dataset, f"/{quote(name)}/") | {"id": ids[name]}
            for name, dataset in self._good.items()
        ]
        broken = [
            {
                "id": _free(fmt.safe(name), ids.values()),
                "path": f"/{quote(os.fsencode(name))}/",
                "name": os.fsencode(name).decode("utf-8", "replace"),
                "error": why,
            }
            for name, why in self._broken.items()
        ]
        return [*good, *broken]


def _folders_by_id(datasets: Mapping[str, Dataset]) -> dict[str, list[str]]:
    """Names of the folders of each id, in their order."""
    found: dict[str, list[str]] = {}
    for name, dataset in datasets.items():
        found.setdefault(dataset.id, []).append(name)
    return found


def _unique_ids(datasets: Mapping[str, Dataset]) -> dict[str, str]:
    """Id of each folder that no other has: that of its identity, for the first that has it."""
    by_id = _folders_by_id(datasets)
    ids = {names[0]: dataset_id for dataset_id, names in by_id.items()}
    taken = set(by_id)
    for names in by_id.values():
        for name in names[1:]:
            ids[name] = _free(name, taken)
            taken.add(ids[name])
    return ids


def _free(wish: str, taken: Collection[str]) -> str:
    """A name that is not taken: as wished, or with a number."""
    numbered = (f"{wish}-{number}" for number in count(2))
    return next(name for name in chain([wish], numbered) if name not in taken)


def _entry(dataset: Dataset, path: str) -> dict[str, Any]:
    """What a list of datasets has of one."""
    return {"id": dataset.id, "path": path, "name": dataset.name, **dataset.facts()}


def looks_like_export(path: Path) -> bool:
    """Whether a folder is an export, be it a broken one."""
    try:
        return any((path / name).is_file() for name in (fmt.IDENTITY, fmt.OBS_MANIFEST))
    except OSError:  # it may not be entered: why is told when it is opened
        return True
