"""Cores and memory that this process may use, also within a job of a batch system."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping

import psutil

from cellucid_dask.compute.control_groups import group_cores, group_headrooms

MiB = 1 << 20


def cores() -> int:
    """Cores this process may use, by affinity, control groups, and the SLURM job it is in."""
    own = psutil.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        own = len(os.sched_getaffinity(0))
    allotted = _number(os.environ, "SLURM_CPUS_ON_NODE")
    return min([own, *group_cores(), *([allotted] if allotted else [])])


def available_memory() -> int:
    """Bytes this process could use now: free on the machine, in its control groups and job."""
    used = psutil.Process().memory_info().rss
    limits = (job_memory() or 0, resource.getrlimit(resource.RLIMIT_RSS)[1])
    free = [limit - used for limit in limits if limit > 0]
    return min([int(psutil.virtual_memory().available), *free, *group_headrooms()])


def job_memory(environ: Mapping[str, str] = os.environ) -> int | None:
    """Bytes of the SLURM job of this process; None outside of a job, or without a limit.

    Sites without control groups kill jobs that use more; only these variables tell the limit.
    """
    per_node = _number(environ, "SLURM_MEM_PER_NODE")
    per_core = _number(environ, "SLURM_MEM_PER_CPU")
    allotted = _number(environ, "SLURM_CPUS_ON_NODE")
    return (per_node or per_core * allotted) * MiB or None


def _number(environ: Mapping[str, str], name: str) -> int:
    """Number in a variable of a SLURM job; 0 if there is none."""
    text = environ.get(name, "") if "SLURM_JOB_ID" in environ else ""
    return int(text) if text.isascii() and text.isdigit() else 0
