"""The arrays of an export, read without any of the code that writes them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cellucid_dask import format as fmt
from cellucid_dask.verify.export_folder.contents import CategoricalField, Contents, Values
from cellucid_dask.verify.export_folder.files import DamagedError, ExportFiles

Array: TypeAlias = NDArray[Any]
Float64: TypeAlias = NDArray[np.float64]

HEADER: Final = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0])  # gzip, deflate, no name, mtime 0
_INFLATED_PIECE: Final = 1 << 20  # bytes that are inflated at a time


@dataclass(frozen=True, slots=True)
class ArrayReader:
    """Reader of the arrays that the manifests promise."""

    files: ExportFiles
    contents: Contents

    def read_array(self, resource: fmt.Resource, dtype: str, count: int) -> Array:
        """Read the (count,) values of a file.

        Raises
        ------
        DamagedError
            When the file is damaged, or does not hold exactly `count` values.
        """
        expected = count * np.dtype(dtype).itemsize
        raw = self.files.read(resource.path)
        data = self._inflate(raw, resource.path, expected) if resource.gz else raw
        if len(data) != expected:
            size = (
                f"more than {expected}" if resource.gz and len(data) > expected else str(len(data))
            )
            raise DamagedError(f"{resource.path}: holds {size} bytes, not {expected}")
        return np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))

    def _inflate(self, raw: bytes, path: str, expected: int) -> bytes:
        if self.contents.is_native and not raw.startswith(HEADER):
            raise DamagedError(f"{path}: is not a gzip member without a name and with mtime 0")
        inflater = zlib.decompressobj(wbits=31)
        try:
            data = inflater.decompress(raw, expected + 1)
        except zlib.error as error:
            raise DamagedError(f"{path}: cannot be inflated ({error})") from error
        if len(data) <= expected and not inflater.eof:
            raise DamagedError(f"{path}: the gzip member is cut off")
        if inflater.unused_data:
            raise DamagedError(f"{path}: has bytes after the gzip member")
        return data

    def read_points(self, dim: int) -> Array:
        """Read (n_cells, dim) float32."""
        return self.read_embedding(self.contents.points[dim])

    def read_embedding(self, resource: fmt.Resource) -> Array:
        """Read (n_cells, d) float32 of the points of an embedding."""
        n = self.contents.n_cells
        return self.read_array(resource, "float32", n * resource.dim).reshape(n, resource.dim)

    def read_vectors(self, field: str, dim: int) -> Array:
        """Read (n_cells, dim) float32."""
        n = self.contents.n_cells
        return self.read_array(self.contents.vectors[field][dim], "float32", n * dim).reshape(
            n, dim
        )

    def read_stored(self, field: Values) -> Array:
        """Read (n_cells,) values as they are stored: float32 or codes."""
        return self.read_array(field.resource, fmt.value_dtype(field.bits), self.contents.n_cells)

    def read_codes(self, field: CategoricalField) -> Array:
        """Read (n_cells,) codes of the categories; -1 where missing."""
        stored = self.read_array(field.resource, field.code.dtype, self.contents.n_cells)
        codes = stored.astype(np.int64)
        codes[stored == field.code.missing] = -1
        return codes

    def read_edges(self) -> tuple[Array, Array]:
        """Read lower and higher cell of every edge, (n_edges,) unsigned integers each."""
        count, dtype = (self.contents.edges or (0, 0))[0], fmt.index_dtype(self.contents.n_cells)
        src = self.read_array(self.contents.src, dtype, count)
        return src, self.read_array(self.contents.dst, dtype, count)

    def read_edges_in_pieces(self, step: int) -> Iterator[tuple[Array, Array]]:
        """Read edges, `step` at a time.

        Raises
        ------
        DamagedError
            As `read_edges`, for the same file. Damage may show only after the last piece.
        """
        low_pieces, high_pieces = (
            self._read_pieces(resource, step) for resource in (self.contents.src, self.contents.dst)
        )
        while True:
            low = next(low_pieces, None)
            try:
                high = next(high_pieces, None)
            except DamagedError:
                for _ in low_pieces:  # damage of the first file is reported, not that of the second
                    pass
                raise
            if low is None or high is None:
                return
            yield low, high

    def _read_pieces(self, resource: fmt.Resource, step: int) -> Iterator[Array]:
        """Read all values of a file of edges, `step` at a time."""
        count, dtype = (self.contents.edges or (0, 0))[0], fmt.index_dtype(self.contents.n_cells)
        little = np.dtype(dtype).newbyteorder("<")
        expected, width, size, held = (
            count * little.itemsize,
            step * little.itemsize,
            0,
            bytearray(),
        )
        blocks = self.files.read_blocks(resource.path)
        pieces = self._inflate_in_pieces(blocks, resource.path, expected) if resource.gz else blocks
        for piece in pieces:
            size += len(piece)
            if size > expected:
                continue
            held += piece
            complete = len(held) - len(held) % width
            for start in range(0, complete, width):
                yield np.frombuffer(bytes(held[start : start + width]), little)
            del held[:complete]
        if size != expected:
            found = f"more than {expected}" if resource.gz and size > expected else str(size)
            raise DamagedError(f"{resource.path}: holds {found} bytes, not {expected}")
        if held:
            yield np.frombuffer(bytes(held), little)

    def _inflate_in_pieces(
        self, blocks: Iterator[bytes], path: str, expected: int
    ) -> Iterator[bytes]:
        """Inflate as `_inflate` does, in pieces; all blocks are read, also of a bad member."""
        inflater, size = zlib.decompressobj(wbits=31), 0
        tail, problem = next(blocks, b""), ""
        if self.contents.is_native and not tail.startswith(HEADER):
            problem = "is not a gzip member without a name and with mtime 0"
        while not problem and not inflater.eof and size <= expected:
            tail = tail or next(blocks, b"")
            try:
                data = inflater.decompress(tail, min(_INFLATED_PIECE, expected + 1 - size))
            except zlib.error as error:
                problem = f"cannot be inflated ({error})"
                break
            if not data and not tail:
                problem = "the gzip member is cut off"
            tail, size = inflater.unconsumed_tail, size + len(data)
            yield data
        more = sum(map(len, blocks))
        if inflater.eof and (more or inflater.unused_data):
            problem = problem or "has bytes after the gzip member"
        if problem:
            raise DamagedError(f"{path}: {problem}")


def decode_values(field: Values, stored: Array) -> Float64:
    """Return the (n_cells,) numbers that a viewer computes; NaN where missing."""
    if field.bits is None:
        return stored.astype(np.float64)
    missing, (lo, hi) = fmt.CODES[field.bits].missing, field.span
    values: Float64 = lo + stored.astype(np.float64) * (hi - lo) / (missing - 1)
    values[stored == missing] = np.nan
    return values


def group_cells(codes: Array, n: int) -> list[Array]:
    """Return the cells of each of `n` categories, in the order of the cells."""
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(n + 1))
    return [order[bounds[i] : bounds[i + 1]] for i in range(n)]
