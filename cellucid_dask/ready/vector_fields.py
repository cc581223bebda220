"""Which arrays of obsm are vector fields, by their names and widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EMBEDDING: Final = "X_"  # begins the key of an embedding, and never that of a vector field


def find_vector_fields(widths: Mapping[str, int]) -> dict[str, tuple[str, str]]:
    """Find the vector fields among arrays of obsm.

    The key of a field on the embedding ``X_BASIS`` is ``FIELD_BASIS``. Of several bases that fit,
    the longest counts; its embedding has as many columns as the field, or the array is none.

    Parameters
    ----------
    widths
        Columns of each array.

    Returns
    -------
    By key, the name of the field and the key of its embedding.
    """
    found: dict[str, tuple[str, str]] = {}
    for key, width in widths.items():
        parsed = _parse(key, widths)
        if parsed is not None and widths[parsed[1]] == width:
            found[key] = parsed
    return found


def _parse(key: str, widths: Mapping[str, int]) -> tuple[str, str] | None:
    if key.startswith(EMBEDDING):
        return None
    parts = key.split("_")
    for i in range(1, len(parts)):  # the first that fits has the longest basis
        field, basis = "_".join(parts[:i]), "_".join(parts[i:])
        if field and basis and EMBEDDING + basis in widths:
            return field, EMBEDDING + basis
    return None
