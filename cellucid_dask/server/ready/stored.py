"""Ready files as they lie: a file in ranges, a zarr folder key by key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from cellucid_dask.server.datasets.zarr_files import ZarrFiles
from cellucid_dask.server.http.content import (
    BINARY,
    Content,
    OpenFileContent,
    ReplacedError,
    bytes_content,
)
from cellucid_dask.server.ready.inspect import ReadyFacts
from cellucid_dask.server.ready.store import Layout
from cellucid_dask.source.storage.fingerprint import METADATA
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
    is_unchanged
        Whether the file is what it was when it was opened.
    warnings
        What the user should know of it.
    """

    def __init__(
        self,
        store: Store,
        facts: ReadyFacts,
        dataset_id: str,
        name: str,
        is_unchanged: Callable[[], bool],
        warnings: Sequence[str] = (),
    ) -> None:
        self.id, self.name, self.shape, self.kind = dataset_id, name, facts.shape, facts.kind
        self.layout, self._warnings = _LAYOUTS[store.kind], list(warnings)
        self._file, self._is_unchanged = OpenFileContent(Path(store.path)), is_unchanged
        self._keys = ZarrFiles(store, document_type=BINARY) if self.layout == "folder" else None
        self._made = {key: bytes_content(raw, BINARY) for key, raw in facts.made.items()}

    def find(self, key: str) -> Content | None:
        """Content of a key, of a file the empty one; None when it is not there.

        Raises
        ------
        ReplacedError
            When it is not there because the file changed.
        """
        if key in self._made:
            return self._made[key]
        content = self._file.find() if self._keys is None else self._keys.find(key)
        is_chunk = content is None and key.rpartition("/")[2] not in METADATA
        if is_chunk and not self._is_unchanged():
            raise ReplacedError(key)  # a reader would take an absent chunk for zeros
        return content

    def describe(self) -> list[str]:
        """Lines that describe it, but for its path."""
        n_cells, n_genes = self.shape
        lines = [f"a ready {self.kind}, {n_cells:,} cells, {n_genes:,} genes"]
        made = (f"  {key} does not list what is there: the server makes it" for key in self._made)
        return [*lines, *made]

    def warnings(self) -> list[str]:
        """Chunks that are missing; the rest was checked when the file was made."""
        return self._warnings

    def progress(self) -> dict[str, Any]:
        """Nothing has to be made."""
        return {}

    def start(self) -> None:
        """Nothing to do in the background."""

    def close(self) -> None:
        """Nothing to release."""
