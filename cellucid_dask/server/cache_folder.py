"""The cache folder: where gene indexes are stored, and how remains of them are removed.

CACHE/genes/atlas.h5ad-X-HASH/     one for each (path, element)
    FINGERPRINT.v2/                one for each version of the file; others are removed
        lock                       held by the process that builds
        index.zarr/                see `cellucid_dask.server.gene_index.store`
        spill-*/                   while it is being built
        counts/                    see `cellucid_dask.server.ready.kept_counts`
CACHE/genes/atlas.h5ad-obs-HASH/   one for each path, for what is computed of obs and obsm
    FINGERPRINT.v2/
        summaries/                 see `cellucid_dask.server.datasets.kept_summaries`
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import platformdirs

from cellucid_dask.format import safe
from cellucid_dask.source.storage.fingerprint import Fingerprint, short_digest

VERSION = 2  # of the layout; part of the folder's name, so programs of two versions share nothing
LOCK = "lock"
INDEX = "index.zarr"
COUNTS = "counts"
SUMMARIES = "summaries"
UNFINISHED = ("spill-*", ".unfinished-*", f"{INDEX}/blocks/.unfinished-*")
DAY_SECONDS = 86_400

_VERSION_FOLDER = re.compile(r"[0-9a-f]{16}\.v\d+")


def default_cache_dir() -> Path:
    """Cache folder of the user, or the folder in CELLUCID_DASK_CACHE."""
    given = os.environ.get("CELLUCID_DASK_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    return platformdirs.user_cache_path("cellucid-dask", appauthor=False)


def index_folder(cache_dir: str | os.PathLike[str], data_fingerprint: Fingerprint) -> Path:
    """Folder for the index of one version of one matrix; it is not created."""
    element = data_fingerprint.element or "X"
    name = safe(f"{Path(data_fingerprint.path).name[:60]}-{element[:40]}")
    folder_name = f"{name}-{short_digest((data_fingerprint.path, data_fingerprint.element))}"
    version_name = f"{data_fingerprint.key()}.v{VERSION}"
    return Path(cache_dir).absolute() / "genes" / folder_name / version_name


def summaries_folder(cache_dir: str | os.PathLike[str], file_fingerprint: Fingerprint) -> Path:
    """Folder for what is computed of obs and obsm of one version of a file; it is not created.

    Parameters
    ----------
    file_fingerprint
        Of the whole file: the numbers depend on obs and on several arrays of obsm.
    """
    return index_folder(cache_dir, replace(file_fingerprint, element="obs"))


def remove_unfinished(folder: Path, *, exclusive: bool) -> None:
    """Remove files of killed builds; only old ones when a build may still run."""
    for pattern in UNFINISHED:
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                if exclusive or time.time() - path.stat().st_mtime > DAY_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)


def remove_index(folder: Path) -> None:
    """Remove all files of an index from its folder, and the folder when it is then empty."""
    for pattern in (*UNFINISHED, INDEX, COUNTS, SUMMARIES):
        for path in folder.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        (folder / LOCK).unlink(missing_ok=True)
    remove_if_empty(folder)


def remove_if_empty(folder: Path) -> None:
    """Remove an empty folder, and its parent when that has no other versions."""
    with contextlib.suppress(OSError):
        folder.rmdir()
        if _VERSION_FOLDER.fullmatch(folder.name):
            folder.parent.rmdir()


def find_other_versions(folder: Path) -> Iterator[Path]:
    """Find the indexes of other versions of the same matrix."""
    if _VERSION_FOLDER.fullmatch(folder.name):  # other names are not from `index_folder`
        for other in folder.parent.glob("*.v*"):
            if other != folder and _VERSION_FOLDER.fullmatch(other.name):
                yield other
