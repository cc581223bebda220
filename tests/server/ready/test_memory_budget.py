"""Steps of a virtual store share memory and cores."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import pytest

from cellucid_dask.server.ready.memory_budget import MemoryBudget


def test_steps_never_take_more_than_there_is() -> None:
    budget, lock = MemoryBudget(100, 3), Lock()
    running, most = list[int](), [0, 0]

    def step(need: int) -> None:
        with budget.take(need):
            with lock:
                running.append(need)
                most[0], most[1] = max(most[0], sum(running)), max(most[1], len(running))
            for _ in range(200):
                random.random()
            with lock:
                running.remove(need)

    needs = [random.Random(i).choice([0, 1, 30, 60, 100]) for i in range(400)]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(step, needs))
    assert most[0] <= 100
    assert most[1] <= 3


def test_what_fits_runs_at_the_same_time() -> None:
    budget, together = MemoryBudget(100, 2), Barrier(2)

    def step(need: int) -> None:
        with budget.take(need):
            together.wait(60)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(step, [40, 60]))


def test_a_step_that_needs_more_than_all_runs_alone() -> None:
    budget = MemoryBudget(100, 2)
    with budget.take(1000):
        pass
    with pytest.raises(ValueError, match="fails"), budget.take(1000):
        raise ValueError("it fails")
    with budget.take(100):  # what a step took that failed is free again
        pass
