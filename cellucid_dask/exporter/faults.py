"""What becomes of errors of the system in the middle of a run: one sentence, and what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cellucid_dask.errors import CellucidDaskError, EngineError, OutputError
from cellucid_dask.exporter.earlier import staging_of

FULL = {errno.ENOSPC: "is full", errno.EDQUOT: "is full for this user: the quota is used up"}
AGAIN = "then run the same command again"


@contextmanager
def explained(out: Path) -> Iterator[None]:
    """Tell of errors of the system in the words of this package, with the notes they have."""
    folder = staging_of(out)
    try:
        yield
    except OSError as error:
        raise _noted(_told(error, folder), error) from error
    except MemoryError as error:
        what = f"a task got no more memory ({error})" if str(error) else "a task got no more memory"
        fix = f"give less --memory or fewer --workers, or a larger machine, {AGAIN}"
        raise _noted(EngineError(what, fix=fix), error) from error


def _told(error: OSError, folder: Path) -> CellucidDaskError:
    where = str(error.filename or folder)
    reason = error.strerror or str(error)
    if error.errno in FULL:
        fix = f"make room, or name another disk with --out or --scratch, {AGAIN}"
        return OutputError(f"the disk {FULL[error.errno]} ({reason})", where=where, fix=fix)
    if error.errno == errno.ENOENT and not any(folder.glob("export-*")):
        return OutputError(
            "the folder in which the export is made was removed while the run was going on",
            where=str(folder),
            fix="run the same command again",
        )
    what = f"a file could not be read or written ({reason})"
    return OutputError(what, where=where, fix=f"see to it, {AGAIN}")


def _noted(told: CellucidDaskError, error: BaseException) -> CellucidDaskError:
    for note in getattr(error, "__notes__", ()):
        told.add_note(note)
    return told
