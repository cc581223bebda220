"""Where an export is made and how it takes its place: a staging folder, then one rename."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from cellucid_dask import format as fmt
from cellucid_dask.errors import OutputError
from cellucid_dask.exporter.files import sync_folder

STAGING = ".{}.cellucid-staging"
MARK = "cellucid-dask.staging"
SPILL = "cellucid-dask-scratch-"
KNOWN = (*fmt.MANIFESTS, "checksums.json")
FOLDERS = ("obs", "var", "vectors", "connectivity")


@dataclass(frozen=True, slots=True)
class Staging:
    """The folders of a run.

    Parameters
    ----------
    export
        What will be published.
    parts
        Files of it that are not finished, on the same disk.
    scratch
        Spill; gone at the end.
    """

    export: Path
    parts: Path
    scratch: Path


def existing_parent(path: Path) -> Path:
    """Nearest folder above `path` that exists."""
    return next(parent for parent in path.parents if os.path.lexists(parent))


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
    folder = out.with_name(STAGING.format(out.name))
    folder.mkdir(exist_ok=True)
    with (folder / MARK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(
                "another run is making this export", where=str(out), fix="wait until it has ended"
            ) from error
        _clear(folder, lock, out)
        base = folder if scratch is None else scratch.absolute()
        spill = base / f"{SPILL}{secrets.token_hex(4)}"
        lock.write(f"{spill}\n")
        lock.flush()
        try:
            for name in FOLDERS:
                (folder / "export" / name).mkdir(parents=True)
            spill.mkdir()
            (folder / "parts").mkdir(exist_ok=True)
            yield Staging(folder / "export", folder / "parts", spill)
        except OSError as error:
            raise OutputError(f"cannot be written ({error})", where=str(out)) from error
        finally:
            shutil.rmtree(spill, ignore_errors=True)
            discard(folder / "export", out)
            shutil.rmtree(folder, ignore_errors=True)
            for parent in made:
                with contextlib.suppress(OSError):
                    parent.rmdir()  # only when the run left nothing in it


def _clear(folder: Path, lock: IO[str], out: Path) -> None:
    """Remove what a run that was killed left: its export and, wherever it was, its spill."""
    lock.seek(0)
    for line in lock.read().splitlines():
        spill = Path(line)
        if spill.name.startswith(SPILL):
            shutil.rmtree(spill, ignore_errors=True)
    shutil.rmtree(folder / "parts", ignore_errors=True)
    discard(folder / "export", out)


def discard(folder: Path, out: Path) -> Path | None:
    """Remove an export, or what there is of one; set it aside if it holds any other file.

    Returns
    -------
    Where it is now when it was set aside.
    """
    if not folder.exists():
        return None
    if only_export(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{out.name}.before-{stamp}{n}" for n in ("", *(f"-{i}" for i in range(1, 1000))))
    aside = next(p for p in map(out.with_name, names) if not os.path.lexists(p))
    folder.rename(aside)
    return aside


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
    return discard(export, out)


def only_export(folder: Path) -> bool:
    """Whether every file in `folder` is one that an export has, be it half written."""
    for path in folder.rglob("*"):
        if path.is_symlink():
            return False
        if not path.is_dir():
            try:
                relative = re.sub(r"\.\d+\.part$", "", path.relative_to(folder).as_posix())
                if relative not in KNOWN:
                    fmt.parse(relative)
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
