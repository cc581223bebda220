"""Memory and cores that the control groups of this process leave it, in versions 1 and 2.

Every group from that of the process up to the root of the hierarchy limits it: a job step, its job
and its user may each have a limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class _MemoryFiles:
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


_MEMORY: Final = {
    1: _MemoryFiles(
        ("memory.limit_in_bytes",),
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
    2: _MemoryFiles(
        ("memory.max", "memory.high"),
        "memory.current",
        ("inactive_file", "active_file", "slab_reclaimable"),
    ),
}
_UNLIMITED: Final = 1 << 60  # version 1 writes the largest multiple of a page for "no limit"


def group_headrooms(root: Path = Path("/")) -> list[int]:
    """Bytes left in each memory control group of this process that has a limit.

    The value is 0 where more is in use than the limit.

    Parameters
    ----------
    root
        Folder that holds ``proc`` and ``sys``.
    """
    found = []
    for version, folder in _group_folders(root, "memory"):
        files = _MEMORY[version]
        limits = [limit for name in files.limits if (limit := _bytes_in(folder / name)) is not None]
        usage = _bytes_in(folder / files.usage)
        if usage is not None and limits and min(limits) < _UNLIMITED:
            found.append(max(min(limits) - max(usage - _cache(folder, files.cache), 0), 0))
    return found


def group_cores(root: Path = Path("/")) -> list[int]:
    """Cores of each control group of this process that limits the time on them, rounded up.

    Parameters
    ----------
    root
        Folder that holds ``proc`` and ``sys``.
    """
    found = []
    for version, folder in _group_folders(root, "cpu"):
        if version == 1:
            words = [_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        else:
            words = _text(folder / "cpu.max").split()
        if len(words) == 2 and all(word.isdecimal() and int(word) for word in words):
            quota, period = map(int, words)
            found.append(math.ceil(quota / period))
    return found


def _group_folders(root: Path, controller: str) -> Iterator[tuple[int, Path]]:
    """Version and folder of the groups this process is in, from the innermost to each root."""
    paths = _group_paths(_text(root / "proc/self/cgroup"), controller)
    for version, top, mount in _mounts(_text(root / "proc/self/mountinfo"), controller):
        if version not in paths:
            continue
        base, path = root / mount.lstrip("/"), paths[version]
        # In a container the top of the mount may be its own group, whatever its path is.
        inside = path.is_relative_to(top) and ".." not in path.parts
        folder = base / path.relative_to(top) if inside else base
        yield version, folder
        while folder != base:
            folder = folder.parent
            yield version, folder


def _group_paths(text: str, controller: str) -> dict[int, Path]:
    """Path of this process in the hierarchies that may account for `controller`, by version."""
    found = {}
    for line in text.splitlines():
        _, _, named = line.partition(":")
        controllers, _, path = named.partition(":")
        if not controllers:
            found[2] = Path(path)
        elif controller in controllers.split(","):
            found[1] = Path(path)
    return found


def _mounts(text: str, controller: str) -> Iterator[tuple[int, str, str]]:
    """Mounts of control groups: their version, their top group and their folder."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or not kind:
            continue
        if kind[0] == "cgroup2":
            yield 2, fields[3], fields[4]
        elif kind[0] == "cgroup" and controller in kind[-1].split(","):
            yield 1, fields[3], fields[4]


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
