"""Outlier quantiles and centroids of live data: found when they are first needed, and then kept.

Both are passes over all cells. Colors need neither, so nothing computes them before a request does.
The quantiles of one column need a pass over the latent space; whoever asks for one column may ask
for the next, so those of all others follow in the background.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Lock, Semaphore
from typing import Any

from cellucid_dask.exporter.on_demand import OnDemandFiles
from cellucid_dask.exporter.receipts import ColumnSummary
from cellucid_dask.exporter.stages.dataset_files import Step
from cellucid_dask.server.datasets.kept_summaries import KeptSummaries, Kind
from cellucid_dask.server.precedence import precedence


class Summaries:
    """Outlier quantiles and centroids of the categorical columns of one dataset.

    Threads may share it: those that wait for the same column, or for columns of the same kind,
    share a pass.

    Parameters
    ----------
    files
        Makes them.
    run
        Runs a step that a pass needs, at most once.
    busy
        Bounds how many steps run at the same time.
    kept
        Where they are kept; None keeps them as long as this dataset.
    check
        Raises when the data have changed since they were opened.
    """

    def __init__(
        self,
        files: OnDemandFiles,
        run: Callable[[Step], Any],
        busy: Semaphore,
        kept: KeptSummaries | None,
        check: Callable[[], None],
    ) -> None:
        self._files, self._run, self._busy = files, run, busy
        self._kept, self._check = kept, check
        self.keys = tuple(column.key for column in files.catalog.categorical)
        self._found: dict[Kind, dict[str, ColumnSummary]] = {"outliers": {}, "centroids": {}}
        self._wanted: dict[Kind, set[str]] = {"outliers": set(), "centroids": set()}
        self._lock, self._pass = Lock(), Lock()
        self._stopped = Event()
        self._is_ahead = False
        self._background = ThreadPoolExecutor(1, thread_name_prefix="cellucid-summaries")

    def find_outliers(self, key: str) -> None:
        """Have the file of the outlier quantiles of a column; the others follow in time."""
        self._find("outliers", [key])
        if not self._is_ahead:
            self._is_ahead = True
            self._run_later(self._find_ahead)

    def of_columns(self, keys: Iterable[str] | None = None) -> Mapping[str, ColumnSummary]:
        """What the manifest says of columns: their centroids, and ranges where they are stored."""
        wanted = self.keys if keys is None else [key for key in self.keys if key in set(keys)]
        centroids = self._find("centroids", wanted)
        if self._files.options.obs_quantization is None:
            return centroids
        outliers = self._find("outliers", wanted)
        return {
            key: ColumnSummary(outliers[key].outliers, centroids[key].centroids) for key in wanted
        }

    def _find(self, kind: Kind, keys: Iterable[str]) -> dict[str, ColumnSummary]:
        found, wanted, keys = self._found[kind], self._wanted[kind], list(keys)
        with self._lock:
            wanted.update(key for key in keys if key not in found)
        if any(key not in found for key in keys):
            with self._pass:  # one at a time, each uses the memory of all
                with self._lock:
                    missing = [k for k in self.keys if (k in wanted or k in keys)]
                    missing = [key for key in missing if key not in found]
                    wanted.clear()
                self._make(kind, missing, background=False)
        return {key: found[key] for key in keys}

    def _run_later(self, work: Callable[..., None], *arguments: Any) -> None:
        with self._lock, suppress(RuntimeError):  # which is raised when the program ends
            if not self._stopped.is_set():
                self._background.submit(work, *arguments)

    def _find_ahead(self) -> None:
        with suppress(Exception):  # whoever asks for a column is told
            others = [key for key in self.keys if key not in self._found["outliers"]]
            self._make("outliers", others, background=True)

    def _make(self, kind: Kind, keys: Iterable[str], *, background: bool) -> None:
        """Take columns from those that are kept; compute the others in one pass."""
        found = {key: summary for key in keys if (summary := self._load(kind, key))}
        self._found[kind].update(found)
        missing = [key for key in keys if key not in found]
        if not missing:
            return
        for step in self._files.steps_before(kind, missing):
            if background:
                self._wait()
            self._run(step)
        self._check()
        if background:
            computed = self._files.reduce(
                kind, missing, before=self._wait, after=self._check, threads=1
            )
        else:
            with self._busy:
                computed = self._files.reduce(kind, missing, after=self._check)
        self._found[kind].update(computed)
        if self._kept is not None:  # a slow disk delays no response
            self._run_later(self._save, self._kept, kind, computed)

    def _wait(self) -> None:
        """Let requests go first."""
        precedence.wait(self._stopped)
        if self._stopped.is_set():
            raise CancelledError

    def _load(self, kind: Kind, key: str) -> ColumnSummary | None:
        kept = None if self._kept is None else self._kept.load(kind, key)
        return None if kept is None else self._files.restore(kind, key, *kept)

    def _save(self, kept: KeptSummaries, kind: Kind, computed: Mapping[str, ColumnSummary]) -> None:
        with suppress(Exception):  # the server has stopped, or the file has changed
            for key, summary in computed.items():
                self._check()  # what is kept of other versions is removed
                kept.save(kind, key, *self._files.content(kind, key, summary))

    def close(self) -> None:
        """Stop what runs in the background."""
        self._stopped.set()
        self._background.shutdown(wait=False, cancel_futures=True)
