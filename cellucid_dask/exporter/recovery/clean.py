"""`clean`: removing what an interrupted run left beside an export."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cellucid_dask.arguments.boundary import check_argument_types, with_argument_names
from cellucid_dask.errors import OutputError
from cellucid_dask.exporter.recovery.lock import acquire
from cellucid_dask.exporter.recovery.outputs import find_staging, named_outputs
from cellucid_dask.exporter.recovery.publish import restore_previous
from cellucid_dask.exporter.recovery.spill_folders import find_spill_folders
from cellucid_dask.exporter.recovery.staging import remove_staging


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Result of `clean`.

    Parameters
    ----------
    bytes
        Bytes that were removed; 0 if there was nothing.
    aside
        Path of a folder that held files that do not belong to an export; they are never deleted.
    """

    bytes: int
    aside: Path | None = None


@with_argument_names()
@check_argument_types
def clean(out: str | os.PathLike[str]) -> Cleaned:
    """Remove what an interrupted run left beside the export `out`.

    The export itself does not change.

    Parameters
    ----------
    out
        Path of the export, as it was given to the run, or of any output of a run that had
        several; it need not exist.

    Raises
    ------
    OutputError
        When a run is making this export, or the folder cannot be changed.
    """
    place = Path(out).absolute()
    if not place.name:
        raise OutputError("is no place of an export", where=str(out), fix="name the export")
    folder = find_staging(place)
    try:
        if not folder.is_dir():
            restore_previous(place)
            return Cleaned(0)
        with acquire(folder, place) as lock:
            named = named_outputs(folder)
            for path in {place, *named}:
                restore_previous(path)
            apart = [
                spill
                for spill in find_spill_folders(lock.file, folder)
                if not spill.is_relative_to(folder)
            ]
            n_bytes = sum(map(_size, [folder, *apart]))
            return Cleaned(n_bytes, remove_staging(folder, lock, named[0], ()))
    except OSError as error:
        raise OutputError(f"cannot be cleaned ({error})", where=str(folder)) from error


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
