"""The types of values and codes: their names, file extensions and markers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Code:
    """An unsigned integer code.

    Parameters
    ----------
    dtype
        numpy name of the little-endian type on disk.
    ext
        File extension.
    missing
        The value reserved for NaN, Inf and missing; valid codes are ``0 .. missing - 1``.
    """

    dtype: str
    ext: str
    missing: int


U8: Final = Code("uint8", "u8", 255)
U16: Final = Code("uint16", "u16", 65535)
CODES: Final[Mapping[int, Code]] = {8: U8, 16: U16}
F32_EXT: Final = "f32"


def value_ext(bits: int | None) -> str:
    """Extension of quantized (8, 16) or unquantized (None) values."""
    return F32_EXT if bits is None else CODES[bits].ext


def value_dtype(bits: int | None) -> str:
    """Numpy dtype name of quantized (8, 16) or unquantized (None) values."""
    return "float32" if bits is None else CODES[bits].dtype


def category_code(n_categories: int, choice: str = "auto") -> Code:
    """Code for a categorical column; `choice` is ``auto``, ``uint8`` or ``uint16``."""
    if choice == "auto":
        return U8 if n_categories < U8.missing else U16
    return U8 if choice == "uint8" else U16


def index_dtype(n_cells: int) -> str:
    """Numpy dtype name of the cell indices of edges."""
    if n_cells <= 0xFFFF:
        return "uint16"
    return "uint32" if n_cells <= 0xFFFF_FFFF else "uint64"
