"""Places for long answers: each holds a thread, so they are shared out among the clients."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from threading import Condition
from time import monotonic
from typing import Final

PLACES: Final = 40  # long answers at a time, of the 64 requests that are served at a time
OF_ONE: Final = 20  # of them to one peer: a browser has 6 connections, a proxy has many clients
WAIT: Final = 1.0  # seconds for a place to become free
SLOW: Final = 250_000  # bytes per second; who takes less gives way when all places are taken
SLOW_AFTER: Final = 10.0  # seconds before that is asked
UNREAD: Final = (
    4_000_000  # bytes that are on their way, of which nobody knows whether they are read
)
LEAVING: Final = 12  # answers that gave way, and hold their thread until their client reads on


class BusyError(Exception):
    """Too many long answers are under way."""


@dataclass(slots=True, eq=False)
class Place:
    """The right to send a long answer.

    Parameters
    ----------
    peer
        Address of the client.
    release
        Lets another answer have the place.
    sent
        Bytes until now.
    gave_way
        Whether the place is that of another answer by now.
    """

    peer: str
    release: Callable[[Place], None]
    sent: int = 0
    gave_way: bool = False
    began: float = field(default_factory=monotonic)
    _lately: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, n_bytes: int) -> None:
        """Count bytes that are sent now."""
        now = monotonic()
        self.sent += n_bytes
        self._lately.append((now, n_bytes))
        while self._lately[0][0] < now - SLOW_AFTER:
            self._lately.popleft()

    def pace(self) -> float:
        """Bytes per second lately; infinite as long as it is new.

        Not since the beginning: of what was sent first, megabytes lie in buffers on the way.
        """
        now = monotonic()
        if now - self.began < SLOW_AFTER:
            return inf
        return (
            sum(n for moment, n in tuple(self._lately) if moment >= now - SLOW_AFTER) / SLOW_AFTER
        )


class Places:
    """All places of a process; shared by threads."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._taken: list[Place] = []
        self._leaving = 0

    def take(self, peer: str) -> Place:
        """Take a place, from a client that hardly reads where none is free.

        Raises
        ------
        BusyError
            When none becomes free in time.
        """
        with self._changed:
            if not self._has_room(peer):
                self._clear_one(peer)
            if not self._changed.wait_for(lambda: self._has_room(peer), WAIT):
                raise BusyError
            place = Place(peer, self._release)
            self._taken.append(place)
            return place

    def _has_room(self, peer: str) -> bool:
        return len(self._taken) < PLACES and len(self._of(peer)) < OF_ONE

    def _of(self, peer: str) -> list[Place]:
        return [place for place in self._taken if place.peer == peer]

    def _clear_one(self, peer: str) -> None:
        """Take the place of the slowest answer: of the peer itself where that has its share."""
        mine = self._of(peer)
        slowest = min(mine if len(mine) >= OF_ONE else self._taken, key=Place.pace)
        if slowest.pace() < SLOW and self._leaving < LEAVING:
            slowest.gave_way = True
            self._taken.remove(slowest)
            self._leaving += 1

    def _release(self, place: Place) -> None:
        with self._changed:
            if place.gave_way:
                self._leaving -= 1
            else:
                self._taken.remove(place)
            self._changed.notify_all()


places: Final = Places()
