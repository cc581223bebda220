"""Waiting for the counts of X: kept, told by the gene index, or found by a pass over the matrix."""

from __future__ import annotations

import logging
from concurrent.futures import CancelledError
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import numpy as np

from cellucid_dask.errors import InputError
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.server.datasets.gene_reader import GeneReader
from cellucid_dask.server.gene_index.failure import is_shutdown_error
from cellucid_dask.server.http.cache import OncePerKey
from cellucid_dask.server.ready.index_counts import SpillCounts, count_by_index
from cellucid_dask.server.ready.kept_counts import KeptCounts
from cellucid_dask.server.ready.value_counts import MatrixPass, ValueCounts, count_values
from cellucid_dask.source.rows.row_selection import RowSelection

log = logging.getLogger("cellucid_dask.server")

WAIT_SECONDS: Final = 0.1  # between two checks whether the index tells


class FoundCounts:
    """The counts of X, found once, however many wait for them.

    Parameters
    ----------
    genes
        In the order of the file, with the matrix of the kept cells.
    selection
        These cells; None keeps all.
    reader
        Of single genes; None where the matrix is read without it.
    room
        Bytes of memory for a pass over the matrix.
    folder
        Where the counts are kept; None keeps them in memory alone.
    stopped
        Set it to end what runs.
    """

    def __init__(
        self,
        genes: Genes,
        selection: RowSelection | None,
        reader: GeneReader | None,
        room: int,
        folder: Path | None,
        stopped: Event,
    ) -> None:
        self._genes, self._selection, self._reader = genes, selection, reader
        self._kept = None if folder is None else KeptCounts(folder, genes, selection)
        self._once, self._stopped = OncePerKey(), stopped
        self._pass = MatrixPass(room, stopped)
        self._state, self._attempt = "off", 0
        self._spilled: SpillCounts | None = None
        if reader is not None and genes.matrix.is_sparse:
            n_cells = genes.matrix.shape[0] if selection is None else selection.n_stored
            self._spilled = SpillCounts(genes, selection, n_cells)
            reader.watch(self._spilled)

    def start(self) -> None:
        """Start to count in the background."""
        Thread(target=self._count_ahead, name="expression counts", daemon=True).start()

    def progress(self) -> dict[str, Any]:
        """Return ``state`` (off, waiting, counting, ready or failed), and ``done`` of ``total``.

        They are cells or genes of a pass over the matrix; a state of waiting is for the index.
        """
        return {"state": self._state, "done": self._pass.done, "total": self._pass.total}

    def get(self) -> ValueCounts:
        """Counts and type of the values; all who wait share an error.

        Raises
        ------
        InputError
            When a value is NaN, infinite, or beyond float32.
        ReadError
            When the data are damaged.
        CancelledError
            When it was stopped.
        """
        found = self._once(("values", self._attempt), self._find_values)
        if isinstance(found, Exception):
            raise found.with_traceback(None)
        counts: ValueCounts = found
        return counts

    def forget(self) -> None:
        """Remove the counts that are kept, which are not those of the matrix."""
        if self._kept is not None:
            self._kept.remove()

    def _count_ahead(self) -> None:
        try:
            self.get()
        except Exception as error:  # noqa: BLE001  whoever asks for X is told
            if not self._stopped.is_set() and not is_shutdown_error(error):
                log.warning(
                    "X cannot be served: %s", "; ".join(map(str.strip, str(error).splitlines()))
                )

    def _find_values(self) -> ValueCounts | Exception:
        try:
            found = self._count()
        except InputError as error:  # it stays one, as the data are what they are
            self._state = "failed"
            return error
        except Exception as error:  # noqa: BLE001  `get` raises it
            self._state = "off" if self._stopped.is_set() else "failed"
            self._attempt += 1  # who asks from now on tries again
            return error
        self._state = "ready"
        return found

    def _count(self) -> ValueCounts:
        if not self._genes.ids:
            return ValueCounts("<f4", np.zeros(0, np.int64))
        if self._kept is not None and (kept := self._kept.load()) is not None:
            return kept
        found = self._count_indexed() if self._spilled is not None else None
        self._state = "counting"
        found = found or count_values(self._genes, self._pass)
        if self._kept is not None:
            self._kept.save(found)
        return found

    def _count_indexed(self) -> ValueCounts | None:
        """Counts from the index, or from what its build has spilled; None if neither tells."""
        assert self._reader is not None
        assert self._spilled is not None
        self._state = "waiting"
        self._reader.start()
        for _ in range(2):
            while self._reader.is_building and not self._spilled.complete:
                if self._stopped.wait(WAIT_SECONDS):
                    raise CancelledError
            if self._spilled.complete:
                return self._spilled.result()
            if (store := self._reader.finished_store()) is None:
                return None
            self._state = "counting"
            tally = count_by_index(store, self._genes, self._selection, self._stopped)
            if tally is not None:
                return tally.result()
            self._state = "waiting"
            self._reader.finished_store()  # a damaged block is made again
        return None
