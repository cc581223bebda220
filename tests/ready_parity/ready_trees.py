"""Ready files as trees of what is stored, and the comparison of two of them.

It reads with h5py and zarr alone, and knows nothing of `cellucid_dask`.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr

QUANTILES = "uns/cellucid/outlierQuantiles/fields/"


@dataclass(frozen=True)
class Stored:
    """A group or an array.

    Parameters
    ----------
    facts
        Everything about how it is stored, as text of JSON.
    values
        Values of an array; None of a group.
    """

    facts: str
    values: np.ndarray | None = None


def read_tree(path: Path) -> dict[str, Stored]:
    """Read everything of a ready file, by path; the consolidated metadata by its own name."""
    return dict(_read_hdf5(path) if path.suffix == ".h5ad" else _read_zarr(path))


def find_differences(ours: dict[str, Stored], theirs: dict[str, Stored]) -> list[str]:
    """Name what differs: facts, and values to the bit; outlier quantiles to 1e-6."""
    found = [f"{path}: only ours" for path in ours.keys() - theirs.keys()]
    found += [f"{path}: only theirs" for path in theirs.keys() - ours.keys()]
    for path in ours.keys() & theirs.keys():
        mine, other = ours[path], theirs[path]
        if mine.facts != other.facts:
            found.append(f"{path}: {mine.facts} is not {other.facts}")
        elif not _same_values(path, mine.values, other.values):
            found.append(f"{path}: {mine.values} is not {other.values}")
    return sorted(found)


def _same_values(path: str, mine: np.ndarray | None, other: np.ndarray | None) -> bool:
    if mine is None or other is None:
        return mine is other
    if mine.dtype != other.dtype or mine.shape != other.shape:
        return False
    if path.startswith(QUANTILES):
        return bool(np.allclose(mine, other, rtol=0, atol=1e-6, equal_nan=True))
    if mine.dtype.kind == "f":
        unsigned = f"u{mine.dtype.itemsize}"
        both_nan = np.isnan(mine) & np.isnan(other)
        return bool(((mine.view(unsigned) == other.view(unsigned)) | both_nan).all())
    return bool(np.array_equal(mine, other))


def _read_hdf5(path: Path) -> Iterator[tuple[str, Stored]]:
    with h5py.File(path) as file:
        members: list[str] = [""]
        file.visit(members.append)
        for name in members:
            yield name, _hdf5_member(file[name] if name else file)


def _hdf5_member(member: Any) -> Stored:
    facts: dict[str, Any] = {
        "attributes": {key: _attribute(member, key) for key in sorted(member.attrs)}
    }
    if not isinstance(member, h5py.Dataset):
        return Stored(_as_text(facts))
    settings = member.id.get_create_plist()
    filters = [settings.get_filter(i)[:3] for i in range(settings.get_nfilters())]
    text = h5py.check_string_dtype(member.dtype)
    facts |= {
        "shape": member.shape,
        "dtype": [member.dtype.str, text and [text.encoding, text.length]],
        "chunks": member.chunks,
        "filters": filters,
        "fill": None if text else member.fillvalue.item(),
        "layout": settings.get_layout(),
    }
    values = np.asarray(member.asstr()[...] if text else member[...])
    return Stored(_as_text(facts), values)


def _attribute(member: Any, key: str) -> Any:
    """Value and type of an attribute."""
    value, kind = member.attrs[key], member.attrs.get_id(key).dtype
    text = h5py.check_string_dtype(kind)
    value = value.tolist() if hasattr(value, "tolist") else value
    return [value, kind.str, text and [text.encoding, text.length], member.attrs.get_id(key).shape]


def _read_zarr(path: Path) -> Iterator[tuple[str, Stored]]:
    documents = dict(_documents(path))
    for key, document in documents.items():
        if key == ".zmetadata":
            copies = document["metadata"]
            assert {k for k, v in copies.items() if v != {}} == {
                k for k, v in documents.items() if v != {} and k != ".zmetadata"
            }
            document = {k: _without_copies(v) for k, v in copies.items() if v != {}}
        elif key == "zarr.json":
            inner = document["consolidated_metadata"]["metadata"]
            assert {f"{name}/zarr.json" for name in inner} == documents.keys() - {"zarr.json"}
        elif document == {}:
            continue
        yield key, Stored(_as_text(_without_copies(document) if key != ".zmetadata" else document))
    store: Any = path
    if path.suffix == ".zip":
        store = zarr.storage.ZipStore(path, mode="r")
    for key, document in documents.items():
        if key.endswith(".zarray") or document.get("node_type") == "array":
            name = key.rpartition("/")[0]
            values = np.asarray(zarr.open_array(store, path=name, mode="r")[...])
            yield name, Stored("", values.astype(object) if values.dtype.kind in "OT" else values)
    if path.suffix == ".zip":
        store.close()


def _documents(path: Path) -> Iterator[tuple[str, Any]]:
    names = (".zattrs", ".zgroup", ".zarray", ".zmetadata", "zarr.json")
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.name in names:
                yield file.relative_to(path).as_posix(), json.loads(file.read_text("utf-8"))
        return
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED, entry.filename
            if entry.filename.rpartition("/")[2] in names:
                yield entry.filename, json.loads(archive.read(entry))


def _without_copies(document: Any) -> Any:
    """A document without the copies of others in it."""
    return {key: value for key, value in document.items() if key != "consolidated_metadata"}


def _as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return value.tolist() if hasattr(value, "tolist") else str(value)


def list_chunks(path: Path) -> list[str]:
    """Keys of a zarr store that are not metadata: in an archive in its order, else sorted."""
    names = (".zattrs", ".zgroup", ".zarray", ".zmetadata", "zarr.json")
    if path.is_dir():
        keys = [p.relative_to(path).as_posix() for p in sorted(path.rglob("*")) if p.is_file()]
    else:
        with zipfile.ZipFile(path) as archive:
            keys = archive.namelist()
    return [key for key in keys if key.rpartition("/")[2] not in names]
