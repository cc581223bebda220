"""What an earlier run left beside an output, found out without changing anything."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zlib_ng import zlib_ng

from cellucid_dask.errors import OutputError, Problem
from cellucid_dask.exporter.recovery.journal import JOURNAL, Done, Entries, read_journal
from cellucid_dask.exporter.recovery.lock import busy
from cellucid_dask.exporter.recovery.provenance import differences
from cellucid_dask.files import has_size
from cellucid_dask.format import CHECKSUMS
from cellucid_dask.source.storage.fingerprint import short_digest

STAGING = ".{}.cellucid-staging"
Origin = Mapping[str, str]


def staging_of(out: Path) -> Path:
    """Staging folder of the export `out`."""
    out = out.absolute()
    return out.with_name(STAGING.format(out.name))


def export_in(folder: Path, origin: Origin | None) -> Path:
    """Where in a staging folder an export of `origin` is made.

    Workers of a run that was killed live on for seconds: what they still write must not get into
    an export of something else.
    """
    facts = () if origin is None else sorted(origin.items())
    return folder / f"export-{short_digest(facts)}"


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier run left at a place.

    Parameters
    ----------
    done
        What its journal says is done, and can be gone on with.
    there
        What its journal says is done at all, be it to go on with or to be discarded.
    problems
        Why a run cannot begin.
    complete
        Whether all was done and published but for tidying up.
    """

    done: Done = field(default_factory=Done)
    there: Done = field(default_factory=Done)
    problems: tuple[Problem, ...] = ()
    complete: bool = False

    def refuse(self) -> None:
        """Raise the problems, if there are any."""
        if self.problems:
            raise OutputError.of(self.problems)


def look(out: Path, origin: Origin | None, *, restart: bool) -> Earlier:
    """Find out whether a run of `origin` could begin at `out`."""
    if not out.absolute().name:
        return Earlier()  # the root, which is refused
    if busy(staging_of(out)):
        fix = "wait until it has ended"
        problem = Problem("another run is making this export", str(out), fix)
        return Earlier(problems=(problem,))
    return found(out, origin, restart=restart)


def found(out: Path, origin: Origin | None, *, restart: bool) -> Earlier:
    """Say what a run of `origin` finds at `out`, if no other run works there."""
    folder = staging_of(out)
    entries = None if os.path.islink(folder) else read_journal(folder / JOURNAL)  # noqa: PTH114
    if entries is None or not entries.records:
        return Earlier()
    there, export = entries.done(), export_in(folder, entries.origin)
    if restart:
        return Earlier(there=there)
    # By its files alone the old export, which has the name yet, might be an equal one.
    waiting = there.published is None or _published(there, export)
    complete = not waiting and _published(there, out)
    if other := _other(entries, out, origin):
        # Of an export that is complete there is nothing to lose.
        return Earlier(there=there, problems=() if complete else (other,))
    return Earlier(there if waiting else Done(), there, complete=complete)


def _other(entries: Entries, out: Path, origin: Origin | None) -> Problem | None:
    """Say what differs, when the journal is of another export than the one to be made."""
    unlike = differences(entries.origin, origin)
    if not unlike:
        return None
    shown = "; ".join(unlike[:8]) + (f"; and {len(unlike) - 8} more" if len(unlike) > 8 else "")
    return Problem(
        f"an unfinished export of other input or options is there: {shown}",
        str(staging_of(out)),
        "run it with the same input and options to go on, or add --restart to discard it",
    )


def _published(done: Done, folder: Path) -> bool:
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
    return all(has_size(folder / path, size) for path, (size, _) in files.items())
