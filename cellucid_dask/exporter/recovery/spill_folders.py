"""Spill folders of a staging folder: which ones belong to it, and what is removed from them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import IO

from cellucid_dask.exporter.recovery.journal import JOURNAL, read_journal

SPILL = "cellucid-dask-scratch-"
BELONGS = "cellucid-dask.spill"  # file in a spill folder: the staging folder it belongs to


def staging_identity(folder: Path) -> str:
    """Text that differs between a staging folder and a copy of it."""
    return str(folder.resolve())


def find_spill_folders(mark: IO[str], folder: Path) -> Iterator[Path]:
    """Spill folders of earlier runs in the staging folder.

    Each folder records its owner: a mark that was copied or edited names folders of other runs.
    """
    mark.seek(0)
    recorded = map(Path, mark.read().splitlines())
    elsewhere = {path for path in recorded if path.name.startswith(SPILL) and path.parent != folder}
    for spill in sorted(elsewhere):
        with contextlib.suppress(OSError, ValueError):
            if not any(spill.iterdir()) or _belongs(spill, folder):
                yield spill
    yield from (path for path in folder.glob(f"{SPILL}*") if not path.is_symlink())


def _belongs(spill: Path, folder: Path) -> bool:
    written = (spill / BELONGS).read_text("utf-8")
    return written == staging_identity(folder) and not spill.is_symlink()


def journaled_spills(folder: Path) -> set[str]:
    """Paths of the spill files in the journal."""
    entries = read_journal(folder / JOURNAL)
    return entries.finished_work().spill_files if entries is not None else set()


def remove_spills_except(spills: Iterable[Path], files: Container[str]) -> None:
    """Remove everything from spill folders except `files`."""
    for spill in spills:
        if not spill.is_dir():
            continue
        for path in spill.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif str(path) not in files and path.name != BELONGS:
                path.unlink(missing_ok=True)
        if {path.name for path in spill.iterdir()} <= {BELONGS}:
            shutil.rmtree(spill, ignore_errors=True)
