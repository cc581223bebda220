"""Blocks of genes that are each one unit of X, and what a previous run has left of them.

How genes are cut into blocks depends on memory and workers. So a run keeps the blocks that another
one has finished, whatever their bounds, and cuts the genes between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cellucid_dask.exporter.ready_receipts import ReadyWork

Cut = tuple[int, int]
WRITTEN, SURVEYED = "X/", "X/survey-"  # how keys of blocks begin: of entries, and of their counts


def block_key(kind: str, cut: Cut) -> str:
    """Key of the work on a block: ``X/0-120`` or ``X/survey-0-120``."""
    return f"{kind}{cut[0]}-{cut[1]}"


def finished_blocks(kind: str, works: Iterable[ReadyWork]) -> dict[Cut, ReadyWork]:
    """The blocks that are finished, in order; none overlaps another."""
    pattern = re.compile(re.escape(kind) + r"(\d+)-(\d+)")
    found: dict[Cut, ReadyWork] = {}
    for work in works:
        if match := pattern.fullmatch(work.key):
            found[int(match[1]), int(match[2])] = work
    kept: dict[Cut, ReadyWork] = {}
    end = 0
    for cut in sorted(found):
        if end <= cut[0] < cut[1]:
            kept[cut], end = found[cut], cut[1]
    return kept


def open_runs(blocks: Iterable[Cut], n_genes: int) -> list[Cut]:
    """Runs of genes that are in none of the blocks, which are in order."""
    found, end = list[Cut](), 0
    for start, stop in [*blocks, (n_genes, n_genes)]:
        if start > end:
            found.append((end, start))
        end = stop
    return found
