"""Resuming: the files that a journal names are read, and kept if they are intact."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from cellucid_dask.exporter.receipts import Spill, StripSpill
from cellucid_dask.exporter.recovery.journal import FinishedWork
from cellucid_dask.exporter.recovery.ready_claims import StoredPart
from cellucid_dask.files import Receipt, file_crc32, walk_files

BATCH_BYTES, BATCH_FILES = 256 << 20, 256  # of one task


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """A file that a journal names, or a part of it from `offset` on: `size` bytes with this crc32.

    Parameters
    ----------
    offset
        None for a complete file.
    """

    path: str
    size: int
    crc32: int
    offset: int | None = None

    @property
    def n(self) -> int:
        """Number of files."""
        return 1

    @property
    def place(self) -> tuple[str, int | None]:
        """What tells it from all others."""
        return self.path, self.offset

    def holds(self) -> bool:
        """Whether it has the expected size and checksum."""
        part = () if self.offset is None else (self.offset, self.size)
        try:
            return file_crc32(self.path, *part) == (self.size, self.crc32)
        except OSError:
            return False

    @classmethod
    def of_spill(cls, spill: Spill | StripSpill) -> ExpectedFile:
        """Bytes of a spilled chunk."""
        offset = spill.offset if isinstance(spill, StripSpill) else None
        return cls(spill.path, spill.size, spill.crc32, offset)


def expected_files(
    done: FinishedWork, export: str, gene_paths: Sequence[str]
) -> list[ExpectedFile]:
    """Files of `done`, the genes first, then spilled chunks.

    Parameters
    ----------
    gene_paths
        Of the genes of `done`, relative to the export.
    """
    sizes, sums = done.genes["size"].tolist(), done.genes["crc32"].tolist()
    found = [
        ExpectedFile(f"{export}/{path}", size, crc32)
        for path, size, crc32 in zip(gene_paths, sizes, sums, strict=True)
    ]
    found += [ExpectedFile(f"{export}/{r.path}", r.size, r.crc32) for r in done.other_files]
    found += map(ExpectedFile.of_spill, done.spills)
    return found


Claim: TypeAlias = ExpectedFile | StoredPart


def batches(claims: Iterable[Claim]) -> Iterator[tuple[Claim, ...]]:
    """Cut claims into tasks."""
    batch: list[Claim] = []
    n_bytes = n_files = 0
    for claim in claims:
        if batch and (n_bytes + claim.size > BATCH_BYTES or n_files + claim.n > BATCH_FILES):
            yield tuple(batch)
            batch, n_bytes, n_files = [], 0, 0
        batch.append(claim)
        n_bytes, n_files = n_bytes + claim.size, n_files + claim.n
    if batch:
        yield tuple(batch)


def check_files(batch: Sequence[Claim]) -> list[bool]:
    """Whether the bytes of each claim are intact."""
    return [claim.holds() for claim in batch]


def intact_part(
    done: FinishedWork,
    export: str,
    gene_paths: Sequence[str],
    sound: Container[tuple[str, int | None]],
    broken: Container[str],
) -> FinishedWork:
    """The pieces of `done` that are intact.

    Parameters
    ----------
    sound
        Paths and offsets of intact files.
    broken
        Keys of work on ready files that is not intact.
    """

    def there(receipts: Sequence[Receipt]) -> bool:
        return all((f"{export}/{receipt.path}", None) in sound for receipt in receipts)

    spills = [spill for spill in done.spills if ExpectedFile.of_spill(spill).place in sound]

    ids = done.cell_ids
    return FinishedWork(
        cell_ids=ids if ids is not None and there([ids.receipt]) else None,
        obs=done.obs if done.obs is not None and there(done.obs.receipts) else None,
        edges=done.edges if done.edges is not None and there(done.edges.receipts) else None,
        spills=_apart(spills),
        strips=done.strips,
        genes=done.genes[[(f"{export}/{path}", None) in sound for path in gene_paths]],
        ready=[work for work in done.ready if work.key not in broken],
    )


def _apart(spills: Sequence[Any]) -> list[Any]:
    """Chunks in the order of their cells, none of which overlap."""
    kept: list[Any] = []
    for spill in sorted(spills, key=lambda spill: spill.first):
        if spill.first >= (kept[-1].first + kept[-1].n_rows if kept else 0):
            kept.append(spill)
    return kept


def remove_unrecorded_files(export: Path, kept: Container[str]) -> None:
    """Remove all files from an output that is being made but those at the paths `kept`."""
    for path, entry in walk_files(export):
        if path not in kept:
            Path(entry).unlink()


def missing_rows(
    chunks: Sequence[tuple[int, int]], spills: Sequence[Spill | StripSpill]
) -> list[tuple[int, int]]:
    """Rows of each planned chunk that are not spilled; (start, stop) in rising order."""
    found = []
    for start, stop in chunks:
        low = start
        for spill in spills:
            if spill.first < stop and low < spill.first + spill.n_rows:
                if spill.first > low:
                    found.append((low, spill.first))
                low = max(low, spill.first + spill.n_rows)
        if low < stop:
            found.append((low, stop))
    return found
