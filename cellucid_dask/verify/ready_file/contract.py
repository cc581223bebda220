"""How a ready file stores an array: shapes of chunks, filters and codecs, by the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import numpy as np

from cellucid_dask.verify.ready_file.stored import TEXT, Container, StoredArray

# How an array is read: `slices` and `values` are indices and values of expression.
Role = Literal["whole", "rows", "slices", "values", "dense", "scalar"]

_SLICE: Final = 65_536
_WHOLE: Final = 262_144
_LEVEL: Final = 6
_DEFLATE, _SHUFFLE = 1, 2  # numbers of filters of HDF5


def find_misfits(container: Container, array: StoredArray, role: Role) -> Iterator[str]:
    """Compare how an array is stored with the contract."""
    chunks = _expected_chunks(container, array.shape, role)
    if array.chunks != chunks:
        yield f"{array.path}: has chunks of {_shape(array.chunks)}, not {_shape(chunks)}"
    if array.shards is not None and not _is_multiple(array.shards, chunks or ()):
        yield f"{array.path}: has shards of {_shape(array.shards)}, not of whole chunks"
    size = 1 if array.dtype == TEXT else np.dtype(array.dtype).itemsize
    shuffled = size > 1 and role not in ("values", "dense")
    expected = _CODINGS[container](array, size if shuffled else 0, bool(chunks))
    for name, value in expected.items():
        stored = array.coding.get(name)
        if stored != value or type(stored) is not type(value):
            yield f"{array.path}: {name} is {stored!r}, not {value!r}"


def _expected_chunks(
    container: Container, shape: tuple[int, ...], role: Role
) -> tuple[int, ...] | None:
    if role == "scalar":
        return None if container == "h5ad" else ()
    if container == "h5ad" and 0 in shape:
        return None
    if role == "dense":
        rows = min(max(shape[0], 1), _WHOLE)
        return rows, min(max(shape[1], 1), max(1, _WHOLE // rows))
    if role == "rows":
        width = max(1, shape[1])
        return max(1, min(shape[0], _WHOLE // width)), width
    return (max(1, min(shape[0], _SLICE if role in ("slices", "values") else _WHOLE)),)


def _is_multiple(shards: tuple[int, ...], chunks: tuple[int, ...]) -> bool:
    same = len(shards) == len(chunks)
    return same and all(n % step == 0 for n, step in zip(shards, chunks, strict=True))


def _hdf5_coding(_array: StoredArray, shuffled: int, chunked: bool) -> Mapping[str, Any]:
    shuffle = [[_SHUFFLE, [shuffled]]] if shuffled else []
    return {"filters": [*shuffle, [_DEFLATE, [_LEVEL]]] if chunked else []}


def _zarr2_coding(array: StoredArray, shuffled: int, _chunked: bool) -> Mapping[str, Any]:
    filters: Any = [{"id": "shuffle", "elementsize": shuffled}] if shuffled else None
    return {
        "filters": [{"id": "vlen-utf8"}] if array.dtype == TEXT else filters,
        "compressor": {"id": "zlib", "level": _LEVEL},
        "fill_value": _zero(array.dtype),
        "order": "C",
        "dimension_separator": ".",
    }


def _zarr3_coding(array: StoredArray, shuffled: int, _chunked: bool) -> Mapping[str, Any]:
    gzip = {"name": "gzip", "configuration": {"level": _LEVEL}}
    numbers = {"name": "bytes", "configuration": {"endian": "little"}}
    if array.dtype == TEXT:
        codecs = [{"name": "vlen-utf8", "configuration": {}}, gzip]
    elif shuffled:
        settings = {"typesize": shuffled, "cname": "zlib", "clevel": _LEVEL, "shuffle": "shuffle"}
        blosc = {"name": "blosc", "configuration": {**settings, "blocksize": 0}}
        codecs = [numbers, blosc]
    else:
        codecs = [numbers if _needs_endian(array.dtype) else {"name": "bytes"}, gzip]
    return {
        "codecs": codecs,
        "fill_value": _zero(array.dtype),
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    }


def _needs_endian(dtype: str) -> bool:
    return np.dtype(dtype).itemsize > 1


def _zero(dtype: str) -> Any:
    return "" if dtype == TEXT else np.zeros((), dtype).item()


def _shape(shape: tuple[int, ...] | None) -> str:
    return " x ".join(map(str, shape)) if shape else "none"


_CODINGS: Final[Mapping[Container, Any]] = {
    "h5ad": _hdf5_coding,
    "zarr2": _zarr2_coding,
    "zarr3": _zarr3_coding,
}
