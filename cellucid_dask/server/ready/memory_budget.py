"""How many steps run at a time: no more than there are cores, and no more than fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class MemoryBudget:
    """Lets threads wait until there is room for what they will do.

    Parameters
    ----------
    n_bytes
        Memory of all steps that run at a time; one that needs more runs alone.
    slots
        Steps that run at a time.
    """

    def __init__(self, n_bytes: int, slots: int) -> None:
        self._all = self._free = n_bytes
        self._slots = slots
        self._changed = Condition()

    @contextmanager
    def take(self, n_bytes: int) -> Iterator[None]:
        """Wait for room for `n_bytes`, and hold it within the block."""
        n_bytes = min(n_bytes, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._slots > 0 and n_bytes <= self._free)
            self._slots -= 1
            self._free -= n_bytes
        try:
            yield
        finally:
            with self._changed:
                self._slots += 1
                self._free += n_bytes
                self._changed.notify_all()
