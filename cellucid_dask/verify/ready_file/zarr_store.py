"""The groups and arrays of a zarr store, in a folder or in an archive."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from cellucid_dask.verify.ready_file.stored import (
    TEXT,
    UNREADABLE,
    StoredArray,
    StoredGroup,
    StoredTree,
    describe,
    errors_as_damage,
)
from cellucid_dask.verify.ready_file.zarr_documents import Document, read_documents
from cellucid_dask.verify.ready_file.zarr_keys import DOCUMENTS, StoreKeys
from cellucid_dask.verify.source_data.chunks import count_chunks
from cellucid_dask.versions import refuse_cut_blosc

_LISTED: Final = 20  # missing chunks or foreign files


@contextmanager
def open_zarr_tree(path: Path, keys: StoreKeys) -> Iterator[StoredTree]:
    """Open a store, and list what is in it.

    Raises
    ------
    DamagedError
        When zarr cannot open it.
    """
    import zarr

    refuse_cut_blosc()
    version = 3 if "zarr.json" in keys.sizes else 2
    tree = StoredTree("zarr3" if version == 3 else "zarr2", problems=list(keys.problems))
    documents = read_documents(keys, version, tree.problems)
    with ExitStack() as stack:
        with errors_as_damage(path.name):
            store: Any = zarr.storage.LocalStore(path, read_only=True)
            if not path.is_dir():
                archive = zarr.storage.ZipStore(path, mode="r", read_only=True)
                store = stack.enter_context(contextlib.closing(archive))
        _StoreReader(keys, version, store, tree).add_all(documents)
        yield tree


class _StoreReader:
    """Makes nodes of documents, and accounts for every key."""

    def __init__(self, keys: StoreKeys, version: int, store: Any, tree: StoredTree) -> None:
        self.keys, self.version, self.store, self.tree = keys, version, store, tree

    def add_all(self, documents: Mapping[str, Document]) -> None:
        """Add a node for each document, and note missing chunks and foreign files."""
        expected = {key for key in self.keys.sizes if self._is_document(key)}
        for key, document in documents.items():
            path, _, name = key.rpartition("/")
            try:
                if name == ".zattrs":
                    pass
                elif name == ".zgroup" or document.get("node_type") == "group":
                    self.tree.nodes[path] = StoredGroup(
                        path, self._attributes(path, document, documents)
                    )
                else:
                    array = self._describe(path, document, documents)
                    self.tree.nodes[path] = array
                    expected |= self._find_chunks(array)
            except UNREADABLE as error:
                self.tree.problems.append(f"{key}: cannot be used ({describe(error)})")
        foreign = [key for key in self.keys.sizes if key not in expected]
        self._note(foreign, "is not a file of a ready file", self.tree.problems)

    def _is_document(self, key: str) -> bool:
        name = key.rpartition("/")[2]
        if self.version == 3:
            return name == "zarr.json"
        return key == ".zmetadata" or name in DOCUMENTS - {".zmetadata", "zarr.json"}

    def _attributes(
        self, path: str, document: Document, documents: Mapping[str, Document]
    ) -> Mapping[str, Any]:
        if self.version == 3:
            return dict(document.get("attributes", {}))
        return dict(documents.get(f"{path}/.zattrs".lstrip("/"), {}))

    def _describe(
        self, path: str, document: Document, documents: Mapping[str, Document]
    ) -> StoredArray:
        describe_array = _describe_2 if self.version == 2 else _describe_3
        facts = describe_array(document)
        return StoredArray(
            path=path,
            attributes=self._attributes(path, document, documents),
            shape=tuple(int(n) for n in document["shape"]),
            open_values=functools.cache(functools.partial(self._open, path)),
            **facts,
        )

    def _open(self, path: str) -> Any:
        import zarr

        version: Any = self.version
        return zarr.open_array(self.store, path=path, mode="r", zarr_format=version)

    def _find_chunks(self, array: StoredArray) -> set[str]:
        """Return the keys of the chunks or shards of an array, and note those that are missing."""
        grid = _grid(array.shape, array.shards or array.chunks or ())
        if prod(grid) > len(self.keys.sizes):  # a damaged shape may ask for any number
            what = f"most of its {prod(grid):,} chunks are missing"
            self.tree.missing.append(f"{array.path}: {what}")
            return {key for key in self.keys.sizes if key.startswith(f"{array.path}/")}
        keys = {_chunk_key(array.path, index, self.version) for index in np.ndindex(grid)}
        missing = sorted(key for key in keys if key not in self.keys.sizes)
        self._note(missing, "is missing", self.tree.missing)
        if array.shards is not None and not missing:
            for chunks in count_chunks(array.open_values(), array.path):
                if chunks.missing:
                    what = f"{chunks.missing:,} of {chunks.total:,} chunks are missing"
                    self.tree.missing.append(f"{array.path}: {what}")
        return keys

    def _note(self, keys: list[str], what: str, lines: list[str]) -> None:
        lines += [f"{key}: {what}" for key in keys[:_LISTED]]
        if len(keys) > _LISTED:
            lines.append(f"... and {len(keys) - _LISTED:,} more: each {what}")


def _grid(shape: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-n // step) for n, step in zip(shape, chunks, strict=True))


def _chunk_key(path: str, index: tuple[int, ...], version: int) -> str:
    position = [str(i) for i in index]
    if version == 2:
        return f"{path}/{'.'.join(position) or '0'}"
    return "/".join([path, "c", *position])


def _describe_2(document: Document) -> dict[str, Any]:
    name = document["dtype"]
    coding = {key: value for key, value in document.items() if key not in ("shape", "chunks")}
    return {
        "dtype": TEXT if name == "|O" else str(np.dtype(name).str),
        "chunks": tuple(int(n) for n in document["chunks"]),
        "coding": coding,
    }


def _describe_3(document: Document) -> dict[str, Any]:
    name = document["data_type"]
    chunks = tuple(int(n) for n in document["chunk_grid"]["configuration"]["chunk_shape"])
    codecs, shards = document["codecs"], None
    if codecs[0]["name"] == "sharding_indexed":
        settings = codecs[0]["configuration"]
        shards, chunks = chunks, tuple(int(n) for n in settings["chunk_shape"])
        codecs = settings["codecs"]
    return {
        "dtype": TEXT if name == "string" else str(np.dtype(name).newbyteorder("<").str),
        "chunks": chunks,
        "coding": {**document, "codecs": codecs},
        "shards": shards,
    }
