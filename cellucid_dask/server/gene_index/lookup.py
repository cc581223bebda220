"""The gene index of a server: from its blocks, or by a scan as long as a block is not there."""

from __future__ import annotations

import logging
import threading
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

from rich.filesize import decimal

from cellucid_dask.compute.engine import Engine
from cellucid_dask.errors import CellucidDaskError, PlanError, ReadError
from cellucid_dask.exporter.planning.memory import FLOOR, MiB
from cellucid_dask.exporter.stages.genes.blocks import GenePiece
from cellucid_dask.server.gene_index.background import ThreadBuild
from cellucid_dask.server.gene_index.build import build_by_workers, check_disk, disk_bytes
from cellucid_dask.server.gene_index.lock import OTHER_FOLDER, NoIndexError, Stopped, building
from cellucid_dask.server.gene_index.scan import SharedScans, chunks_of, scan
from cellucid_dask.server.gene_index.store import IndexStore
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.storage.fingerprint import Fingerprint, take_fingerprint

log = logging.getLogger("cellucid_dask.server")

COST: Final = "the first look at each gene reads the whole matrix"
LEAST_SHARE = MiB  # memory of a task at least
THREAD_BYTES = 16 * MiB  # memory with which one more thread is worth it
STOP_SECONDS = 0.4  # that `stop` waits for tasks


class GeneIndex:
    """Genes of a matrix that lies cell by cell; shared by threads.

    Parameters
    ----------
    matrix
        CSR, or a dask array of row blocks.
    folder
        Of the index, as `index_folder` names it, made on demand. None scans for every gene and
        writes nothing.
    room
        Bytes of memory that building and scanning may use together.
    threads
        Tasks at a time, of the build and of a scan each.
    mark
        Fingerprint of the data. When given, an index is thrown away whose data changed while they
        were being read.
    """

    def __init__(
        self,
        matrix: Matrix,
        folder: Path | None,
        *,
        room: int,
        threads: int,
        mark: Fingerprint | None = None,
    ) -> None:
        self.matrix, self._mark = matrix, mark
        self.error: Exception | None = None
        self._store = None if folder is None else IndexStore(folder, matrix.shape)
        self._room = room * 3 // 8  # of the build; as much for a scan, the rest for what it finds
        self._threads = max(1, min(threads, self._room // THREAD_BYTES))
        self._state = "off"
        self._thread: threading.Thread | None = None
        self._build: ThreadBuild | None = None
        self._stopped = threading.Event()
        self._guard = threading.Lock()
        self._rebuilt = False
        most = room // 4 // (8 * max(1, matrix.shape[0]))
        self._scans = SharedScans(self._find, most)

    # ------------------------------------------------------------------------------- genes

    def pieces(self, column: int) -> list[GenePiece]:
        """Stored values of a gene, as `cellucid_dask.encode.encode_gene` takes them.

        Raises
        ------
        IndexError
            When there is no such column.
        ReadError
            When the data are damaged.
        CancelledError
            When `stop` was called while the data were being searched.
        """
        if not 0 <= column < self.matrix.shape[1]:
            raise IndexError(f"there is no column {column}")
        found = self._indexed(column)
        if found is not None:
            return found
        if self._build is not None:
            self._build.ask(column)
        return self._scans.get(column)

    def _indexed(self, column: int) -> list[GenePiece] | None:
        if self._store is None:
            return None
        piece = self._store.read(column)
        if piece is None and self._state == "ready":
            self._build_again()
        return None if piece is None else [piece]

    def _find(self, columns: list[int], *, from_spill: bool = True) -> list[list[GenePiece]]:
        """Pieces of genes: from their blocks, else from the spill and a scan of what it lacks."""
        found = {column: self._indexed(column) for column in columns}
        left = [column for column in columns if found[column] is None]
        build = self._build
        spills = build.spills() if from_spill and build is not None else []
        try:
            spilled = [[s.read(gene, gene + 1).gene(0) for s in spills] for gene in left]
        except OSError:  # it is gone since a moment ago: the index is complete, or was given up
            return self._find(columns, from_spill=False)
        done = {spill.first for spill in spills}
        rest = [chunk for chunk in self._chunks if left and chunk[0] not in done]
        scanned = scan(self.matrix, left, rest, self._threads, self._stopped)
        found |= {gene: a + b for gene, a, b in zip(left, spilled, scanned, strict=True)}
        return [found[column] or [] for column in columns]

    @cached_property
    def _chunks(self) -> tuple[tuple[int, int], ...]:
        return chunks_of(self.matrix, max(LEAST_SHARE, self._room // self._threads))

    # ------------------------------------------------------------------------------- state

    def progress(self) -> dict[str, Any]:
        """How far the index is, as plain data without any path of the machine.

        Returns
        -------
        ``state`` (off, waiting, building, ready or failed), ``rows_done`` of ``rows`` cells,
        ``blocks_done`` of ``blocks``, and when it failed the ``reason`` and the ``cost``.
        """
        state, store, build = self._state, self._store, self._build
        n_cells = self.matrix.shape[0]
        rows = n_cells if state == "ready" else 0 if build is None else build.rows_done
        facts: dict[str, Any] = {"state": state, "rows_done": rows, "rows": n_cells}
        facts["blocks_done"] = 0 if store is None else store.n_done
        facts["blocks"] = 0 if store is None else store.n_blocks
        if state == "failed" and self.error is not None:
            facts |= {"reason": plain_reason(self.error), "cost": COST}
        return facts

    def start(self) -> None:
        """Begin to build in the background, unless the index is there."""
        if self._store is None or self._thread is not None:
            return
        self._store.refresh()
        if self._store.complete:
            self._state = "ready"
            return
        self._state = "waiting"
        self._thread = threading.Thread(target=self._run, name="gene index", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop building and scanning; what is unfinished is removed, finished blocks stay."""
        self._stopped.set()
        thread, build = self._thread, self._build
        if thread is not None:
            thread.join(STOP_SECONDS)
            if thread.is_alive() and build is not None:
                build.discard()

    def _build_again(self) -> None:
        """Build what was lost since the index was complete; once, lest it be for ever."""
        assert self._store is not None
        with self._guard:
            self._store.refresh()
            if self._state != "ready" or self._store.complete or self._stopped.is_set():
                return
            if self._rebuilt:
                what = "what is written to the cache folder does not stay there"
                where = str(self._store.folder)
                self._give_up(NoIndexError(what, where=where, fix=OTHER_FOLDER))
                return
            self._rebuilt, self._thread = True, None
            self.start()

    # ------------------------------------------------------------------------------- building

    def build(self, engine: Engine, share: int, *, here: bool = False) -> bool:
        """Build the index to its end by the workers of an engine, and show progress.

        Parameters
        ----------
        engine
            Entered; its workers are started for as long as this takes.
        share
            Bytes of memory that a task may use, as ``Cluster.task_memory`` returns.
        here
            Run in this process, as data that live in its memory must.

        Returns
        -------
        Whether there was anything to build.

        Raises
        ------
        PlanError
            When `share` is too little.
        OutputError
            When the folder cannot be written, or its disk has no room.
        ReadError
            When the data are damaged, or changed meanwhile.
        """
        assert self._store is not None, "there is no folder to build in"
        if share < FLOOR:
            what = f"a task needs {decimal(FLOOR)}, and may take {decimal(max(share, 0))}"
            raise PlanError(what, where="--memory", fix="give more --memory, or fewer --workers")
        say = partial(engine.reporter.say, "another process is building this index")
        with building(self._store, self._stopped, say) as needed:
            if needed:
                check_disk(self._store.folder, disk_bytes(self.matrix))
                build_by_workers(
                    engine, self.matrix, self._store, share, self._check_unchanged, here=here
                )
        self._state = "ready"
        return needed

    def _run(self) -> None:
        """Have the index built by this thread, or wait for another process to do it."""
        try:
            assert self._store is not None
            with building(self._store, self._stopped) as needed:
                if needed:
                    # A fourth at least; how much it is, what is spilled first will tell.
                    check_disk(self._store.folder, disk_bytes(self.matrix) // 4)
                    self._by_threads()
            self._state = "ready"
        except Stopped:
            self._state = "off"
        except Exception as error:  # noqa: BLE001  it is told; genes are scanned for
            if interpreter_ends(error):
                self._state = "off"
            else:
                self._give_up(error)
        finally:
            self._build = None

    def _give_up(self, error: Exception) -> None:
        """Go on without an index, and say in one line why, and what that costs."""
        self.error, self._state = error, "failed"
        reason = f"{type(error).__name__}: {error}"
        fix = ""
        if isinstance(error, CellucidDaskError):
            problem = error.problems[0]
            reason = f"{problem.where}: {problem.what}" if problem.where else problem.what
            fix = f"; {problem.fix}" if problem.fix else ""
        log.warning("there is no gene index, so %s (%s)%s", COST, " ".join(reason.split()), fix)

    def _by_threads(self) -> None:
        assert self._store is not None
        build = ThreadBuild(
            self.matrix, self._store, self._chunks, self._threads, self._room, self._stopped
        )
        self._build, self._state = build, "building"
        build.run(self._check_unchanged)

    def _check_unchanged(self) -> None:
        if self._mark is None:
            return
        try:
            same = take_fingerprint(self._mark.path, self._mark.element) == self._mark
        except OSError:
            same = False
        if not same:
            what = "changed while the gene index was being built"
            raise ReadError(what, where=self._mark.path, fix="run it again")


def interpreter_ends(error: Exception) -> bool:
    """Whether a pool of threads refused work because the program ends; it says so in words only.

    Thread pools, such as zarr's, are closed before the main thread counts as ended, and so before
    servers in the background are stopped.
    """
    return isinstance(error, RuntimeError) and "cannot schedule new futures" in str(error)


def plain_reason(error: Exception) -> str:
    """Say why there is no index, without any path of the machine."""
    if isinstance(error, NoIndexError):
        return error.problems[0].what
    if isinstance(error, CellucidDaskError):
        return "the data cannot be read, or changed while they were being read"
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    return f"an unexpected error ({type(error).__name__})"
