"""Work of several threads that comes back in order, with little of it in memory at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Called with the name of a stage, the number of its steps and what they are; the context gives a
# function that says one more is done. `cellucid_dask.compute.progress.Reporter.stage` is one.
Progress: TypeAlias = Callable[[str, int, str], AbstractContextManager[Callable[[], object]]]


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Results of `function` for each item, in their order.

    Items are made in the thread that asks for results, never more than a few ahead.
    """
    if workers == 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="verify")
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def unseen(_name: str, _total: int, _unit: str) -> Iterator[Callable[[], object]]:
    """Progress that nobody looks at."""
    yield lambda: None
