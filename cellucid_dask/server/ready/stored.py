"""Ready files as they lie: a file in ranges, a zarr folder key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from cellucid_dask.server.datasets.zarr_files import ZarrFiles
from cellucid_dask.server.http.content import BINARY, Content, OpenFileContent, bytes_content
from cellucid_dask.server.ready.consolidate import made_consolidated
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
        self.id, self.name, self.shape, self.kind = dataset_id, name, facts.shape, facts.kind
        self.layout = _LAYOUTS[store.kind]
        self._file = OpenFileContent(Path(store.path))
        self._keys: ZarrFiles | None = None
        self._made: tuple[str, bytes] | None = None
        if self.layout == "folder":
            self._keys = ZarrFiles(store, document_type=BINARY)
            self._made = made_consolidated(store, facts.documents)

    def find(self, key: str) -> Content | None:
        """Content of a key, of a file the empty one; None when it is not there."""
        if self._keys is None:
            return None if key else self._file.find()
        if self._made is not None and key == self._made[0]:
            return bytes_content(self._made[1], BINARY)
        return self._keys.find(key)

    def describe(self) -> list[str]:
        """Lines that describe it, but for its path."""
        n_cells, n_genes = self.shape
        lines = [f"a ready {self.kind}, {n_cells:,} cells, {n_genes:,} genes"]
        if self._made is not None:
            lines.append(f"  {self._made[0]} does not list what is there: the server makes it")
        return lines

    def progress(self) -> dict[str, Any]:
        """Nothing has to be made."""
        return {}

    def start(self) -> None:
        """Nothing to do in the background."""

    def close(self) -> None:
        """Nothing to release."""
