"""Publishing: one rename gives a complete output its name."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cellucid_dask import format as fmt
from cellucid_dask.exporter.recovery.outputs import checksums_path
from cellucid_dask.exporter.recovery.ownership import is_checksums, is_output, is_ready
from cellucid_dask.files import sync_folder, walk_files, write_atomically

UNFINISHED = re.compile(r"\.[0-9a-f]{8}\.part$")  # added to the name of a file that is written
KNOWN = (*fmt.MANIFESTS, fmt.CHECKSUMS)
FOLDERS = ("obs", "var", "points", "vectors", "connectivity")


def discard(folder: Path, out: Path) -> Path | None:
    """Remove an export, or what there is of one; set it aside if it holds any other file.

    Returns
    -------
    Where it is now when it was set aside.
    """
    if not folder.exists():
        return None
    if holds_only_export_files(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return None
    aside = free_name(out)
    folder.rename(aside)
    return aside


def free_name(out: Path) -> Path:
    """Name for what is at `out` and must not be deleted."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{out.name}.before-{stamp}{n}" for n in ("", *(f"-{i}" for i in range(1, 1000))))
    return next(p for p in map(out.with_name, names) if not os.path.lexists(p))


def publish(export: Path, out: Path) -> Path | None:
    """Give a complete export its name, in one rename that leaves no moment without an export.

    Returns
    -------
    Where the folder that was there before is now, if it held files that are no export's: those
    are never deleted.
    """
    for name in FOLDERS:
        with contextlib.suppress(OSError):
            (export / name).rmdir()  # where nothing went into it
    sync_disk(export)
    out = out.absolute()
    if not out.exists() or not any(out.iterdir()):
        export.replace(out)  # an empty folder may be renamed over
        sync_folder(out.parent)
        return None
    exchange(export, out)
    sync_folder(out.parent)
    return discard(export, out)


def publish_ready(name: str, staged: Path, out: Path, note: Callable[[Path], None]) -> None:
    """Give a complete ready file its name, in one rename, then its checksums theirs.

    The checksums of an older file go first: they never stand beside a file they are not of.

    Parameters
    ----------
    name
        Its format.
    note
        Called with the new name of what is no ready file of this format, before it is moved
        there: that is never deleted.
    """
    sums = checksums_path(name, out)
    for path, ours in ((out, is_ready(out, name)), (sums, is_checksums(sums))):
        if os.path.lexists(path) and not ours and not _remove_empty(path):
            note(aside := free_name(path))
            path.rename(aside)
    sums.unlink(missing_ok=True)
    if os.path.lexists(out):
        exchange(staged, out)
    else:
        staged.replace(out)
    sync_folder(out.parent)
    announce(name, staged, out)
    remove(staged)


def announce(name: str, staged: Path, out: Path) -> None:
    """Put the checksums of the ready file that was at `staged` beside it at `out`."""
    text = checksums_path(name, staged).read_bytes()
    write_atomically(checksums_path(name, out), [text], str(staged.parent), durable=True)
    sync_folder(out.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _remove_empty(path: Path) -> bool:
    """Whether `path` was an empty folder, which is removed."""
    with contextlib.suppress(OSError):
        path.rmdir()
        return True
    return False


def holds_only_export_files(folder: Path) -> bool:
    """Whether `folder` holds only files of an export, complete or incomplete."""
    for path, entry in walk_files(folder):
        if entry.is_symlink():
            return False
        name = UNFINISHED.sub("", path)
        try:
            if name not in KNOWN:
                fmt.parse(name)
        except ValueError:
            return False
    return True


def exchange(one: Path, other: Path) -> None:
    """Swap two files or two folders, atomically where the system can (Linux, macOS)."""
    libc = ctypes.CDLL(None, use_errno=True)
    a, b = os.fsencode(one), os.fsencode(other)
    here = -2 if sys.platform == "darwin" else -100  # AT_FDCWD
    swap = 2  # RENAME_EXCHANGE and RENAME_SWAP alike
    call = getattr(libc, "renameatx_np" if sys.platform == "darwin" else "renameat2", None)
    if call is not None and call(here, a, here, b, swap) == 0:
        return
    # No such call, or a file system without it (NFS): two renames; in between the old export
    # has the name below and nothing is lost.
    aside = previous(other)
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def previous(out: Path) -> Path:
    """Name the old export has between two renames."""
    return out.with_name(f".{out.name}.previous")


def restore_previous(out: Path) -> None:
    """Give the old output its name back if a run was killed between the renames of `exchange`.

    Killed after the second, the new one has the name and the old one goes.
    """
    aside = previous(out)
    if not is_output(aside):
        return
    if not os.path.lexists(out):
        aside.rename(out)
    elif (aside / fmt.IDENTITY).is_file():
        discard(aside, out)
    else:
        remove(aside)


def sync_disk(folder: Path) -> None:
    """Make all that was written in `folder`, by whatever process of this machine, durable.

    One call for the whole file system where there is one (Linux); else file by file.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    handle = os.open(folder, os.O_RDONLY)
    try:
        if call is not None and call(handle) == 0:
            return
    finally:
        os.close(handle)
    for path in [*folder.rglob("*"), folder]:
        sync_folder(path)
