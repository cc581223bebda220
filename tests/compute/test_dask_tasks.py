"""Tasks of a dask cluster as futures: order, errors, cancelled tasks, lost workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from slurm_jobs import count_starts, results_of, until, waiting_task

from cellucid_dask.compute.local_cluster import start_local_workers
from cellucid_dask.compute.tasks import RETRIES, submit
from cellucid_dask.compute.worker_check import describe_requirements, run_on_checked_worker


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two worker processes on this machine, which are replaced when they die."""
    with ExitStack() as stack:
        client = start_local_workers(2, tmp_path_factory.mktemp("workers"), stack)
        client.wait_for_workers(2, timeout=120)
        yield client


def test_results_come_in_the_order_of_the_tasks(client: Any) -> None:
    futures = submit(client, divmod, [(i, 7) for i in range(40)])
    assert results_of(futures) == [divmod(i, 7) for i in range(40)]
    assert submit(client, divmod, []) == []
    until(lambda: not client.futures, "the client forgets what was fetched")


def test_equal_tasks_all_run(client: Any, tmp_path: Path) -> None:
    task = (str(tmp_path / "notes"), None, 5)
    assert len(results_of(submit(client, waiting_task(), [task] * 3))) == 3
    assert count_starts(tmp_path / "notes") == {5: 3}


def test_the_error_of_a_task_is_raised_by_its_future(client: Any, tmp_path: Path) -> None:
    def fail(notes: str, number: int) -> int:
        from pathlib import Path

        from cellucid_dask.errors import ReadError

        with Path(notes).open("a") as file:
            file.write(f"{number}\n")
        if number == 1:
            raise ReadError("cannot be read", where="a file", fix="copy it anew")
        return number

    futures = submit(client, fail, [(str(tmp_path / "notes"), i) for i in range(3)])
    wait(futures, timeout=120)
    assert (futures[0].result(), futures[2].result()) == (0, 2)
    with pytest.raises(Exception, match="copy it anew") as told:
        futures[1].result()
    assert type(told.value).__name__ == "ReadError"
    assert count_starts(tmp_path / "notes") == {0: 1, 1: 1 + RETRIES, 2: 1}


def test_cancelled_tasks_do_not_start(client: Any, tmp_path: Path) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    futures = submit(client, waiting_task(), [(str(notes), str(gate), i) for i in range(12)])
    until(lambda: len(count_starts(notes)) >= 2, "two tasks run")
    assert all(future.cancel() for future in futures)
    gate.touch()
    with pytest.raises(CancelledError):
        futures[-1].result()
    assert results_of(submit(client, divmod, [(9, 2)])) == [(4, 1)]
    until(lambda: not client.futures, "the client forgets what was cancelled")
    assert len(count_starts(notes)) < 12


def test_results_of_a_lost_worker_are_not_computed_again(client: Any, tmp_path: Path) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    first = submit(client, waiting_task(), [(str(notes), None, i) for i in range(8)])
    pids = {pid for _, pid in results_of(first)}
    assert len(pids) == 2
    more = submit(client, waiting_task(), [(str(notes), str(gate), i) for i in range(8, 12)])
    until(lambda: len(count_starts(notes)) >= 10, "two more tasks run")
    os.kill(pids.pop(), signal.SIGKILL)
    until(
        lambda: sum(count_starts(notes).values()) > 10, "the task of the lost worker begins again"
    )
    gate.touch()
    assert [number for number, _ in results_of(more)] == [8, 9, 10, 11]
    assert [count_starts(notes)[number] for number in range(8)] == [1] * 8


def test_a_worker_is_checked_with_its_first_task(client: Any, tmp_path: Path) -> None:
    good = describe_requirements([str(tmp_path)])
    assert results_of(submit(client, run_on_checked_worker, [(good, "run", divmod, 7, 2)])) == [
        (3, 1)
    ]
    there = tmp_path / "there"
    there.touch()
    bad = describe_requirements([str(there)])
    there.unlink()
    (future,) = submit(client, run_on_checked_worker, [(bad, "run", divmod, 7, 2)])
    wait([future], timeout=120)
    with pytest.raises(Exception, match="does not see") as told:
        future.result()
    assert str(there) in str(told.value)
