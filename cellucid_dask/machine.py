"""Cores and memory that this process may use, also where a batch system shares out the machine."""

from __future__ import annotations

import os
from collections.abc import Mapping

import psutil
from dask.system import CPU_COUNT

MiB = 1 << 20


def cores() -> int:
    """Cores this process may use, by affinity, control group, and the SLURM job it is in."""
    mine = int(CPU_COUNT)
    allotted = _number(os.environ, "SLURM_CPUS_ON_NODE")
    return min(mine, allotted) if allotted else mine


def available_memory() -> int:
    """Bytes this process could take now: free on the machine, in its control group and job."""
    from distributed.system import memory_limit

    taken = psutil.Process().memory_info().rss
    limits = [int(memory_limit()), job_memory() or int(memory_limit())]
    return min(int(psutil.virtual_memory().available), min(limits) - taken)


def job_memory(environ: Mapping[str, str] = os.environ) -> int | None:
    """Bytes of the SLURM job this process is in; None outside of one, or where it has all.

    Sites without control groups end jobs that take more; there nothing else tells of the bound.
    """
    whole = _number(environ, "SLURM_MEM_PER_NODE")
    each = _number(environ, "SLURM_MEM_PER_CPU")
    allotted = _number(environ, "SLURM_CPUS_ON_NODE")
    return (whole or each * allotted) * MiB or None


def _number(environ: Mapping[str, str], name: str) -> int:
    """Number in a variable of a SLURM job; 0 where there is none."""
    text = environ.get(name, "") if "SLURM_JOB_ID" in environ else ""
    return int(text) if text.isascii() and text.isdigit() else 0
