"""The staging folder beside the output, in which an export is made before it is published.

It holds the lock file and the record of its owner, the journal, the export so far, unfinished
files and, unless `--scratch` names another folder, the spill. A successful run removes it. A run
that fails or is killed leaves what its journal records, so that the next run can resume.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from cellucid_dask.arguments.boundary import check_argument_types, with_argument_names
from cellucid_dask.errors import OutputError
from cellucid_dask.exporter.recovery.deferred_signals import defer_signals
from cellucid_dask.exporter.recovery.journal import JOURNAL, FinishedWork, Journal, read_journal
from cellucid_dask.exporter.recovery.lock import MARK, OWNER, RunLock, acquire, is_locked
from cellucid_dask.exporter.recovery.previous_run import (
    read_previous_run,
    staged_export_folder,
    staging_folder,
)
from cellucid_dask.exporter.recovery.provenance import Provenance
from cellucid_dask.exporter.recovery.publish import (
    FOLDERS,
    discard,
    holds_only_export_files,
    restore_previous,
)
from cellucid_dask.files import PARTS

SPILL = "cellucid-dask-scratch-"
BELONGS = "cellucid-dask.spill"  # file in a spill folder: the staging folder it belongs to


@dataclass(frozen=True, slots=True)
class StagingFolders:
    """The folders of a run.

    Parameters
    ----------
    export
        What will be published.
    parts
        Files of it that are not finished, on the same disk.
    scratch
        Spill of this run; gone at the end.
    """

    export: Path
    parts: Path
    scratch: Path


@dataclass(frozen=True, slots=True)
class Workspace:
    """The locked staging folder of a run, and the progress of the previous run.

    Parameters
    ----------
    out
        What the export will be called.
    folders
        Where files go.
    journal
        Where it notes what is done.
    finished
        Finished pieces of the previous run, not verified yet.
    lock
        Lock of the staging folder.
    older
        Spill folders of earlier runs.
    """

    out: Path
    folders: StagingFolders
    journal: Journal
    finished: FinishedWork
    lock: RunLock
    older: tuple[Path, ...]


@contextlib.contextmanager
def open_staging(
    out: Path, scratch: Path | None, provenance: Provenance | None, *, restart: bool
) -> Iterator[Workspace]:
    """Make the folders of a run beside `out`, with what a run of the same `provenance` left.

    They are gone when the block ends well. When it fails, they stay if the journal tells of
    anything, which is then added to the error as a note.

    Raises
    ------
    OutputError
        When another run is making the same export, or one of another provenance left its work and
        is not to be discarded.
    """
    out = out.absolute()
    made = [parent for parent in out.parents if not parent.exists()]
    folder = staging_folder(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with (
            acquire(folder, out) as lock,
            _folders(lock, out, scratch, provenance, made, restart) as place,
        ):
            yield place
    except BaseException:
        with defer_signals():
            _abandon(folder, made)
        raise


@contextlib.contextmanager
def _folders(
    lock: RunLock,
    out: Path,
    scratch: Path | None,
    provenance: Provenance | None,
    made: list[Path],
    restart: bool,
) -> Iterator[Workspace]:
    """Have the folders of a run in a staging folder that is its own; as `open_staging`."""
    folder = staging_folder(out)
    restore_previous(out)
    previous = read_previous_run(out, provenance, restart=restart)
    previous.raise_problems()
    spill = (scratch or folder).absolute() / f"{SPILL}{secrets.token_hex(4)}"
    folders = StagingFolders(staged_export_folder(folder, provenance), folder / PARTS, spill)
    finished = previous.resumable if holds_only_export_files(folders.export) else FinishedWork()
    if not finished.n:
        _clear(folder, lock.file, out)
    journal = Journal(None if provenance is None else folder / JOURNAL, finished.n)
    older = tuple(_spills(lock.file, folder))
    try:
        _make(folders, lock.file)
        if not finished.n and provenance is not None:
            journal.begin(provenance)
        yield Workspace(out, folders, journal, finished, lock, older)
    except BaseException as error:
        with defer_signals():
            if journal.n and lock.is_held():
                error.add_note(resume_hint(out))
                shutil.rmtree(folders.parts, ignore_errors=True)
                remove_spills_except([folders.scratch], _noted(folder))
            else:
                _remove(folder, lock, out, made)
        raise
    with defer_signals():
        _remove(folder, lock, out, made)


def _abandon(folder: Path, made: Iterable[Path]) -> None:
    """Remove a staging folder that was made and not used, and those above it that were made."""
    if not _holds_more(folder, {MARK}) and not is_locked(folder):
        _remove_parents(folder, made)


def _holds_more(folder: Path, known: Container[str]) -> bool:
    """Whether anything but the files of a lock is in `folder`; True where that is not known."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return any(name not in known and not fnmatch(name, f"{OWNER}.*.part") for name in names)


def resume_hint(out: Path) -> str:
    """How to resume a run that failed, and how to discard it."""
    return (
        f"finished work is kept in {staging_folder(out)}: the same command resumes from there; "
        f"'cellucid-dask clean {shlex.quote(str(out))}' removes it"
    )


def _make(folders: StagingFolders, mark: IO[str]) -> None:
    mark.write(f"{folders.scratch}\n")
    mark.flush()
    folders.scratch.mkdir(mode=0o700)  # what is unpickled there must be from this user
    (folders.scratch / BELONGS).write_text(_identity(folders.export.parent), "utf-8")
    for name in FOLDERS:
        (folders.export / name).mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folders.parts, ignore_errors=True)
    folders.parts.mkdir(exist_ok=True)  # workers of a run that was killed may still write there


# --------------------------------------------------------------------------- what was left


def _identity(folder: Path) -> str:
    """Tell a staging folder from a copy of it."""
    return str(folder.resolve())


def _spills(mark: IO[str], folder: Path) -> Iterator[Path]:
    """Spill folders of runs in the staging folder, of which they may have left something.

    Each says whose it is: a mark that was copied or edited names folders of others.
    """
    mark.seek(0)
    named = map(Path, mark.read().splitlines())
    elsewhere = {path for path in named if path.name.startswith(SPILL) and path.parent != folder}
    for spill in sorted(elsewhere):
        with contextlib.suppress(OSError, ValueError):
            if not any(spill.iterdir()) or _belongs(spill, folder):
                yield spill
    yield from (path for path in folder.glob(f"{SPILL}*") if not path.is_symlink())


def _belongs(spill: Path, folder: Path) -> bool:
    written = (spill / BELONGS).read_text("utf-8")
    return written == _identity(folder) and not spill.is_symlink()


def _noted(folder: Path) -> set[str]:
    """Paths of the spilled chunks that the journal tells of."""
    entries = read_journal(folder / JOURNAL)
    return (
        {spill.path for spill in entries.finished_work().spills} if entries is not None else set()
    )


def remove_spills_except(spills: Iterable[Path], chunks: Container[str]) -> None:
    """Remove all from spill folders but the files of `chunks`."""
    for spill in spills:
        if not spill.is_dir():
            continue
        for path in spill.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif str(path) not in chunks and path.name != BELONGS:
                path.unlink(missing_ok=True)
        if {path.name for path in spill.iterdir()} <= {BELONGS}:
            shutil.rmtree(spill, ignore_errors=True)


def remove_finished_spill(place: Workspace) -> None:
    """Remove what no task needs any more, so that it is never written to the disk."""
    for path in place.folders.scratch.iterdir():
        if path.is_file() and path.suffix != ".log" and path.name != BELONGS:
            path.unlink()
    remove_spills_except(place.older, ())


def _clear(folder: Path, mark: IO[str], out: Path) -> Path | None:
    """Remove what an earlier run left: its export and, wherever it was, its spill.

    Returns
    -------
    Where its export is now, if it held files that are no export's.
    """
    for spill in _spills(mark, folder):
        shutil.rmtree(spill, ignore_errors=True)
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    aside = [discard(export, out) for export in folder.glob("export-*")]
    # Only now: killed before, the next run still knows whether all was done.
    (folder / JOURNAL).unlink(missing_ok=True)
    mark.truncate(0)
    return next(filter(None, aside), None)


def _remove(folder: Path, lock: RunLock, out: Path, made: Iterable[Path]) -> Path | None:
    """Leave nothing, unless another run took the place; as `_clear` returns."""
    if not lock.is_held():
        return None
    aside = _clear(folder, lock.file, out)
    _remove_parents(folder, made)
    return aside


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What `clean` did.

    Parameters
    ----------
    bytes
        How much was removed; 0 when there was nothing.
    aside
        Where a folder is now that held files which are no export's: those are never deleted.
    """

    bytes: int
    aside: Path | None = None


def _remove_parents(folder: Path, made: Iterable[Path]) -> None:
    """Remove the staging folder, and those above it that were made, where nothing is in them.

    What could not be removed keeps its mark, by which the next run knows that it may.
    """
    if not _holds_more(folder, {MARK, OWNER}):
        for path in (*folder.glob(f"{OWNER}.*.part"), folder / OWNER, folder / MARK):
            path.unlink(missing_ok=True)
    for parent in (folder, *made):
        with contextlib.suppress(OSError):
            parent.rmdir()


@with_argument_names()
@check_argument_types
def clean(out: str | os.PathLike[str]) -> Cleaned:
    """Remove what a run that was killed, or failed, left beside the export `out`.

    The export itself is left as it is.

    Parameters
    ----------
    out
        The export, as it was given to the run; it need not be there.

    Raises
    ------
    OutputError
        When a run is making the export now, or the folder cannot be changed.
    """
    place = Path(out).absolute()
    if not place.name:
        raise OutputError("is no place of an export", where=str(out), fix="name the export")
    folder = staging_folder(place)
    try:
        if not folder.is_dir():
            restore_previous(place)
            return Cleaned(0)
        with acquire(folder, place) as lock:
            restore_previous(place)
            apart = [
                spill for spill in _spills(lock.file, folder) if not spill.is_relative_to(folder)
            ]
            n_bytes = sum(map(_size, [folder, *apart]))
            return Cleaned(n_bytes, _remove(folder, lock, place, ()))
    except OSError as error:
        raise OutputError(f"cannot be cleaned ({error})", where=str(folder)) from error


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
