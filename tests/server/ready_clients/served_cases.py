"""AnnData of every kind, in files of every kind, each served to the clients of the public app."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import versions
from ready_form import ready_form
from ready_inputs import IDENTITY, INPUTS
from ready_sides import NAMES, save
from serving import ask
from stored_tree import Tree, find_differences, stored_tree

from cellucid_dask import CellucidServer, export

READY: dict[str, dict[str, Any]] = {  # served as they lie
    "ready h5ad": {"format": "h5ad"},
    "ready zarr": {"format": "zarr"},
    "ready zarr 3": {"format": "zarr", "zarr_format": 3},
    "ready shards": {"format": "zarr", "zarr_format": 3, "shards": True},
    "ready zip": {"format": "zarr.zip"},
    "ready zip 3": {"format": "zarr.zip", "zarr_format": 3},
}
SOURCES = ("h5ad", "v2", "v3", "v3 sharded", "v3 zip", "memory")  # served as virtual stores
MOST = 64  # servers at a time
DEFAULTS = "uns/cellucid/defaults"


@dataclass(frozen=True)
class Case:
    """An input, and the kind of file that it is in."""

    name: str
    kind: str

    def __str__(self) -> str:
        return f"{self.name}, {self.kind}"


@dataclass(frozen=True)
class Served:
    """A case that is served.

    Parameters
    ----------
    wanted
        What every client must find.
    file
        Entry of its store in ``/_cellucid/datasets``.
    """

    case: Case
    server: CellucidServer
    wanted: Tree
    file: dict[str, Any]

    @property
    def url(self) -> str:
        """URL of the store."""
        return urljoin(self.server.url + "/", self.file["url"])

    def assert_found(self, found: Tree, without: str = "\0") -> None:
        """Check what a client has read, to the bit, but for paths with a text in them."""
        wanted = {path: node for path, node in self.wanted.items() if without not in path}
        rest = {
            k: v for k, v in found.items() if k != DEFAULTS and not k.startswith(DEFAULTS + "/")
        }
        problems = find_differences(rest, wanted)
        assert not problems, "\n".join([str(self.case), *problems])
        defaults = {k.removeprefix(DEFAULTS + "/"): v for k, v in found.items() if k not in rest}
        self._assert_defaults({key: node.values for key, node in defaults.items()})

    def _assert_defaults(self, defaults: dict[str, Any]) -> None:
        """The defaults name what is there: which they are is told by the tests of the record."""
        options = INPUTS[self.case.name].options
        for key, value in defaults.items():
            if key == "latentKey":
                assert value == self.wanted["uns/cellucid/outlierQuantiles/latentKey"].values
            elif key == "geneIdColumn":
                assert value == options["var_gene_id_column"]
            elif key == "obsKeys":
                assert set(value) <= set(self.wanted["obs"].facts["column-order"])
            elif key.startswith("embedding") and np.ndim(value) == 0 and value is not None:
                assert f"obsm/{value}" in self.wanted


class Lineup:
    """Servers of cases, each started when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, count()
        self._running: dict[Case, Served] = {}

    def __call__(self, case: Case) -> Served:
        """Serve a case."""
        if case not in self._running:
            if len(self._running) == MOST:
                self._running.pop(next(iter(self._running))).server.stop()
            self._running[case] = self._start(case)
        return self._running[case]

    def stop(self) -> None:
        """Stop all servers."""
        for served in self._running.values():
            served.server.stop()

    def _start(self, case: Case) -> Served:
        make, given = INPUTS[case.name].make, {**IDENTITY, **INPUTS[case.name].options}
        if case.kind not in READY:
            given.pop("citation_url", None)  # only an export has it
        wanted = stored_tree(ready_form(make(), **given))
        options = {NAMES.get(key, key): value for key, value in given.items()}
        if case.name == "repeated names":
            options["rename_duplicates"] = True
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        data: Any = make()
        if case.kind in READY:
            how = READY[case.kind]
            source = save(data, folder / "source.h5ad")
            data = folder / f"a.{how['format']}"
            export(source, data, quiet=True, workers=1, **how, **options)
            options = {}
        elif case.kind == "h5ad":
            data = save(data, folder / "a.h5ad")
        elif case.kind != "memory":
            ending = ".zarr.zip" if case.kind.endswith("zip") else ".zarr"
            data = versions.write_zarr(data, folder / f"a{ending}", case.kind.removesuffix(" zip"))
        server = CellucidServer(
            data, port=0, quiet=True, protocol="ready", cache_dir=folder / "cache", **options
        )
        server.start(blocking=False)
        (dataset,) = json.loads(ask(server, "/_cellucid/datasets", seconds=60).body)["datasets"]
        assert {key: dataset[key] for key in ("id", "name")} == {
            "id": IDENTITY["dataset_id"],
            "name": IDENTITY["dataset_name"],
        }
        return Served(case, server, wanted, dataset["anndata"]["file"])


def rotated(names: list[str], kinds: list[str]) -> Iterator[Case]:
    """Each input in one of the kinds, in turn."""
    for i, name in enumerate(names):
        yield Case(name, kinds[i % len(kinds)])


LYING = [
    *(Case("columns", kind) for kind in READY),
    *rotated(
        ["latent", "many", "dense", "odd names", "no expression", "nothing stored"], list(READY)
    ),
    *rotated(["spaces", "own record"], ["ready zarr 3", "ready shards"]),
]
VIRTUAL = [
    *rotated(list(INPUTS), list(SOURCES)),
    *(Case(name, kind) for name in ("csc", "dense") for kind in ("h5ad", "v2")),
]
CASES = [*LYING, *VIRTUAL]
EVERY = bool(os.environ.get("CELLUCID_TEST_EVERY_PAIR"))  # takes minutes
if EVERY:
    CASES = [Case(name, kind) for name in INPUTS for kind in (*READY, *SOURCES)]


def some(first: int, step: int = 2) -> list[Case]:
    """One of `step` cases: a part for each of several clients that are much alike."""
    return CASES if EVERY else CASES[first::step]


def in_folder(case: Case) -> bool:
    """Whether the store of a case is served key by key."""
    return case.kind not in ("ready h5ad", "ready zip", "ready zip 3")
