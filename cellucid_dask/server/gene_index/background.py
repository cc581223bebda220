"""Building the gene index in the background of a server, what is asked for first."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from cellucid_dask.exporter.receipts import Spill
from cellucid_dask.exporter.stages.genes.transpose import transpose_chunk
from cellucid_dask.server.gene_index.build import check_disk, plan_blocks, spill_folder, write_block
from cellucid_dask.server.gene_index.lock import Stopped
from cellucid_dask.server.gene_index.store import IndexStore
from cellucid_dask.source.arrays.matrix import Matrix

T = TypeVar("T")


class ThreadBuild:
    """Builds an index by threads of this process, what is asked for first.

    Parameters
    ----------
    matrix, store
        What is indexed, and where to.
    chunks
        (start, stop) of the cells of each task of the first pass.
    threads
        Number of tasks of the first pass at a time.
    room
        Bytes that all tasks may use together.
    stopped
        Set to stop it.
    """

    def __init__(
        self,
        matrix: Matrix,
        store: IndexStore,
        chunks: Sequence[tuple[int, int]],
        threads: int,
        room: int,
        stopped: threading.Event,
    ) -> None:
        self._matrix, self._store, self._chunks = matrix, store, chunks
        self._threads, self._room, self._stopped = threads, room, stopped
        self._guard = threading.Lock()
        self._folder: Path | None = None
        self._bytes, self.rows_done = 0, 0
        self._spills: dict[int, Spill] = {}
        self._asked: dict[int, None] = {}  # genes, the latest last
        self._left: dict[int, None] = {}  # blocks, the first first

    def spills(self) -> list[Spill]:
        """What of the cells is spilled by now, in their order."""
        with self._guard:
            return [self._spills[first] for first in sorted(self._spills)]

    def ask(self, column: int) -> None:
        """Have the block of a gene built before the others."""
        with self._guard:
            self._asked.pop(column, None)
            self._asked[column] = None

    def discard(self) -> None:
        """Remove the spill although a task may still be writing."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, check: Callable[[], None]) -> None:
        """Build what is missing.

        Parameters
        ----------
        check
            Called after each read of the data; raises when they must not be used.

        Raises
        ------
        Stopped
            When it was told to stop.
        """
        with spill_folder(self._store.folder) as self._folder:
            try:
                chunks = iter(self._chunks)
                spill = partial(self._spill, check)
                self._each(lambda: next(chunks, None), spill, self._threads)
                check()
                self._gather(self.spills())
            except Exception:
                if self._stopped.is_set():  # it may have taken the spill away from under a task
                    raise Stopped from None
                raise
            finally:
                with self._guard:
                    self._spills = {}

    def _spill(self, check: Callable[[], None], chunk: tuple[int, int]) -> None:
        spill = transpose_chunk(self._matrix, *chunk, None, str(self._folder))
        check()  # each time: another file may be in the place of this one for a moment only
        with self._guard:
            self._spills[spill.first] = spill
            self.rows_done += spill.n_rows
            self._bytes += Path(spill.path).stat().st_size
            n_cells, rows, size = self._matrix.shape[0], self.rows_done, self._bytes
        # As much again for each cell that is left, and the blocks, which take less than the spill.
        check_disk(self._store.folder, size * (2 * n_cells - rows) // rows)

    def _gather(self, spills: Sequence[Spill]) -> None:
        tasks = {task.block: task for task in plan_blocks(self._store, spills)}
        self._left = dict.fromkeys(tasks)
        largest = max((task.n_bytes for task in tasks.values()), default=1)

        def build(block: int) -> None:
            if not self._store.has(block):
                write_block(tasks[block], spills)
                self._store.has(block)

        self._each(self._next, build, max(1, min(self._threads, self._room // largest)))

    def _next(self) -> int | None:
        """Block of the gene that was asked for last, or else the first that is left."""
        with self._guard:
            asked: int | None = None
            while self._asked and asked not in self._left:
                asked = self._store.block_of(self._asked.popitem()[0])
            block = asked if asked in self._left else next(iter(self._left), None)
            if block is not None:
                del self._left[block]
            return block

    def _each(
        self, take: Callable[[], T | None], work: Callable[[T], object], threads: int
    ) -> None:
        """Run tasks by threads that the interpreter does not wait for when the program ends."""
        errors: list[BaseException] = []

        def loop() -> None:
            try:
                while not (errors or self._stopped.is_set()) and (task := take()) is not None:
                    work(task)
            except BaseException as error:  # noqa: BLE001  it is raised below
                errors.append(error)

        crew = [threading.Thread(target=loop, name="index", daemon=True) for _ in range(threads)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        if self._stopped.is_set():
            raise Stopped
        if errors:
            raise errors[0]
