"""Where gene indexes are kept, and how what is left of one is removed.

CACHE/genes/atlas.h5ad-X-HASH/     one for each (path, element)
    FINGERPRINT.v1/                one for each version of the file; older ones are removed
        lock                       held by the process that builds
        index.zarr/                as `cellucid_dask.server.gene_index.store` has it
        spill-*/                   while it is being built
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from cellucid_dask.format import safe
from cellucid_dask.source.storage.fingerprint import Fingerprint, short_digest

VERSION = 1  # of the layout; part of the name, so that programs of two versions share nothing
LOCK = "lock"
INDEX = "index.zarr"
UNFINISHED = ("spill-*", ".unfinished-*", f"{INDEX}/blocks/.unfinished-*")
DAY = 86_400

_FOLDER = re.compile(r"[0-9a-f]{16}\.v\d+")


def default_cache_dir() -> Path:
    """Cache folder of the user, or the one that CELLUCID_DASK_CACHE names."""
    given = os.environ.get("CELLUCID_DASK_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    return platformdirs.user_cache_path("cellucid-dask", appauthor=False)


def index_folder(cache_dir: str | os.PathLike[str], mark: Fingerprint) -> Path:
    """Folder for the index of one version of one matrix; makes nothing."""
    element = mark.element or "X"
    name = safe(f"{Path(mark.path).name[:60]}-{element[:40]}")
    place = f"{name}-{short_digest((mark.path, mark.element))}"
    return Path(cache_dir).absolute() / "genes" / place / f"{mark.key()}.v{VERSION}"


def remove_unfinished(folder: Path, *, alone: bool) -> None:
    """Remove what builders that were killed left; when one may still be alive, only what is old."""
    for pattern in UNFINISHED:
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                if alone or time.time() - path.stat().st_mtime > DAY:
                    shutil.rmtree(path, ignore_errors=True)


def remove_index(folder: Path) -> None:
    """Remove all that was made in a folder for an index, and the folder if it is empty then."""
    for pattern in (*UNFINISHED, INDEX):
        for path in folder.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        (folder / LOCK).unlink(missing_ok=True)
    remove_if_empty(folder)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder with nothing in it, and the one above it that holds all versions."""
    with contextlib.suppress(OSError):
        folder.rmdir()
        if _FOLDER.fullmatch(folder.name):
            folder.parent.rmdir()


def others(folder: Path) -> Iterator[Path]:
    """Indexes of other versions of the same matrix."""
    if _FOLDER.fullmatch(folder.name):  # else none that `index_folder` named has siblings of ours
        for other in folder.parent.glob("*.v*"):
            if other != folder and _FOLDER.fullmatch(other.name):
                yield other
