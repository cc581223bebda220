"""Limit on long responses: each one occupies a thread, so clients share the threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from threading import Condition
from time import monotonic
from typing import Final

MAX_TRANSFERS: Final = 40  # long responses at a time, of the 64 requests that run at a time
MAX_PER_PEER: Final = 20  # of them to one peer: a browser has 6 connections, a proxy many clients
WAIT_SECONDS: Final = 1.0  # for another transfer to end
SLOW_RATE: Final = 250_000  # bytes per second; a slower transfer is evicted when all are in use
RATE_WINDOW: Final = 10.0  # seconds over which the rate is measured
MAX_EVICTED: Final = 12  # evicted transfers whose thread still waits for the client to read


class BusyError(Exception):
    """Too many long responses are being sent."""


@dataclass(slots=True, eq=False)
class Transfer:
    """A long response that is being sent.

    Parameters
    ----------
    peer
        Address of the client.
    release
        Call it at the end; another response may then start.
    sent
        Bytes sent so far.
    evicted
        Whether another transfer took over its part of the quota.
    """

    peer: str
    release: Callable[[Transfer], None]
    sent: int = 0
    evicted: bool = False
    started: float = field(default_factory=monotonic)
    _recent: deque[tuple[float, int]] = field(default_factory=deque)

    def record(self, n_bytes: int) -> None:
        """Count bytes that are sent now."""
        now = monotonic()
        self.sent += n_bytes
        self._recent.append((now, n_bytes))
        while self._recent[0][0] < now - RATE_WINDOW:
            self._recent.popleft()

    def recent_rate(self) -> float:
        """Bytes per second in the last `RATE_WINDOW` seconds; infinite for a new transfer.

        Not the mean since the start: the first megabytes only fill the buffers on the way.
        """
        now = monotonic()
        if now - self.started < RATE_WINDOW:
            return inf
        recent = (n for moment, n in tuple(self._recent) if moment >= now - RATE_WINDOW)
        return sum(recent) / RATE_WINDOW


class ThreadQuota:
    """The long responses of a process; shared by threads."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._active: list[Transfer] = []
        self._n_evicted = 0

    def acquire(self, peer: str) -> Transfer:
        """Start a transfer; evict a slow one when the quota is used up.

        Raises
        ------
        BusyError
            When no transfer ends within `WAIT_SECONDS`.
        """
        with self._changed:
            if not self._has_room(peer):
                self._evict_slowest(peer)
            if not self._changed.wait_for(lambda: self._has_room(peer), WAIT_SECONDS):
                raise BusyError
            transfer = Transfer(peer, self._release)
            self._active.append(transfer)
            return transfer

    def _has_room(self, peer: str) -> bool:
        return len(self._active) < MAX_TRANSFERS and len(self._transfers_to(peer)) < MAX_PER_PEER

    def _transfers_to(self, peer: str) -> list[Transfer]:
        return [transfer for transfer in self._active if transfer.peer == peer]

    def _evict_slowest(self, peer: str) -> None:
        """Evict the slowest transfer: one to the same peer when that has used up its share."""
        own = self._transfers_to(peer)
        candidates = own if len(own) >= MAX_PER_PEER else self._active
        slowest = min(candidates, key=Transfer.recent_rate)
        if slowest.recent_rate() < SLOW_RATE and self._n_evicted < MAX_EVICTED:
            slowest.evicted = True
            self._active.remove(slowest)
            self._n_evicted += 1

    def _release(self, transfer: Transfer) -> None:
        with self._changed:
            if transfer.evicted:
                self._n_evicted -= 1
            else:
                self._active.remove(transfer)
            self._changed.notify_all()


thread_quota: Final = ThreadQuota()
