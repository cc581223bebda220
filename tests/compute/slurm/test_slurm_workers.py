"""Workers in SLURM jobs of this process: lost ones are replaced, idle ones are given back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dask
import pytest
from slurm_jobs import (
    PYTHON,
    count_starts,
    jobs_for,
    live_jobs,
    make_folder,
    program,
    results_of,
    until,
    wait_for_jobs,
    waiting_task,
)
from slurm_local import PATIENCE, Slurm, call

from cellucid_dask.compute.cluster import StartContext
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.compute.queues.jobs import WorkerJobs, import_jobqueue
from cellucid_dask.compute.queues.workers import submit_workers
from cellucid_dask.compute.tasks import submit


class Said(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, line: str = "") -> None:
        self.lines.append(line)


@pytest.fixture
def ask(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Have workers in jobs of this process; returns a client, and what is said."""
    place = make_folder(tmp_path / "jobs")
    monkeypatch.chdir(place)
    import_jobqueue()  # brings its defaults, which must outlast what a test sets
    with ExitStack() as stack:

        def submit_jobs(jobs: WorkerJobs) -> tuple[Any, Said]:
            reporter, folder = Said(), make_folder(place / f"spill-{tmp_path.name}")
            client = submit_workers(jobs, StartContext(folder, reporter, stack, Future()))
            return client, reporter

        yield submit_jobs
    assert live_jobs(place) == []


def test_lost_workers_are_replaced_and_their_results_kept(
    ask: Callable[..., Any], tmp_path: Path
) -> None:
    """Two workers in each of two jobs, the first of which dies before its workers come."""
    python = program(
        tmp_path / "python", f'mkdir "$0-first" 2>/dev/null && exit 1\nexec {PYTHON} "$@"'
    )
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with dask.config.set({"jobqueue.slurm.python": str(python)}):
        client, reporter = ask(jobs_for(4, job_cores=2, job_memory="1GiB"))
    client.wait_for_workers(4, timeout=PATIENCE)
    assert any("has ended; asks for another" in line for line in reporter.lines)
    jobs = wait_for_jobs(tmp_path, 2)

    first = submit(client, waiting_task(), [(str(notes), None, i) for i in range(16)])
    pids = {pid for _, pid in results_of(first)}
    assert len(pids) == 4
    more = submit(client, waiting_task(), [(str(notes), str(gate), i) for i in range(16, 24)])
    until(lambda: len(count_starts(notes)) >= 20, "four more run")
    call("scancel", jobs[0])
    until(
        lambda: sum(count_starts(notes).values()) > len(count_starts(notes)),
        "what it was at begins again",
    )
    there = {pid: address for address, pid in client.run(os.getpid).items()}
    old = next(pid for pid in there if pid in pids)
    os.kill(old, signal.SIGKILL)  # its nanny starts another
    listed = client.scheduler_info
    until(lambda: there[old] not in listed(n_workers=-1)["workers"], "it is missed")
    client.wait_for_workers(4, timeout=PATIENCE)
    assert len(live_jobs(tmp_path)) == 2
    gate.touch()
    assert [number for number, _ in results_of(more)] == list(range(16, 24))
    again = {number: count for number, count in count_starts(notes).items() if count > 1}
    assert min(again) >= 16
    assert len(set(live_jobs(tmp_path)) - set(jobs)) == 1


def test_adaptive_jobs_start_and_end_with_the_work(ask: Callable[..., Any], tmp_path: Path) -> None:
    """Whole jobs of two workers."""
    client, _ = ask(jobs_for(8, job_cores=2, max_jobs=2, adaptive=True, job_memory="1GiB"))
    assert len(live_jobs(tmp_path)) == 1
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    futures = submit(client, waiting_task(), [(str(notes), str(gate), i) for i in range(60)])
    client.wait_for_workers(4, timeout=PATIENCE)
    assert len(live_jobs(tmp_path)) == 2
    gate.touch()
    assert len(results_of(futures)) == 60
    until(lambda: len(live_jobs(tmp_path)) == 1, "one job is given back")
    assert results_of(submit(client, divmod, [(9, 2)])) == [(4, 1)]
