"""Errors of the operating system during a run, as one sentence and what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cellucid_dask.errors import (
    CellucidDaskError,
    EngineError,
    MachineError,
    OutputError,
    machine_error,
)
from cellucid_dask.exporter.recovery.outputs import staging_folder

AGAIN = "then run the same command again"


@contextmanager
def translate_os_errors(out: Path) -> Iterator[None]:
    """Translate errors of the operating system into those of this package; keep their notes."""
    folder = staging_folder(out)
    try:
        yield
    except (OSError, RuntimeError) as error:
        translated = _translate(error, folder)
        if translated is None:
            raise
        raise _with_notes(translated, error) from error
    except MemoryError as error:
        what = f"a task got no more memory ({error})" if str(error) else "a task got no more memory"
        fix = f"give less --memory or fewer --workers, or a larger machine, {AGAIN}"
        raise _with_notes(EngineError(what, fix=fix), error) from error


def _translate(error: OSError | RuntimeError, folder: Path) -> CellucidDaskError | None:
    missing = isinstance(error, OSError) and error.errno == errno.ENOENT
    if missing and not any(any(folder.glob(made)) for made in ("export-*", "ready-*")):
        return OutputError(
            "the folder in which the export is made was removed during the run",
            where=str(folder),
            fix="run the same command again",
        )
    fault = machine_error(error, str(getattr(error, "filename", None) or folder))
    if fault is not None:
        (problem,) = fault.problems
        return MachineError(problem.what, where=problem.where, fix=f"{problem.fix}, {AGAIN}")
    if not isinstance(error, OSError):
        return None
    what = f"a file could not be read or written ({error.strerror or error})"
    return OutputError(what, where=str(error.filename or folder), fix=f"see to it, {AGAIN}")


def _with_notes(translated: CellucidDaskError, error: BaseException) -> CellucidDaskError:
    for note in getattr(error, "__notes__", ()):
        translated.add_note(note)
    return translated
