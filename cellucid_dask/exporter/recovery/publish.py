"""Publishing: one rename gives a complete export its name."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from cellucid_dask import format as fmt
from cellucid_dask.files import sync_folder, walk_files

UNFINISHED = re.compile(r"\.[0-9a-f]{8}\.part$")  # added to the name of a file that is written
KNOWN = (*fmt.MANIFESTS, fmt.CHECKSUMS)
FOLDERS = ("obs", "var", "vectors", "connectivity")


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
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{out.name}.before-{stamp}{n}" for n in ("", *(f"-{i}" for i in range(1, 1000))))
    aside = next(p for p in map(out.with_name, names) if not os.path.lexists(p))
    folder.rename(aside)
    return aside


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
    """Swap two folders, atomically where the system can (Linux, macOS)."""
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
    """Give the old export its name back if a run was killed between the renames of `exchange`.

    Killed after the second, the new one has the name and the old one goes.
    """
    aside = previous(out)
    if aside.is_symlink() or not (aside / fmt.IDENTITY).is_file():
        return  # no export
    if os.path.lexists(out):
        discard(aside, out)
    else:
        aside.rename(out)


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
