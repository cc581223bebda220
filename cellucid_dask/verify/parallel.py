"""Checks that run in several threads; their problems come back in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias, TypeVar

import numpy as np

from cellucid_dask.verify.export_folder.files import yield_damage

Item = TypeVar("Item")
Result = TypeVar("Result")

# Called with the name of a stage, its number of steps and the unit of a step. It returns a context
# manager, which gives a function to call after each step.
# `cellucid_dask.compute.progress.Reporter.stage` is one.
Progress: TypeAlias = Callable[[str, int, str], AbstractContextManager[Callable[[], object]]]


class ProblemCollector:
    """Threads that run checks. The problems and their order do not depend on their number."""

    def __init__(self, workers: int, progress: Progress) -> None:
        self.workers, self.progress = workers, progress

    def run_stage(
        self, name: str, unit: str, total: int, checks: Iterable[Iterator[str]]
    ) -> list[str]:
        """Return all problems of `total` checks, each of them consumed by one thread."""
        if not total:
            return []
        problems: list[str] = []
        with self.progress(name, total, unit) as advance:
            for of_check in map_in_order(collect_problems, checks, self.workers):
                problems.extend(of_check)
                advance()
        return problems


def collect_problems(check: Iterator[str]) -> list[str]:
    """Run one check, and return its problems."""
    with np.errstate(all="ignore"):  # damaged numbers overflow
        return list(yield_damage(check))


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Yield the result of `function` for each item, in the order of the items.

    Items are made in the thread that asks for results, and only a few ahead: few are in memory.
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
def ignore_progress(_name: str, _total: int, _unit: str) -> Iterator[Callable[[], object]]:
    """Show no progress."""
    yield lambda: None
