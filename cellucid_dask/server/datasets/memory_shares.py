"""How a server shares out the memory of its responses: a cache, and responses in preparation."""

from __future__ import annotations

from typing import Final

from cellucid_dask.options.serve import ServeOptions

_PARTS: Final = 4  # one of them is for responses in preparation
_LEAST_CACHE: Final = 16_000_000  # bytes
_LEAST_PREPARATION: Final = 64_000_000  # bytes


def cache_share(serving: ServeOptions) -> int:
    """Bytes of the cache of responses."""
    return max(serving.cache_bytes(), _LEAST_CACHE) * (_PARTS - 1) // _PARTS


def preparation_share(serving: ServeOptions) -> int:
    """Bytes for responses in preparation."""
    return max(serving.cache_bytes() // _PARTS, _LEAST_PREPARATION)
