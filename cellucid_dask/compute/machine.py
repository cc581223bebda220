"""Cores and memory that this process may use, also within a job of a batch system."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from dask.system import CPU_COUNT

MiB = 1 << 20


def cores() -> int:
    """Cores this process may use, by affinity, control group, and the SLURM job it is in."""
    own = int(CPU_COUNT)
    allotted = _number(os.environ, "SLURM_CPUS_ON_NODE")
    return min(own, allotted) if allotted else own


def available_memory() -> int:
    """Bytes this process could use now: free on the machine, in its control groups and job."""
    from distributed.system import memory_limit

    used = psutil.Process().memory_info().rss
    limits = [int(memory_limit()), job_memory() or int(memory_limit())]
    free = [int(psutil.virtual_memory().available), min(limits) - used]
    return min([*free, *group_headrooms()])


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


# ----------------------------------------------------------------------------- control groups


@dataclass(frozen=True, slots=True)
class _GroupFiles:
    """File names of one version of memory control groups.

    Parameters
    ----------
    limits
        Each holds a number of bytes, or ``max``.
    usage
        Bytes in use by the group and all below it, file cache included.
    cache
        Lines of ``memory.stat`` with bytes that the kernel reclaims before it refuses memory.
    """

    limits: tuple[str, ...]
    usage: str
    cache: tuple[str, ...]


_V1: Final = _GroupFiles(
    ("memory.limit_in_bytes",),
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
)
_V2: Final = _GroupFiles(
    ("memory.max", "memory.high"),
    "memory.current",
    ("inactive_file", "active_file", "slab_reclaimable"),
)
_UNLIMITED: Final = 1 << 60  # version 1 writes the largest multiple of a page for "no limit"


def group_headrooms(root: Path = Path("/")) -> list[int]:
    """Bytes left in each memory control group of this process that has a limit.

    Every group from that of the process up to the root of the hierarchy limits it: a job step, its
    job and its user may each have a limit. The value is 0 where more is in use than the limit.

    Parameters
    ----------
    root
        Folder that holds ``proc`` and ``sys``.
    """
    found = []
    for files, folder in _memory_groups(root):
        limits = [limit for name in files.limits if (limit := _bytes_in(folder / name)) is not None]
        usage = _bytes_in(folder / files.usage)
        if usage is not None and limits and min(limits) < _UNLIMITED:
            found.append(max(min(limits) - max(usage - _cache(folder, files.cache), 0), 0))
    return found


def _memory_groups(root: Path) -> Iterator[tuple[_GroupFiles, Path]]:
    """Folders of the groups this process is in, from the innermost to the root of each mount."""
    paths = _group_paths(_text(root / "proc/self/cgroup"))
    for files, top, mount in _mounts(_text(root / "proc/self/mountinfo")):
        if files not in paths:
            continue
        base, path = root / mount.lstrip("/"), paths[files]
        # In a container the top of the mount may be its own group, whatever its path is.
        inside = path.is_relative_to(top) and ".." not in path.parts
        folder = base / path.relative_to(top) if inside else base
        yield files, folder
        while folder != base:
            folder = folder.parent
            yield files, folder


def _group_paths(text: str) -> dict[_GroupFiles, Path]:
    """Path of this process in each hierarchy that may account for memory."""
    found = {}
    for line in text.splitlines():
        _, _, named = line.partition(":")
        controllers, _, path = named.partition(":")
        if not controllers:
            found[_V2] = Path(path)
        elif "memory" in controllers.split(","):
            found[_V1] = Path(path)
    return found


def _mounts(text: str) -> Iterator[tuple[_GroupFiles, str, str]]:
    """Mounts of control groups: their files, their top group and their folder."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or not kind:
            continue
        if kind[0] == "cgroup2":
            yield _V2, fields[3], fields[4]
        elif kind[0] == "cgroup" and "memory" in kind[-1].split(","):
            yield _V1, fields[3], fields[4]


def _cache(folder: Path, names: tuple[str, ...]) -> int:
    """Bytes of a group that are cache."""
    lines = (line.split() for line in _text(folder / "memory.stat").splitlines())
    return sum(int(words[1]) for words in lines if len(words) == 2 and words[0] in names)


def _bytes_in(path: Path) -> int | None:
    """Number in a file; None if the file has none, or does not exist."""
    text = _text(path).strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
