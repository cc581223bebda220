"""Gzip coding of files and of contents, made when a request accepts it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.encode import packed
from cellucid_dask.files import read_array
from cellucid_dask.server.http.content import Content

READ_BYTES: Final = 1 << 24  # of a file, at a time
TEXT_LEVEL: Final = 6


def compress_file(file: Path, level: int) -> Iterator[bytes | memoryview]:
    """Compress a file piece by piece, searching for repeats only."""
    return packed(_pieces(file), level, runs=True)


def compress_content(plain: Content) -> Content:
    """Compress the content of a manifest."""
    assert isinstance(plain.body, bytes)
    array = np.frombuffer(plain.body, np.uint8)
    body = b"".join(packed([array], TEXT_LEVEL))
    return replace(
        plain, body=body, size=len(body), etag=plain.etag + "-z", gzipped=True, varies=True
    )


def _pieces(file: Path) -> Iterator[NDArray[Any]]:
    size = file.stat().st_size
    for start in range(0, size, READ_BYTES):
        yield read_array(str(file), "uint8", start, min(READ_BYTES, size - start))
