"""Ready files as they lie: a file in ranges, a zarr folder key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from cellucid_dask.server.datasets.zarr_files import ZarrFiles
from cellucid_dask.server.http.content import BINARY, Content, bytes_content, read_file_content
from cellucid_dask.server.ready.consolidate import consolidate
from cellucid_dask.server.ready.inspect import ReadyFacts
from cellucid_dask.server.ready.store import Layout
from cellucid_dask.source.storage.store import Store

_LAYOUTS: Final[dict[str, Layout]] = {"hdf5": "file", "zarr": "folder", "zip": "zip"}


class StoredFile:
    """A ready file that is served as it lies.

    Parameters
    ----------
    store
        Where it is.
    facts
        What it holds.
    dataset_id, name
        What the dataset is called.
    """

    def __init__(self, store: Store, facts: ReadyFacts, dataset_id: str, name: str) -> None:
        self.id, self.name, self.shape = dataset_id, name, facts.shape
        self.kind: Literal["h5ad", "zarr"] = "h5ad" if store.kind == "hdf5" else "zarr"
        self.layout = _LAYOUTS[store.kind]
        self._path = Path(store.path)
        self._keys = ZarrFiles(store, document_type=BINARY) if self.layout == "folder" else None
        self._made = consolidate(self._path) if self.layout == "folder" else None

    def find(self, key: str) -> Content | None:
        """Content of a key, of a file the empty one; None when it is not there."""
        if self._keys is None:
            return None if key else read_file_content(self._path)
        if self._made is not None and key == self._made[0]:
            return bytes_content(self._made[1], BINARY)
        return self._keys.find(key)

    def describe(self) -> list[str]:
        """Lines that describe it, but for its path."""
        n_cells, n_genes = self.shape
        made = [] if self._made is None else [f"  {self._made[0]} is missing: made by the server"]
        return [f"a ready {self.kind}, {n_cells:,} cells, {n_genes:,} genes", *made]

    def start(self) -> None:
        """Nothing to do in the background."""

    def close(self) -> None:
        """Nothing to release."""
