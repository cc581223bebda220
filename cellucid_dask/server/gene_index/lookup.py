"""The gene index: genes from finished blocks, or from a scan until their block is finished."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from cellucid_dask.compute.engine import Engine
from cellucid_dask.errors import PlanError, ReadError
from cellucid_dask.exporter.planning.memory import FLOOR, MiB
from cellucid_dask.exporter.stages.genes.blocks import GenePiece
from cellucid_dask.server.gene_index.background import BackgroundBuild, SpillWatcher
from cellucid_dask.server.gene_index.build import build_by_workers, check_disk, estimate_disk_bytes
from cellucid_dask.server.gene_index.failure import (
    COST_WITHOUT_INDEX,
    describe_for_clients,
    format_log_line,
    is_shutdown_error,
)
from cellucid_dask.server.gene_index.lock import (
    OTHER_CACHE_DIR,
    BuildStopped,
    GeneIndexError,
    lock_build,
)
from cellucid_dask.server.gene_index.scan import SharedScans, plan_row_chunks, scan_chunks
from cellucid_dask.server.gene_index.store import IndexStore
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.storage.fingerprint import Fingerprint, take_fingerprint

log = logging.getLogger("cellucid_dask.server")

MIN_TASK_BYTES = MiB  # minimum memory of a task
MIN_THREAD_BYTES = 16 * MiB  # minimum memory of a thread
STOP_SECONDS = 0.4  # `stop` waits this long for tasks


class GeneIndex:
    """Genes of a matrix that is stored by cell. Threads may share it.

    Parameters
    ----------
    matrix
        CSR, or a dask array of row blocks.
    folder
        Folder of the index, from `index_folder`; created when needed. With None every gene is
        scanned for and nothing is written.
    memory_bytes
        Memory that building and scanning may use together.
    threads
        Tasks at a time of a build, and as many of a scan.
    data_fingerprint
        Fingerprint of the data. When given, the index is removed if the data change during the
        build.
    """

    def __init__(
        self,
        matrix: Matrix,
        folder: Path | None,
        *,
        memory_bytes: int,
        threads: int,
        data_fingerprint: Fingerprint | None = None,
    ) -> None:
        self.matrix, self._fingerprint = matrix, data_fingerprint
        self.error: Exception | None = None
        self._store = None if folder is None else IndexStore(folder, matrix.shape)
        # 3/8 for the build, 3/8 for a scan, 1/4 for the genes that a scan returns.
        self._pass_memory = memory_bytes * 3 // 8
        self._threads = max(1, min(threads, self._pass_memory // MIN_THREAD_BYTES))
        self._state = "off"
        self._thread: threading.Thread | None = None
        self._background: BackgroundBuild | None = None
        self._watchers: list[SpillWatcher] = []
        self._stopped = threading.Event()
        self._lock = threading.RLock()  # `_rebuild_once` starts
        self._was_rebuilt = False
        max_genes = memory_bytes // 4 // (8 * max(1, matrix.shape[0]))
        self._scans = SharedScans(self._find_genes, max_genes)

    # ------------------------------------------------------------------------------- genes

    def pieces(self, column: int) -> list[GenePiece]:
        """Return the stored values of a gene, as `cellucid_dask.encode.encode_gene` takes them."""
        return self.pieces_of([column])[0]

    def pieces_of(self, columns: Sequence[int]) -> list[list[GenePiece]]:
        """Return the pieces of several genes, of those that are in no block from one scan.

        Raises
        ------
        IndexError
            When there is no such column.
        ReadError
            When the data are damaged.
        CancelledError
            When `stop` is called during a scan.
        """
        if columns and not 0 <= min(columns) <= max(columns) < self.matrix.shape[1]:
            raise IndexError(f"there is no column {min(columns)} or {max(columns)}")
        found = self._read_blocks(columns)
        missing = [column for column in columns if column not in found]
        for column in missing:
            if self._background is not None:
                self._background.prioritize(column)
        found |= zip(missing, self._scans.get(missing), strict=True)
        return [found[column] for column in columns]

    def _read_blocks(self, columns: Sequence[int]) -> dict[int, list[GenePiece]]:
        if self._store is None:
            return {}
        found = {column: [piece] for column, piece in self._store.read(columns).items()}
        if self._state == "ready" and any(column not in found for column in columns):
            self._rebuild_once()
        return found

    def _find_genes(self, columns: list[int], *, from_spill: bool = True) -> list[list[GenePiece]]:
        """Read genes from their blocks, else from the spill and a scan of the other cells."""
        found = self._read_blocks(columns)
        missing = [column for column in columns if column not in found]
        build = self._background
        spills = build.spills() if from_spill and build is not None else []
        try:
            spilled = [[s.read(gene, gene + 1).gene(0) for s in spills] for gene in missing]
        except OSError:  # the spill was just removed: the build has ended
            return self._find_genes(columns, from_spill=False)
        done = {spill.first for spill in spills}
        rest = [chunk for chunk in self._chunks if missing and chunk[0] not in done]
        scanned = scan_chunks(self.matrix, missing, rest, self._threads, self._stopped)
        for gene, a, b in zip(missing, spilled, scanned, strict=True):
            found[gene] = sorted(a + b, key=lambda piece: piece[0])  # in the order of the cells
        return [found[column] for column in columns]

    @cached_property
    def _chunks(self) -> tuple[tuple[int, int], ...]:
        return plan_row_chunks(self.matrix, max(MIN_TASK_BYTES, self._pass_memory // self._threads))

    def finished_store(self) -> IndexStore | None:
        """The complete index; None when there is none, or not yet."""
        if self._state == "ready":
            self._rebuild_once()
        store = self._store
        return store if store is not None and store.complete else None

    # ------------------------------------------------------------------------------- state

    @property
    def is_building(self) -> bool:
        """Whether the index is being built, here or by another process that this one waits for."""
        return self._thread is not None and self._thread.is_alive()

    def watch(self, watcher: SpillWatcher) -> None:
        """Show `watcher` all that is spilled by builds that start from now on."""
        self._watchers.append(watcher)

    def progress(self) -> dict[str, Any]:
        """Return the progress of the build, as plain data without paths of this machine.

        Returns
        -------
        ``state`` (off, waiting, building, ready or failed), ``rows_done`` of ``rows`` cells,
        ``blocks_done`` of ``blocks``, and after a failure the ``reason`` and the ``cost``.
        """
        state, store, build = self._state, self._store, self._background
        n_cells = self.matrix.shape[0]
        rows = n_cells if state == "ready" else 0 if build is None else build.rows_done
        facts: dict[str, Any] = {"state": state, "rows_done": rows, "rows": n_cells}
        facts["blocks_done"] = 0 if store is None else store.n_blocks_done
        facts["blocks"] = 0 if store is None else store.n_blocks
        if state == "failed" and self.error is not None:
            facts |= {"reason": describe_for_clients(self.error), "cost": COST_WITHOUT_INDEX}
        return facts

    def start(self) -> None:
        """Start to build in the background, unless the index is complete."""
        with self._lock:
            if self._store is None or self._thread is not None:
                return
            self._store.refresh()
            if self._store.complete:
                self._state = "ready"
                return
            self._state = "waiting"
            self._thread = threading.Thread(
                target=self._run_in_background, name="gene index", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Stop building and scanning; remove unfinished files, keep finished blocks."""
        self._stopped.set()
        thread, build = self._thread, self._background
        if thread is not None:
            thread.join(STOP_SECONDS)
            if thread.is_alive() and build is not None:
                build.remove_spill()

    def _rebuild_once(self) -> None:
        """Rebuild lost blocks of a complete index; only once, to avoid an endless loop."""
        assert self._store is not None
        with self._lock:
            self._store.refresh()
            if self._state != "ready" or self._store.complete or self._stopped.is_set():
                return
            if self._was_rebuilt:
                what = "files in the cache folder disappear after they are written"
                where = str(self._store.folder)
                self._record_failure(GeneIndexError(what, where=where, fix=OTHER_CACHE_DIR))
                return
            self._was_rebuilt, self._thread = True, None
            self.start()

    # ------------------------------------------------------------------------------- building

    def build(self, engine: Engine, task_bytes: int, *, in_process: bool = False) -> bool:
        """Build the complete index with the workers of an engine, and show progress.

        Parameters
        ----------
        engine
            An entered engine; its workers run during the build.
        task_bytes
            Memory that a task may use, from ``Cluster.task_memory``.
        in_process
            Run in this process; needed for data in its memory.

        Returns
        -------
        Whether anything was missing.

        Raises
        ------
        PlanError
            When `task_bytes` is too little.
        OutputError
            When the folder cannot be written, or its disk has too little space.
        ReadError
            When the data are damaged, or change during the build.
        """
        assert self._store is not None, "there is no folder to build in"
        if task_bytes < FLOOR:
            what = f"a task needs {decimal(FLOOR)}, and may take {decimal(max(task_bytes, 0))}"
            raise PlanError(what, where="--memory", fix="give more --memory, or fewer --workers")
        report_waiting = partial(engine.reporter.say, "another process is building this index")
        with lock_build(self._store, self._stopped, report_waiting) as needed:
            if needed:
                check_disk(self._store.folder, estimate_disk_bytes(self.matrix))
                build_by_workers(
                    engine,
                    self.matrix,
                    self._store,
                    task_bytes,
                    self._check_unchanged,
                    in_process=in_process,
                )
        self._state = "ready"
        return needed

    def _run_in_background(self) -> None:
        """Build the index in this thread, or wait for another process that builds it."""
        try:
            assert self._store is not None
            with lock_build(self._store, self._stopped) as needed:
                if needed:
                    # At least a fourth of the estimate; the first spill shows the real need.
                    check_disk(self._store.folder, estimate_disk_bytes(self.matrix) // 4)
                    self._build_in_threads()
            self._state = "ready"
        except BuildStopped:
            self._state = "off"
        except Exception as error:  # noqa: BLE001  logged; genes are scanned for
            if is_shutdown_error(error):
                self._state = "off"
            else:
                self._record_failure(error)
        finally:
            self._background = None

    def _record_failure(self, error: Exception) -> None:
        """Continue without an index, and log why."""
        self.error, self._state = error, "failed"
        log.warning("%s", format_log_line(error))

    def _build_in_threads(self) -> None:
        assert self._store is not None
        build = BackgroundBuild(
            self.matrix,
            self._store,
            self._chunks,
            self._threads,
            self._pass_memory,
            self._stopped,
            self._watchers,
        )
        self._background, self._state = build, "building"
        build.run(self._check_unchanged)

    def _check_unchanged(self) -> None:
        expected = self._fingerprint
        if expected is None:
            return
        try:
            unchanged = take_fingerprint(expected.path, expected.element) == expected
        except OSError:
            unchanged = False
        if not unchanged:
            what = "changed while the gene index was being built"
            raise ReadError(what, where=expected.path, fix="run it again")
