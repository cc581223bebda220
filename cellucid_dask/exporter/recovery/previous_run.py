"""What a previous run left beside an output; inspected without changing anything."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from zlib_ng import zlib_ng

from cellucid_dask.errors import OutputError, Problem
from cellucid_dask.exporter.recovery.journal import JOURNAL, Entries, FinishedWork, read_journal
from cellucid_dask.exporter.recovery.lock import is_locked
from cellucid_dask.exporter.recovery.provenance import Provenance, differences
from cellucid_dask.files import has_size
from cellucid_dask.format import CHECKSUMS
from cellucid_dask.source.storage.fingerprint import short_digest

STAGING = ".{}.cellucid-staging"


def staging_folder(out: Path) -> Path:
    """Staging folder of the export `out`."""
    out = out.absolute()
    return out.with_name(STAGING.format(out.name))


def staged_export_folder(folder: Path, provenance: Provenance | None) -> Path:
    """Folder within a staging folder for an export of `provenance`.

    Workers of a killed run continue for seconds; what they write must not end up in an export
    of other data.
    """
    facts = () if provenance is None else sorted(provenance.items())
    return folder / f"export-{short_digest(facts)}"


@dataclass(frozen=True, slots=True)
class PreviousRun:
    """What a previous run left beside an output.

    Parameters
    ----------
    done
        Finished pieces that this run can use.
    there
        All finished pieces of its journal, whether this run uses or discards them.
    problems
        Why a run cannot begin.
    complete
        Whether it published the export and only its staging folder is left.
    """

    resumable: FinishedWork = field(default_factory=FinishedWork)
    recorded: FinishedWork = field(default_factory=FinishedWork)
    problems: tuple[Problem, ...] = ()
    complete: bool = False

    def raise_problems(self) -> None:
        """Raise the problems, if there are any."""
        if self.problems:
            raise OutputError.of(self.problems)


def inspect_previous_run(out: Path, provenance: Provenance | None, *, restart: bool) -> PreviousRun:
    """Inspect what a previous run left, for a run of `provenance` that writes to `out`."""
    if not out.absolute().name:
        return PreviousRun()  # the root, which is refused
    if is_locked(staging_folder(out)):
        fix = "wait until it has ended"
        problem = Problem("another run is making this export", str(out), fix)
        return PreviousRun(problems=(problem,))
    return read_previous_run(out, provenance, restart=restart)


def read_previous_run(out: Path, provenance: Provenance | None, *, restart: bool) -> PreviousRun:
    """Read what a previous run left; the caller knows that no run is active at `out`."""
    folder = staging_folder(out)
    entries = None if os.path.islink(folder) else read_journal(folder / JOURNAL)  # noqa: PTH114
    if entries is None or not entries.records:
        return PreviousRun()
    recorded, export = entries.finished_work(), staged_export_folder(folder, entries.provenance)
    if restart:
        return PreviousRun(recorded=recorded)
    # By its files alone the old export, which has the name yet, might be an equal one.
    waiting = recorded.published is None or _published(recorded, export)
    complete = not waiting and _published(recorded, out)
    if other := _other(entries, out, provenance):
        # Of an export that is complete there is nothing to lose.
        return PreviousRun(recorded=recorded, problems=() if complete else (other,))
    return PreviousRun(recorded if waiting else FinishedWork(), recorded, complete=complete)


def _other(entries: Entries, out: Path, provenance: Provenance | None) -> Problem | None:
    """Say what differs, when the journal is of another export than the one to be made."""
    unlike = differences(entries.provenance, provenance)
    if not unlike:
        return None
    shown = "; ".join(unlike[:8]) + (f"; and {len(unlike) - 8} more" if len(unlike) > 8 else "")
    return Problem(
        f"an unfinished export of other input or options is there: {shown}",
        str(staging_folder(out)),
        "run it with the same input and options to resume, or add --restart to discard it",
    )


def _published(done: FinishedWork, folder: Path) -> bool:
    """Whether `folder` is the export that the journal says was complete, by names and sizes."""
    if done.published is None or folder.is_symlink():
        return False
    try:
        raw = (folder / CHECKSUMS).read_bytes()
    except OSError:
        return False
    if zlib_ng.crc32(raw) != done.published["crc32"]:
        return False
    files = json.loads(raw)["files"]
    return all(has_size(f"{folder}/{path}", size) for path, (size, _) in files.items())
