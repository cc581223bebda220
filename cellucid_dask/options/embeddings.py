"""The obsm keys that a user names for each dimension: one, or several with the default first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from cellucid_dask.errors import Problem

Embeddings: TypeAlias = Mapping[int, str | Sequence[str]]


def list_embeddings(embeddings: Embeddings) -> list[tuple[int, str]]:
    """List all of `embeddings`, as dimension and obsm key."""
    return [
        (dim, key)
        for dim, keys in embeddings.items()
        for key in ([keys] if isinstance(keys, str) else keys)
    ]


def first_embeddings(embeddings: Embeddings) -> dict[int, str]:
    """Find the first obsm key of each dimension."""
    return {
        dim: keys if isinstance(keys, str) else keys[0] for dim, keys in embeddings.items() if keys
    }


def unwrap_single(embeddings: Embeddings) -> dict[int, str | tuple[str, ...]]:
    """Replace a list of one key by the key, so that the same choice is spelled in one way."""
    return {
        dim: keys if isinstance(keys, str) else keys[0] if len(keys) == 1 else tuple(keys)
        for dim, keys in embeddings.items()
    }


def find_embedding_problems(embeddings: Embeddings) -> Iterator[Problem]:
    """Find keys that are named twice for a dimension, and dimensions without a key."""
    for dim, keys in embeddings.items():
        listed = [keys] if isinstance(keys, str) else [*keys]
        for key in dict.fromkeys(key for key in listed if listed.count(key) > 1):
            what = f"{key!r} is given twice for {dim}d"
            yield Problem(what, "--embedding", "leave one out")
        if not listed:
            yield Problem(f"no key is given for {dim}d", "--embedding", "write 2d=KEY")
