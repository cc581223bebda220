"""Virtual stores of inputs, compared key by key with what `export` writes of the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np

from cellucid_dask import export
from cellucid_dask.exporter.on_demand_ready import check_ready_on_demand
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.ready.layout import MatrixLayout
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.ready.zarr_keys import chunk_key
from cellucid_dask.server.datasets.temporary_folder import make_folder
from cellucid_dask.server.http.cache import ContentCache
from cellucid_dask.server.http.content import Content
from cellucid_dask.server.ready.open_virtual import open_virtual
from cellucid_dask.server.ready.virtual_store import VirtualStore
from cellucid_dask.source.open import open_source

MEMORY = 512_000_000


@dataclass
class StoredExpression:
    """X of a store that was exported.

    Parameters
    ----------
    wait
        Is called before X is described.
    """

    store: Path
    wait: Callable[[], None] = lambda: None
    calls: list[str] = field(default_factory=list)

    def matrix_layout(self) -> MatrixLayout:
        self.wait()
        where = self.store / "X"
        data = where / "data" if (where / "data").is_dir() else where
        document = json.loads((data / ".zarray").read_text())
        sparse = data != where
        shape = (
            json.loads((where / ".zattrs").read_text())["shape"] if sparse else document["shape"]
        )
        return MatrixLayout(
            tuple(shape), document["dtype"], document["shape"][0] if sparse else None
        )

    def pointers(self) -> np.ndarray | None:
        if not (self.store / "X" / "indptr").is_dir():
            return None
        files = {
            str(path.relative_to(self.store)): path.read_bytes()
            for path in (self.store / "X" / "indptr").iterdir()
        }
        return decode(files, "X/indptr").astype(np.int64)

    def chunk(self, node: ArrayNode, number: int) -> bytes:
        self.calls.append(node.path)
        return (self.store / chunk_key(node, number, 2)).read_bytes()

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def progress(self) -> dict[str, Any]:
        return {"state": "ready"}


@contextmanager
def opened(
    data: Any, folder: Path, *, mark: str = "mark", **options: Any
) -> Iterator[VirtualStore]:
    """Open the virtual store of data, with its caches below `folder`."""
    wanted, problems = ExportOptions.from_keywords({"format": "zarr", **options})
    store = open_virtual(
        open_source(data, wanted.modality),
        wanted,
        ServeOptions(cache_dir=folder / "cache"),
        ContentCache(64_000_000),
        mark,
        problems=problems,
    )
    try:
        yield store
    finally:
        store.close()


@contextmanager
def opened_on(
    data: Any,
    exported: Path,
    *,
    wait: Callable[[], None] = lambda: None,
    is_unchanged: Callable[[], bool] = lambda: True,
    **options: Any,
) -> Iterator[VirtualStore]:
    """Open a virtual store whose X is that of an export of the same data.

    Parameters
    ----------
    wait
        Is called before X is described.
    """
    wanted, problems = ExportOptions.from_keywords({"format": "zarr", **options})
    catalog = check_ready_on_demand(open_source(data, wanted.modality), wanted, MEMORY, problems)
    store = VirtualStore(
        catalog,
        None if catalog.genes is None else StoredExpression(exported, wait),
        make_folder(),
        ContentCache(64_000_000),
        memory=MEMORY,
        tag="tag",
        is_unchanged=is_unchanged,
    )
    try:
        yield store
    finally:
        store.close()


def export_store(data: Any, folder: Path, name: str, **options: Any) -> Path:
    """Export data as a zarr folder whose name is that which a server gives them."""
    out = folder / f"{name}.zarr"
    export(data, out, format="zarr", quiet=True, workers=1, **options)
    return out


def read_files(store: Path) -> dict[str, bytes]:
    """All keys of a store on the disk."""
    return {
        path.relative_to(store).as_posix(): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file()
    }


def body_of(content: Content | None) -> bytes:
    """The bytes of a content."""
    assert content is not None
    body = content.body if isinstance(content.body, bytes) else content.body.read_bytes()
    assert len(body) == content.size
    return body


def assert_equals_export(store: VirtualStore, exported: Path) -> None:
    """Every key of an export, and no other; X is compared decoded, all else byte by byte."""
    wanted = read_files(exported)
    found = {key: body_of(store.find(key)) for key in sorted(wanted, key=_late_documents)}
    for key, body in wanted.items():
        if key == ".zmetadata" or (key.startswith("X") and key.endswith(".zarray")):
            mine, theirs = (_without_codecs(key, json.loads(one[key])) for one in (found, wanted))
            assert mine == theirs, key
        elif not key.startswith("X/") or key.endswith((".zattrs", ".zgroup")):
            assert found[key] == body, key
    for key in wanted:
        if key.startswith("X") and key.endswith("/.zarray"):
            path = key.removesuffix("/.zarray")
            np.testing.assert_array_equal(decode(found, path), decode(wanted, path), strict=True)
    for key in absent_keys(wanted):
        assert store.find(key) is None, key


def absent_keys(files: dict[str, bytes]) -> list[str]:
    """Keys that a store has not, made of those that it has."""
    groups = {key.rpartition("/")[0] for key in files}
    arrays = {key.removesuffix("/.zarray") for key in files if key.endswith("/.zarray")}
    made = {f"{group}/none".lstrip("/") for group in groups}
    made |= {f"{group}/{name}".lstrip("/") for group in groups for name in (".zarray", ".zgroup")}
    made |= {f"{group}/.zmetadata" for group in groups if group}
    for array in arrays:
        made |= {f"{array}/{i}" for i in ("-1", "00", "1e0", "0.", ".0", "0.0", "0.0.0", "0/0")}
        made |= {f"{array}/{10**i}" for i in range(0, 30, 7)}
    return sorted(made - files.keys())


def decode(files: dict[str, bytes], path: str) -> np.ndarray:
    """An array of numbers, by what its document says and without our code."""
    document = json.loads(files[f"{path}/.zarray"])
    shape, chunks, dtype = document["shape"], document["chunks"], np.dtype(document["dtype"])
    codec = numcodecs.get_codec(document["compressor"])
    filters = [numcodecs.get_codec(one) for one in document["filters"] or ()]
    whole = np.zeros([-(-n // size) * size for n, size in zip(shape, chunks, strict=True)], dtype)
    for place in np.ndindex(*(-(-n // size) for n, size in zip(shape, chunks, strict=True))):
        raw = codec.decode(files[f"{path}/{'.'.join(map(str, place))}"])
        for one in reversed(filters):
            raw = one.decode(raw)
        part = np.frombuffer(raw, dtype).reshape(chunks)
        whole[tuple(slice(i * n, (i + 1) * n) for i, n in zip(place, chunks, strict=True))] = part
    return whole[tuple(slice(0, n) for n in shape)]


def _late_documents(key: str) -> tuple[bool, str]:
    return ("/." in key or key.startswith("."), key)


def _without_codecs(key: str, document: Any) -> Any:
    """A document without the codecs of X."""
    if key == ".zmetadata":
        metadata = {name: _without_codecs(name, one) for name, one in document["metadata"].items()}
        return {**document, "metadata": metadata}
    if key.startswith("X") and key.endswith(".zarray"):
        return {**document, "compressor": None, "filters": None}
    return document
