"""The one place that chooses the kind of cluster a run uses."""

from __future__ import annotations

from pathlib import Path

from cellucid_dask.compute.cluster import Cluster
from cellucid_dask.compute.existing_cluster import ExistingCluster
from cellucid_dask.compute.local_cluster import LocalCluster
from cellucid_dask.compute.machine import cores
from cellucid_dask.compute.performance_report import OPTION, find_report_problems
from cellucid_dask.compute.threads import Threads
from cellucid_dask.errors import EngineError, Problem
from cellucid_dask.native import library
from cellucid_dask.options.run import RunOptions

DATA_IN_MEMORY = "data in memory cannot go to other machines"
FIX_DATA_IN_MEMORY = "write it to an .h5ad or .zarr that all nodes see, and export that"


def find_cluster_problems(run: RunOptions, out: Path, *, in_memory: bool) -> list[Problem]:
    """Return what prevents the run that the user chose; starts nothing.

    Parameters
    ----------
    out
        The export to make.
    in_memory
        Whether tasks need the memory of this process.
    """
    problems = find_report_problems(run.performance_report)
    if run.jobs is not None:
        from cellucid_dask.compute.queues.problems import find_queue_problems

        if in_memory:
            problems.append(Problem(DATA_IN_MEMORY, run.jobs.option, FIX_DATA_IN_MEMORY))
        problems += find_queue_problems(run, out)
    return problems


def choose_cluster(run: RunOptions, *, in_memory: bool, small: bool) -> Cluster:
    """Return the cluster that the user chose, or the one that suits the work; starts nothing.

    Parameters
    ----------
    in_memory
        Whether tasks need the memory of this process, so that threads must do them.
    small
        Whether the work is too little to start processes for it.

    Raises
    ------
    EngineError
        When the user wants a report of dask, and the run does not use dask.
    """
    cluster = _choose(run, in_memory=in_memory, small=small)
    if run.performance_report is not None and not cluster.uses_dask:
        raise EngineError(
            f"needs a dask cluster; this run uses {cluster}",
            where=OPTION,
            fix="leave it out, or add --workers 2 or more",
        )
    return cluster


def _choose(run: RunOptions, *, in_memory: bool, small: bool) -> Cluster:
    if run.scheduler is not None:
        return ExistingCluster(run.scheduler)
    if run.jobs is not None:
        from cellucid_dask.compute.queues.cluster import QueueCluster  # imports dask_jobqueue
        from cellucid_dask.compute.queues.jobs import plan_jobs

        return QueueCluster(plan_jobs(run))
    n_workers = run.workers or cores()
    if run.workers == 1:
        return Threads(cores())
    if n_workers == 1 or in_memory or (run.workers is None and (small or _threads_suffice())):
        return Threads(n_workers)
    return LocalCluster(n_workers)


def _threads_suffice() -> bool:
    """Whether threads of one process use all cores, also for large work.

    The functions of the native library run without the GIL. The numpy path holds it too often.
    """
    return library.load() is not None
