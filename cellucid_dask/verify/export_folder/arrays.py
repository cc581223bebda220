"""The arrays of an export, read without any of the code that writes them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cellucid_dask import format as fmt
from cellucid_dask.verify.export_folder.contents import Category, Contents, Values
from cellucid_dask.verify.export_folder.tree import DamagedError, Files

Array: TypeAlias = NDArray[Any]
Float64: TypeAlias = NDArray[np.float64]

_HEADER: Final = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0])  # gzip, deflate, no name, mtime 0
_PIECE: Final = 1 << 20  # bytes that are inflated together


@dataclass(frozen=True, slots=True)
class Reader:
    """Arrays of the export that `files` are."""

    files: Files
    contents: Contents

    def array(self, resource: fmt.Resource, dtype: str, count: int) -> Array:
        """(count,) values of the file.

        Raises
        ------
        DamagedError
            When the file does not hold exactly these.
        """
        wanted = count * np.dtype(dtype).itemsize
        raw = self.files.read(resource.path)
        data = self._inflated(raw, resource.path, wanted) if resource.gz else raw
        if len(data) != wanted:
            size = f"more than {wanted}" if resource.gz and len(data) > wanted else str(len(data))
            raise DamagedError(f"{resource.path}: holds {size} bytes, not {wanted}")
        return np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))

    def _inflated(self, raw: bytes, path: str, wanted: int) -> bytes:
        if self.contents.ours and not raw.startswith(_HEADER):
            raise DamagedError(f"{path}: is no gzip member without a name and with mtime 0")
        inflater = zlib.decompressobj(wbits=31)
        try:
            data = inflater.decompress(raw, wanted + 1)
        except zlib.error as error:
            raise DamagedError(f"{path}: cannot be inflated ({error})") from error
        if len(data) <= wanted and not inflater.eof:
            raise DamagedError(f"{path}: the gzip member is cut off")
        if inflater.unused_data:
            raise DamagedError(f"{path}: has bytes after the gzip member")
        return data

    def points(self, dim: int) -> Array:
        """(n_cells, dim) float32."""
        n = self.contents.n_cells
        return self.array(self.contents.points[dim], "float32", n * dim).reshape(n, dim)

    def vectors(self, field: str, dim: int) -> Array:
        """(n_cells, dim) float32."""
        n = self.contents.n_cells
        return self.array(self.contents.vectors[field][dim], "float32", n * dim).reshape(n, dim)

    def stored(self, field: Values) -> Array:
        """(n_cells,) values as they are stored: float32 or codes."""
        return self.array(field.resource, fmt.value_dtype(field.bits), self.contents.n_cells)

    def codes(self, field: Category) -> Array:
        """(n_cells,) codes of the categories; -1 where missing."""
        stored = self.array(field.resource, field.code.dtype, self.contents.n_cells)
        codes = stored.astype(np.int64)
        codes[stored == field.code.missing] = -1
        return codes

    def edges(self) -> tuple[Array, Array]:
        """Lower and higher cell of every edge, (n_edges,) unsigned integers each."""
        count, dtype = (self.contents.edges or (0, 0))[0], fmt.index_dtype(self.contents.n_cells)
        src = self.array(self.contents.src, dtype, count)
        return src, self.array(self.contents.dst, dtype, count)

    def edge_pieces(self, step: int) -> Iterator[tuple[Array, Array]]:
        """Edges as `edges` has them, `step` at a time.

        Raises
        ------
        DamagedError
            As `edges` does, and of the same file. Damage may show only after the last piece.
        """
        sources, ends = (
            self._pieces(resource, step) for resource in (self.contents.src, self.contents.dst)
        )
        while True:
            low = next(sources, None)
            try:
                high = next(ends, None)
            except DamagedError:
                for _ in sources:  # damage of the first file is told rather than of the second
                    pass
                raise
            if low is None or high is None:
                return
            yield low, high

    def _pieces(self, resource: fmt.Resource, step: int) -> Iterator[Array]:
        """All values of a file of edges, `step` at a time."""
        count, dtype = (self.contents.edges or (0, 0))[0], fmt.index_dtype(self.contents.n_cells)
        little = np.dtype(dtype).newbyteorder("<")
        wanted, width, size, held = count * little.itemsize, step * little.itemsize, 0, bytearray()
        blocks = self.files.blocks(resource.path)
        pieces = self._inflating(blocks, resource.path, wanted) if resource.gz else blocks
        for piece in pieces:
            size += len(piece)
            if size > wanted:
                continue
            held += piece
            whole = len(held) - len(held) % width
            for start in range(0, whole, width):
                yield np.frombuffer(bytes(held[start : start + width]), little)
            del held[:whole]
        if size != wanted:
            text = f"more than {wanted}" if resource.gz and size > wanted else str(size)
            raise DamagedError(f"{resource.path}: holds {text} bytes, not {wanted}")
        if held:
            yield np.frombuffer(bytes(held), little)

    def _inflating(self, blocks: Iterator[bytes], path: str, wanted: int) -> Iterator[bytes]:
        """Inflate what `_inflated` does, in pieces; all blocks are taken, also of a bad member."""
        inflater, size, tail, wrong = zlib.decompressobj(wbits=31), 0, next(blocks, b""), ""
        if self.contents.ours and not tail.startswith(_HEADER):
            wrong = "is no gzip member without a name and with mtime 0"
        while not wrong and not inflater.eof and size <= wanted:
            tail = tail or next(blocks, b"")
            try:
                data = inflater.decompress(tail, min(_PIECE, wanted + 1 - size))
            except zlib.error as error:
                wrong = f"cannot be inflated ({error})"
                break
            if not data and not tail:
                wrong = "the gzip member is cut off"
            tail, size = inflater.unconsumed_tail, size + len(data)
            yield data
        more = sum(map(len, blocks))
        if inflater.eof and (more or inflater.unused_data):
            wrong = wrong or "has bytes after the gzip member"
        if wrong:
            raise DamagedError(f"{path}: {wrong}")


def decode(field: Values, stored: Array) -> Float64:
    """(n_cells,) numbers, as a viewer computes them; NaN where missing."""
    if field.bits is None:
        return stored.astype(np.float64)
    missing, (lo, hi) = fmt.CODES[field.bits].missing, field.span
    values: Float64 = lo + stored.astype(np.float64) * (hi - lo) / (missing - 1)
    values[stored == missing] = np.nan
    return values


def groups(codes: Array, n: int) -> list[Array]:
    """Cells of each of `n` categories, in their order."""
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(n + 1))
    return [order[bounds[i] : bounds[i + 1]] for i in range(n)]
