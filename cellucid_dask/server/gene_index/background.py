"""Building the gene index in threads of a server; blocks of requested genes come first."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from cellucid_dask.exporter.receipts import Spill
from cellucid_dask.exporter.stages.genes.transpose import transpose_chunk
from cellucid_dask.server.gene_index.build import (
    check_disk,
    plan_blocks,
    temporary_spill_folder,
    write_block,
)
from cellucid_dask.server.gene_index.lock import BuildStopped
from cellucid_dask.server.gene_index.store import IndexStore
from cellucid_dask.server.precedence import precedence
from cellucid_dask.source.arrays.matrix import Matrix

T = TypeVar("T")


class SpillWatcher(Protocol):
    """Is shown what a build spills, in its threads."""

    def begin(self) -> None:
        """A build begins."""

    def add(self, spill: Spill) -> None:
        """A chunk is spilled; chunks come in any order."""


class BackgroundBuild:
    """A build of an index in threads of this process; blocks of requested genes come first.

    Parameters
    ----------
    matrix, store
        What is indexed, and the index.
    chunks
        (start, stop) of the cells of each task of the first pass.
    threads
        Number of tasks of the first pass at a time.
    memory_bytes
        Memory that all tasks may use together.
    stopped
        Set it to stop the build.
    watchers
        Are shown the spilled chunks.
    """

    def __init__(
        self,
        matrix: Matrix,
        store: IndexStore,
        chunks: Sequence[tuple[int, int]],
        threads: int,
        memory_bytes: int,
        stopped: threading.Event,
        watchers: Sequence[SpillWatcher] = (),
    ) -> None:
        self._matrix, self._store, self._chunks = matrix, store, chunks
        self._threads, self._memory_bytes, self._stopped = threads, memory_bytes, stopped
        self._watchers = tuple(watchers)
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._spilled_bytes, self.rows_done = 0, 0
        self._spills: dict[int, Spill] = {}
        self._requested_genes: dict[int, None] = {}  # in the order of requests
        self._remaining_blocks: dict[int, None] = {}  # in the order of genes

    def spills(self) -> list[Spill]:
        """Return the spills that are finished, in the order of their cells."""
        with self._lock:
            return [self._spills[first] for first in sorted(self._spills)]

    def prioritize(self, column: int) -> None:
        """Build the block of this gene before the others."""
        with self._lock:
            self._requested_genes.pop(column, None)
            self._requested_genes[column] = None

    def remove_spill(self) -> None:
        """Remove the spill, although a task may still be writing."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, check: Callable[[], None]) -> None:
        """Build the missing blocks.

        Parameters
        ----------
        check
            Called after each read of the data; raises when the data have changed.

        Raises
        ------
        BuildStopped
            When `stopped` is set.
        """
        with temporary_spill_folder(self._store.folder) as self._folder:
            try:
                for watcher in self._watchers:
                    watcher.begin()
                chunks = iter(self._chunks)
                spill = partial(self._spill, check)
                self._run_threads(lambda: next(chunks, None), spill, self._threads)
                check()
                self._build_blocks(self.spills())
            except Exception:
                if self._stopped.is_set():  # `remove_spill` may have removed files of a task
                    raise BuildStopped from None
                raise
            finally:
                with self._lock:
                    self._spills = {}

    def _spill(self, check: Callable[[], None], chunk: tuple[int, int]) -> None:
        spill = transpose_chunk(self._matrix, *chunk, None, str(self._folder))
        check()  # each time: another file may replace this one for a moment only
        for watcher in self._watchers:
            watcher.add(spill)
        with self._lock:
            self._spills[spill.first] = spill
            self.rows_done += spill.n_rows
            self._spilled_bytes += Path(spill.path).stat().st_size
            n_cells, rows, size = self._matrix.shape[0], self.rows_done, self._spilled_bytes
        # The remaining cells need as much each; the blocks need less than the spill.
        check_disk(self._store.folder, size * (2 * n_cells - rows) // rows)

    def _build_blocks(self, spills: Sequence[Spill]) -> None:
        tasks = {task.block: task for task in plan_blocks(self._store, spills)}
        self._remaining_blocks = dict.fromkeys(tasks)
        largest = max((task.n_bytes for task in tasks.values()), default=1)

        def build(block: int) -> None:
            if not self._store.has_block(block):
                write_block(tasks[block], spills)
                self._store.has_block(block)

        threads = max(1, min(self._threads, self._memory_bytes // largest))
        self._run_threads(self._next_block, build, threads)

    def _next_block(self) -> int | None:
        """Block of the gene that was requested last, or else the first remaining block."""
        with self._lock:
            requested: int | None = None
            while self._requested_genes and requested not in self._remaining_blocks:
                requested = self._store.block_of(self._requested_genes.popitem()[0])
            block = requested
            if block not in self._remaining_blocks:
                block = next(iter(self._remaining_blocks), None)
            if block is not None:
                del self._remaining_blocks[block]
            return block

    def _run_threads(
        self, next_task: Callable[[], T | None], work: Callable[[T], object], threads: int
    ) -> None:
        """Run tasks in daemon threads: the interpreter does not wait for them at its end."""
        errors: list[BaseException] = []

        def loop() -> None:
            try:
                while not (errors or self._stopped.is_set()):
                    if len(self._chunks) > 1:  # a small matrix is read before it disturbs
                        precedence.wait(self._stopped)
                    task = next_task()
                    if task is None:
                        return
                    work(task)
            except BaseException as error:  # noqa: BLE001  it is raised below
                errors.append(error)

        started = [threading.Thread(target=loop, name="index", daemon=True) for _ in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        if self._stopped.is_set():
            raise BuildStopped
        if errors:
            raise errors[0]
