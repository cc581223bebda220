"""Matrices and columns in every layout and kind that files hold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import zarr
from scipy import sparse


def laid_out(matrix: Any, layout: str) -> Any:
    """`matrix` in a layout, as scipy or numpy."""
    dense = matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)
    return dense if layout == "dense" else sparse.csr_matrix(dense).asformat(layout)


def bytes_of_sparse(matrix: Any) -> tuple[bytes, ...]:
    """Return the bytes of the three arrays of a sparse matrix, as they are."""
    indices = (np.asarray(part, np.int64).tobytes() for part in (matrix.indices, matrix.indptr))
    return matrix.data.tobytes(), *indices


def numbers(dtype: str, shape: tuple[int, int]) -> np.ndarray:
    """Mostly zeros, with values over the whole range of `dtype`."""
    rng = np.random.default_rng(5)
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        values = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    else:
        values = (rng.normal(size=shape) * 3).astype(dtype)
    return np.where(rng.random(shape) < 0.3, values, np.zeros(1, dtype))


def store_anew(path: Path, *keys: str, **how: Any) -> None:
    """Write datasets of an h5ad file again in another way."""
    with h5py.File(path, "r+") as file:
        for key in keys:
            attributes, values = dict(file[key].attrs), file[key][:]
            del file[key]
            file.create_dataset(key, data=values, **how).attrs.update(attributes)


def untidy(layout: str, dtype: str = "float32", *, index: Any = np.int64) -> Any:
    """A matrix with shuffled indices, triple entries, explicit zeros and -0.0.

    The values of an entry that stands three times have a sum that depends on their order.
    """
    rng = np.random.default_rng(6)
    shape = (220, 30)
    n_major, n_minor = shape if layout == "csr" else shape[::-1]
    data, indices, indptr = [], [], [0]
    for _ in range(n_major):
        minor = rng.permutation(n_minor)[: n_minor // 3].repeat(3)
        order = rng.permutation(minor.size)
        values = (rng.normal(size=minor.size) * 10.0 ** rng.integers(-3, 4, minor.size)).astype(
            dtype
        )
        values[::5] = 0
        if values.dtype.kind == "f":
            values[1::7] = -0.0
        data.append(values)
        indices.append(minor[order])
        indptr.append(indptr[-1] + minor.size)
    made = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}[layout](shape, dtype=dtype)
    made.data = np.concatenate(data)
    made.indices = np.concatenate(indices).astype(index)
    made.indptr = np.asarray(indptr, index)
    return made


def columns(n: int = 220) -> dict[str, Any]:
    """obs columns of every kind that anndata writes."""
    rng = np.random.default_rng(7)
    some = np.arange(n) % 4 == 1
    words = np.asarray(["beta", "alpha", "Γ", "zz top", "10", "9"], dtype=object)[
        rng.integers(0, 6, n)
    ]
    floats = rng.normal(size=n)
    return {
        "unused": pd.Categorical(words, [*np.unique(words), "never", "neither"]),
        "ordered": pd.Categorical(words, ["zz top", "alpha", "9", "Γ", "10", "beta"], ordered=True),
        "gaps": pd.Categorical(np.where(some, None, words)),
        "int categories": pd.Categorical(rng.integers(-3, 12, n)),
        "float categories": pd.Categorical(rng.integers(0, 4, n) / 3),
        "bool categories": pd.Categorical(rng.random(n) < 0.5),
        "all missing": pd.Categorical([None] * n, ["a", "b"]),
        "no categories": pd.Categorical([None] * n),
        "one category": pd.Categorical(["x"] * n),
        "256 categories": pd.Categorical(rng.integers(0, 256, n), range(256)),
        "254 categories": pd.Categorical(rng.integers(0, 254, n), range(254)),
        "text": words,
        "bool": rng.random(n) < 0.5,
        "nullable bool": pd.array(np.where(some, None, rng.random(n) < 0.5), "boolean"),
        "nullable text": pd.array(np.where(some, None, words), "string"),
        "int8": rng.integers(-128, 127, n, np.int8),
        "uint64": rng.integers(2**63, 2**64 - 1, n, np.uint64),
        "int64": rng.integers(-(2**62), 2**62, n),
        "float16": floats.astype(np.float16),
        "float32": floats.astype(np.float32),
        "infinite": np.where(some, np.inf, floats),
        "partly nan": np.where(some, np.nan, floats),
        "all nan": np.full(n, np.nan),
        "constant": np.full(n, -3.5),
        "huge": np.where(some, 1e300, floats),
        "tiny range": 1 + (np.arange(n) % 2) * 1e-7,
        "a b": floats,
        "µm² Zelle": floats,
        "..dots..": floats,
    }


def spoil_chunks(folder: Path) -> None:
    """Overwrite the chunks of a zarr array with what no codec reads; shards keep their index."""
    chunks = [file for file in folder.rglob("*") if file.is_file() and is_chunk(file)]
    assert chunks
    array = zarr.open_array(folder, mode="r")
    per_shard = [n // c for n, c in zip(array.shards or (), array.chunks, strict=False)]
    for path in chunks:
        raw = path.read_bytes()
        values = len(raw) - (16 * math.prod(per_shard) + 4 if per_shard else 0)
        path.write_bytes(b"\xff" * values + raw[values:])


def is_chunk(file: Path) -> bool:
    """Whether a path is that of a chunk of a zarr array: ``0.0`` in format 2, ``c/0/0`` in 3.

    A folder of format 3 may have such a name.
    """
    return file.name.replace(".", "").isdigit()
