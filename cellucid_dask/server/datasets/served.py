"""What a server serves, and what the service paths report about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from cellucid_dask.server.datasets.collection import (
    Dataset,
    DatasetFolder,
    NoDataset,
    SingleDataset,
)
from cellucid_dask.server.http.cache import ContentCache
from cellucid_dask.server.http.content import Content

if TYPE_CHECKING:
    from cellucid_dask.server.datasets.live import LiveDataset
    from cellucid_dask.server.datasets.zarr_files import ZarrFiles

_COUNTS: Final = ("n_cells", "n_genes")


class LiveData(Dataset, Protocol):
    """Live data, which may be replaced by a newer state of its file."""

    @property
    def current(self) -> LiveDataset:
        """The dataset as it was last opened."""

    def start(self) -> None:
        """Start the background work."""

    def close(self) -> None:
        """Stop the background work and release the data."""


class AppStore(Protocol):
    """The store that the public app reads, and what the server says of it."""

    def find(self, path: str) -> Content | None:
        """Content of a path below ``/_cellucid/anndata/``."""

    def datasets(self) -> Content:
        """``/_cellucid/datasets``."""

    def facts(self) -> dict[str, Any]:
        """What both ``/_cellucid/health`` and ``/_cellucid/info`` say."""

    def describe(self, where: str) -> list[str]:
        """Lines that describe the data at `where`."""

    def warnings(self) -> list[str]:
        """Warnings about the data."""

    def progress(self) -> dict[str, Any]:
        """Progress of what is made of a store that is open, as plain data; else empty."""

    def start(self) -> None:
        """Start the background work."""

    def close(self) -> None:
        """Stop the background work and release the data."""


@dataclass(slots=True)
class ServedData:
    """The open data of a server.

    Parameters
    ----------
    datasets
        Finds the content of the paths of the datasets.
    type
        ``exported`` or ``anndata``.
    cache
        Cache of all responses.
    format
        ``h5ad``, ``zarr`` or ``in-memory``; empty for exports.
    backed
        Whether live data stays on disk.
    live
        The live data; None for exports.
    zarr
        Files of the zarr store; None for other data.
    app_store
        The store of the public app; None for exports.
    speaks_ready
        Whether paths that two protocols share have the bodies of the public app.
    """

    datasets: SingleDataset | DatasetFolder | NoDataset
    type: str
    cache: ContentCache
    format: str = ""
    backed: bool = False
    live: LiveData | None = None
    zarr: ZarrFiles | None = None
    app_store: AppStore | None = None
    speaks_ready: bool = False

    def describe(self, where: str) -> list[str]:
        """Lines that describe the data at `where`."""
        if self.app_store is not None and self.speaks_ready:
            return self.app_store.describe(where)
        if self.live is None:
            return self._describe_exports(where)
        live = self.live.current
        numbers = live.facts()
        counts = ", ".join(f"{numbers[key]:,} {key[2:]}" for key in _COUNTS)
        notes = [f"  {line}" for line in live.catalog.notes]
        return [f"{where}: {self.format}, {counts}", *notes]

    def warnings(self) -> list[str]:
        """Warnings about the data."""
        if self.app_store is not None and self.speaks_ready:
            return self.app_store.warnings()
        return self.datasets.warnings() if self.live is None else self.live.current.catalog.warnings

    def _describe_exports(self, where: str) -> list[str]:
        lines = []
        for entry in self.datasets.list():
            counts = "".join(f", {entry[key]:,} {key[2:]}" for key in _COUNTS if key in entry)
            state = f"cannot be served: {entry['error']}" if "error" in entry else entry["path"]
            lines.append(f"  {entry['name']}{counts}: {state}")
        head = f"{where}: {len(lines)} export{'s' * (len(lines) != 1)}"
        notes = [f"  not shown: {line}" for line in self.datasets.notes()]
        return [head, *lines, *notes]

    def index_progress(self) -> dict[str, Any]:
        """State of the gene index of live data, and of the store of the app, as plain data."""
        genes = None if self.live is None else self.live.current.genes
        facts = {"state": "not needed"} if genes is None else genes.progress()
        return facts if self.app_store is None else {**facts, **self.app_store.progress()}

    def start(self) -> None:
        """Start the background work."""
        for data in (self.live, self.app_store):
            if data is not None:
                data.start()

    def close(self) -> None:
        """Stop the background work, and remove the temporary files of this server."""
        for data in (self.live, self.app_store):
            if data is not None:
                data.close()

    def without_data(self) -> ServedData:
        """What remains to be reported once the data is no longer served."""
        cache = ContentCache(0)
        return replace(
            self, datasets=NoDataset(), cache=cache, live=None, zarr=None, app_store=None
        )
