"""Where an export is made and how it takes its place: a staging folder, then one rename."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from cellucid_dask import format as fmt
from cellucid_dask.errors import OutputError, Problem
from cellucid_dask.export.files import sync_folder

MARK = "cellucid-dask.staging"
SPILL = "cellucid-dask-scratch-"
FOLDERS = ("obs", "var", "vectors", "connectivity")


@dataclass(frozen=True, slots=True)
class Staging:
    """The folders of a run.

    Parameters
    ----------
    export
        What will be published.
    scratch
        Spill; gone at the end.
    """

    export: Path
    scratch: Path


def output_problems(given: str | os.PathLike[str], *, force: bool) -> list[Problem]:
    """Say what is wrong with the output folder; creates nothing."""
    out, where = Path(given).absolute(), os.fspath(given)
    if out.is_symlink():
        return [Problem("is a symbolic link", where, "name the folder it points to")]
    resolved = out.resolve()
    if resolved in (Path(resolved.anchor), Path.home().resolve(), Path.cwd().resolve()):
        fix = "name a folder of its own, such as exports/NAME"
        return [Problem("is the root, home or current folder", where, fix)]
    if Path.cwd().resolve().is_relative_to(resolved):
        return [Problem("holds the current folder", where, "name a folder of its own")]
    if out.exists() and not out.is_dir():
        return [Problem("is a file", where, "name a folder")]
    try:
        occupied = out.is_dir() and any(out.iterdir())
    except OSError as error:
        return [Problem(f"cannot be read ({error.strerror})", where, "check its permissions")]
    if occupied and not force:
        fix = "choose another --out, or replace it with --force"
        return [Problem("exists and is not empty", where, fix)]
    parent = existing_parent(out)
    if not parent.is_dir():
        return [Problem(f"cannot be made: {str(parent)!r} is a file", where, "name another folder")]
    if not os.access(parent, os.W_OK | os.X_OK):
        return [Problem(f"cannot be written in {str(parent)!r}", where, "check its permissions")]
    return []


def existing_parent(path: Path) -> Path:
    """Nearest folder above `path` that exists."""
    parent = path.parent
    while not parent.exists():
        parent = parent.parent
    return parent


def free_bytes(path: Path) -> int:
    """Bytes this user may still write where `path` is or would be."""
    return shutil.disk_usage(path if path.exists() else existing_parent(path)).free


@contextlib.contextmanager
def staging(out: Path, scratch: Path | None) -> Iterator[Staging]:
    """Make the folders of a run beside `out`; they are gone when the block ends.

    Raises
    ------
    OutputError
        When another run is making the same export.
    """
    out = out.absolute()
    made = _make_parents(out)
    folder = out.with_name(f".{out.name}.cellucid-staging")
    folder.mkdir(exist_ok=True)
    with (folder / MARK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(
                "another run is making this export", where=str(out), fix="wait until it has ended"
            ) from error
        _clear(folder, lock)
        base = folder if scratch is None else scratch.absolute()
        spill = base / f"{SPILL}{secrets.token_hex(4)}"
        lock.write(f"{spill}\n")
        lock.flush()
        try:
            for name in FOLDERS:
                (folder / "export" / name).mkdir(parents=True)
            spill.mkdir()
            yield Staging(folder / "export", spill)
        except OSError as error:
            raise OutputError(f"cannot be written ({error})", where=str(out)) from error
        finally:
            shutil.rmtree(spill, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            for parent in made:
                with contextlib.suppress(OSError):
                    parent.rmdir()  # only when the run left nothing in it


def _clear(folder: Path, lock: IO[str]) -> None:
    """Remove what a run that was killed left: its export and, wherever it was, its spill."""
    lock.seek(0)
    for line in lock.read().splitlines():
        spill = Path(line)
        if spill.name.startswith(SPILL):
            shutil.rmtree(spill, ignore_errors=True)
    shutil.rmtree(folder / "export", ignore_errors=True)


def _make_parents(out: Path) -> list[Path]:
    """Make the folders above `out`; returns those that were not there, innermost first."""
    missing = [parent for parent in out.parents if not parent.exists()]
    out.parent.mkdir(parents=True, exist_ok=True)
    return missing


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
    for folder in [*(p for p in export.iterdir() if p.is_dir()), export]:
        sync_folder(folder)
    out = out.absolute()
    if not out.exists() or not any(out.iterdir()):
        export.replace(out)  # an empty folder may be renamed over
        sync_folder(out.parent)
        return None
    exchange(export, out)
    sync_folder(out.parent)
    if _only_export(export):
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = out.with_name(f"{out.name}.before-{stamp}")
    export.rename(aside)
    return aside


def _only_export(folder: Path) -> bool:
    """Whether every file in `folder` is one that an export has."""
    known = {*fmt.MANIFESTS, "checksums.json"}
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            continue
        relative = path.relative_to(folder).as_posix()
        try:
            if path.is_symlink() or relative not in known:
                fmt.parse(relative if not path.is_symlink() else "")
        except ValueError:
            return False
    return True


def exchange(one: Path, other: Path) -> None:
    """Swap two folders, at once where the system can (Linux, macOS)."""
    libc = ctypes.CDLL(None, use_errno=True)
    a, b = os.fsencode(one), os.fsencode(other)
    here = -2 if sys.platform == "darwin" else -100  # AT_FDCWD
    swap = 2  # RENAME_EXCHANGE and RENAME_SWAP alike
    call = getattr(libc, "renameatx_np" if sys.platform == "darwin" else "renameat2", None)
    if call is not None and call(here, a, here, b, swap) == 0:
        return
    # No such call, or a file system without it (NFS): two renames; in between the old export
    # has the name below and nothing is lost.
    aside = other.with_name(f".{other.name}.previous")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)
