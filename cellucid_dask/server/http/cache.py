"""One byte-bounded cache for all answers: what is asked for twice at once is made once."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition
from typing import Any

from cachetools import LRUCache, cached

from cellucid_dask.server.http.content import Content

ENTRY = 2_000  # bytes an entry takes besides its body


def _weight(content: Content) -> int:
    return (len(content.body) if isinstance(content.body, bytes) else 0) + ENTRY


class ContentCache:
    """Contents by key, the least recently used given up first; shared by threads.

    Parameters
    ----------
    n_bytes
        Bound on the bodies that are held together.
    """

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self._held: LRUCache[Any, Content] = LRUCache(n_bytes, getsizeof=_weight)
        self._get = cached(self._held, key=lambda key, _: key, condition=Condition())(
            lambda _, make: make()
        )

    def get(self, key: tuple[Any, ...], make: Callable[[], Content]) -> Content:
        """Content under `key`; the first who asks makes it, others wait; errors are not kept."""
        return self._get(key, make)

    @property
    def used(self) -> int:
        """Bytes that are held now."""
        return int(self._held.currsize)

    def clear(self) -> None:
        """Forget everything."""
        self._get.cache_clear()


class OncePerKey:
    """Results of steps that are done at most once each, however many threads ask."""

    def __init__(self) -> None:
        self._run = cached({}, key=lambda key, _: key, condition=Condition())(
            lambda _, make: make()
        )

    def __call__(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Return what `make` returned when `key` was first asked for; errors are not kept."""
        return self._run(key, make)
