"""The ids of cells in one file: blocks of equally many, each of which can be read alone.

A task writes some blocks into scratch; then they are put together in the order of the cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from cellucid_dask.encode import pack
from cellucid_dask.errors import InputError, ReadError
from cellucid_dask.exporter.checks.cell_ids import read_ids, without_ids
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.receipts import CellIdsFile
from cellucid_dask.files import READ, write_atomically, write_file
from cellucid_dask.format import IDS_PER_BLOCK, Resource, ids_block
from cellucid_dask.source.arrays.typed_column import TypedColumn

BLOCKS = 64  # of a task, which holds that many in memory


@dataclass(frozen=True, slots=True)
class IdsPiece:
    """Blocks that a task has written.

    Parameters
    ----------
    path
        Their file in scratch.
    sizes
        Bytes of each block.
    warning
        Why there are none: the input has no ids that can be read.
    """

    path: str
    sizes: tuple[int, ...] = ()
    warning: str = ""


def make_cell_ids(job: Job) -> None:
    """Write the file of ids, or take that of a previous run."""
    if job.catalog.cell_ids is None or job.finished.cell_ids is not None:
        job.cell_ids = job.finished.cell_ids
        return
    with job.engine.run_inline() if job.obs_beside_genes else nullcontext():
        tasks = cell_id_tasks(job)
        pieces = job.engine.run(
            "cell ids", write_ids, tasks, in_process=job.obs_here, unit="pieces"
        )
    warnings = [piece.warning for piece in pieces if piece.warning]
    if warnings:
        job.catalog.warnings.append(warnings[0])
        return
    receipt = write_file(job.export, Resource("ids", gz=job.level > 0), _join(pieces))
    sizes = [size for piece in pieces for size in piece.sizes]
    job.cell_ids = CellIdsFile(receipt, [0, *accumulate(sizes)])
    job.journal.cell_ids(job.cell_ids)
    for piece in pieces:
        Path(piece.path).unlink()


def cell_id_tasks(job: Job) -> list[tuple[Any, ...]]:
    """Arguments of `write_ids` for all cells."""
    ids, step = job.catalog.cell_ids, BLOCKS * IDS_PER_BLOCK
    if ids is None:
        return []
    return [
        (
            str(Path(job.scratch, f"ids-{start}")),
            ids,
            start,
            min(start + step, ids.length),
            job.level,
        )
        for start in range(0, ids.length, step)
    ]


def write_ids(path: str, ids: TypedColumn, start: int, stop: int, level: int) -> IdsPiece:
    """Write the blocks of cells `start` to `stop` one after the other."""
    try:
        texts = read_ids(ids, start, stop)
    except (InputError, ReadError) as error:  # nobody asked for ids
        return IdsPiece(path, warning=without_ids(error))
    blocks = [
        pack([np.frombuffer(ids_block(texts[i : i + IDS_PER_BLOCK]).encode(), np.uint8)], level)
        for i in range(0, len(texts), IDS_PER_BLOCK)
    ]
    write_atomically(path, blocks)
    return IdsPiece(path, tuple(map(len, blocks)))


def _join(pieces: list[IdsPiece]) -> Iterator[bytes]:
    """Bytes of all pieces, some at a time."""
    for piece in pieces:
        with Path(piece.path).open("rb") as file:
            while part := file.read(READ):
                yield part
