"""One cache for all contents, bounded in bytes; concurrent requests make a content once."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition
from typing import Any, Final

from cachetools import LRUCache, cached

from cellucid_dask.server.http.content import Content

ENTRY_BYTES: Final = 2_000  # memory of an entry besides its body


def _memory(content: Content) -> int:
    return (len(content.body) if isinstance(content.body, bytes) else 0) + ENTRY_BYTES


class ContentCache:
    """Contents by key; removes the least recently used first. Safe for threads.

    Parameters
    ----------
    n_bytes
        Bound on the memory of all bodies.
    """

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self._contents: LRUCache[Any, Content] = LRUCache(n_bytes, getsizeof=_memory)
        self._get = cached(self._contents, key=lambda key, _: key, condition=Condition())(
            lambda _, make: make()
        )

    def get(self, key: tuple[Any, ...], make: Callable[[], Content]) -> Content:
        """Content of `key`; the first thread makes it, others wait. Errors are not cached."""
        return self._get(key, make)

    @property
    def used(self) -> int:
        """Bytes in use."""
        return int(self._contents.currsize)

    def clear(self) -> None:
        """Remove all contents."""
        self._get.cache_clear()


class OncePerKey:
    """Results of steps that run at most once for each key, for any number of threads."""

    def __init__(self) -> None:
        self._run = cached({}, key=lambda key, _: key, condition=Condition())(
            lambda _, make: make()
        )

    def __call__(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Result of the first `make` of a `key`. Errors are not kept."""
        return self._run(key, make)
