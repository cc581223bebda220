"""The staging folder beside the output, in which all outputs are made before they are published.

It holds the lock file and the record of its owner, the journal, the outputs so far, unfinished
files and, unless `--scratch` names another folder, the spill. A successful run removes it. A run
that fails or is killed leaves what its journal records, so that the next run can resume.
"""

from __future__ import annotations

import contextlib
import secrets
import shlex
import shutil
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from cellucid_dask.exporter.recovery.deferred_signals import defer_signals
from cellucid_dask.exporter.recovery.journal import JOURNAL, FinishedWork, Journal
from cellucid_dask.exporter.recovery.lock import MARK, OWNER, RunLock, acquire, is_locked
from cellucid_dask.exporter.recovery.outputs import (
    Outputs,
    first_output,
    name_line,
    staged_export_folder,
    staged_paths,
    staging_folder,
)
from cellucid_dask.exporter.recovery.previous_run import read_previous_run
from cellucid_dask.exporter.recovery.provenance import Provenance
from cellucid_dask.exporter.recovery.publish import (
    FOLDERS,
    discard,
    holds_only_export_files,
    remove,
    restore_previous,
)
from cellucid_dask.exporter.recovery.spill_folders import (
    BELONGS,
    SPILL,
    find_spill_folders,
    journaled_spills,
    remove_spills_except,
    staging_identity,
)
from cellucid_dask.files import PARTS
from cellucid_dask.options.formats import FOLDER


@dataclass(frozen=True, slots=True)
class StagingFolders:
    """The folders of a run.

    Parameters
    ----------
    export
        The export folder that will be published; not made when the run has no such output.
    parts
        Files of the outputs that are not finished, on the same disk.
    scratch
        Spill of this run; gone at the end.
    ready
        The ready files that will be published, by their format.
    """

    export: Path
    parts: Path
    scratch: Path
    ready: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workspace:
    """The locked staging folder of a run, and the progress of the previous run.

    Parameters
    ----------
    outputs
        Path of each output by its format.
    folders
        Folders of this run.
    journal
        Records finished pieces.
    finished
        Finished pieces of the previous run, not verified yet.
    lock
        Lock of the staging folder.
    older
        Spill folders of earlier runs.
    placed
        Formats of the outputs to which the previous run gave their names.
    """

    outputs: Outputs
    folders: StagingFolders
    journal: Journal
    finished: FinishedWork
    lock: RunLock
    older: tuple[Path, ...]
    placed: frozenset[str] = frozenset()

    @property
    def out(self) -> Path:
        """The output that names the run."""
        return first_output(self.outputs)

    @property
    def staged(self) -> dict[str, Path]:
        """Where each output is made, by its format."""
        return {
            name: self.folders.export if name == FOLDER else self.folders.ready[name]
            for name in self.outputs
        }


@contextlib.contextmanager
def open_staging(
    outputs: Outputs, scratch: Path | None, provenance: Provenance | None, *, restart: bool
) -> Iterator[Workspace]:
    """Make the folders of a run beside its first output, and restore what an equal run left.

    They are removed when the block succeeds. When it fails, they stay if the journal records
    finished work; a note about it is then added to the error.

    Raises
    ------
    OutputError
        When another run makes the same export, or a run with other provenance left work that must
        not be discarded.
    """
    outputs = {name: path.absolute() for name, path in outputs.items()}
    out = first_output(outputs)
    made = [parent for parent in out.parents if not parent.exists()]
    folder = staging_folder(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with (
            acquire(folder, out) as lock,
            _folders(lock, outputs, scratch, provenance, made, restart) as place,
        ):
            yield place
    except BaseException:
        with defer_signals():
            _abandon(folder, made)
        raise


@contextlib.contextmanager
def _folders(
    lock: RunLock,
    outputs: Outputs,
    scratch: Path | None,
    provenance: Provenance | None,
    made: list[Path],
    restart: bool,
) -> Iterator[Workspace]:
    """Make the folders of a run in its locked staging folder; see `open_staging`."""
    out = first_output(outputs)
    folder = staging_folder(out)
    for path in outputs.values():
        restore_previous(path)
    previous = read_previous_run(outputs, provenance, restart=restart)
    previous.raise_problems()
    spill = (scratch or folder).absolute() / f"{SPILL}{secrets.token_hex(4)}"
    ready = staged_paths(folder, provenance, outputs)
    export = ready.pop(FOLDER, staged_export_folder(folder, provenance))
    folders = StagingFolders(export, folder / PARTS, spill, ready)
    finished = previous.resumable if holds_only_export_files(folders.export) else FinishedWork()
    if not finished.n:
        _clear(folder, lock.file, out)
    journal = Journal(None if provenance is None else folder / JOURNAL, finished.n)
    older = tuple(find_spill_folders(lock.file, folder))
    try:
        _make(folders, lock.file, outputs)
        if not finished.n and provenance is not None:
            journal.begin(provenance)
        yield Workspace(outputs, folders, journal, finished, lock, older, previous.placed)
    except BaseException as error:
        with defer_signals():
            if journal.n and lock.is_held():
                error.add_note(resume_hint(out))
                shutil.rmtree(folders.parts, ignore_errors=True)
                remove_spills_except([folders.scratch], journaled_spills(folder))
            else:
                remove_staging(folder, lock, out, made)
        raise
    with defer_signals():
        remove_staging(folder, lock, out, made)


def _abandon(folder: Path, made: Iterable[Path]) -> None:
    """Remove a staging folder that was not used, and the parents that this run made."""
    if not _holds_more(folder, {MARK}) and not is_locked(folder):
        _remove_parents(folder, made)


def _holds_more(folder: Path, known: Container[str]) -> bool:
    """Whether `folder` holds more than the files of a lock; True if that is unknown."""
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


def _make(folders: StagingFolders, mark: IO[str], outputs: Outputs) -> None:
    mark.writelines(f"{line}\n" for line in (folders.scratch, *map(name_line, outputs.values())))
    mark.flush()
    folders.scratch.mkdir(mode=0o700)  # files that are unpickled there must come from this user
    (folders.scratch / BELONGS).write_text(staging_identity(folders.export.parent), "utf-8")
    for name in FOLDERS if FOLDER in outputs else ():
        (folders.export / name).mkdir(parents=True, exist_ok=True)
    for name, path in folders.ready.items():
        (path if name == "zarr" else path.parent).mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folders.parts, ignore_errors=True)
    folders.parts.mkdir(exist_ok=True)  # workers of a killed run may still write there


def remove_finished_spill(place: Workspace) -> None:
    """Remove spill that no task needs any more, so that it is never flushed to the disk."""
    for path in place.folders.scratch.iterdir():
        if path.is_file() and path.suffix != ".log" and path.name != BELONGS:
            path.unlink()
    remove_spills_except(place.older, ())


def _clear(folder: Path, mark: IO[str], out: Path) -> Path | None:
    """Remove what an earlier run left: its export, and its spill in any folder.

    Returns
    -------
    Path where its export is now, if it held files that do not belong to an export.
    """
    for spill in find_spill_folders(mark, folder):
        shutil.rmtree(spill, ignore_errors=True)
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    aside = [discard(export, out) for export in folder.glob("export-*")]
    for ready in folder.glob("ready-*"):
        remove(ready)  # what others made was moved away before a ready file got its name
    # Last: if the process is killed before, the next run still knows what was finished.
    (folder / JOURNAL).unlink(missing_ok=True)
    mark.truncate(0)
    return next(filter(None, aside), None)


def remove_staging(folder: Path, lock: RunLock, out: Path, made: Iterable[Path]) -> Path | None:
    """Remove the staging folder, unless another run took its lock; returns as `_clear` does."""
    if not lock.is_held():
        return None
    aside = _clear(folder, lock.file, out)
    _remove_parents(folder, made)
    return aside


def _remove_parents(folder: Path, made: Iterable[Path]) -> None:
    """Remove the staging folder, and the parents that this run made, if they are empty.

    A folder that could not be removed keeps its mark, which allows the next run to remove it.
    """
    if not _holds_more(folder, {MARK, OWNER}):
        for path in (*folder.glob(f"{OWNER}.*.part"), folder / OWNER, folder / MARK):
            path.unlink(missing_ok=True)
    for parent in (folder, *made):
        with contextlib.suppress(OSError):
            parent.rmdir()
