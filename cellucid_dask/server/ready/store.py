"""`AnnDataStore`: an AnnData that is stored by gene, as the public app reads it."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from cellucid_dask.server.http.content import Content

Kind = Literal["h5ad", "zarr", "h5mu", "mudata-zarr"]
Layout = Literal["file", "folder", "zip"]


class AnnDataStore(Protocol):
    """A ready file, or what looks like one."""

    @property
    def id(self) -> str:
        """Id of the dataset, which is in the URL of the store."""

    @property
    def name(self) -> str:
        """Name of the dataset."""

    @property
    def kind(self) -> Kind:
        """Container, and whether it holds a MuData."""

    @property
    def layout(self) -> Layout:
        """Whether it is read in ranges, or key by key."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_genes)."""

    def find(self, key: str) -> Content | None:
        """Content of a key, of a file the empty one; None when it is not there."""

    def describe(self) -> list[str]:
        """Lines that describe it, but for its path."""

    def warnings(self) -> list[str]:
        """Warnings about the data."""

    def progress(self) -> dict[str, Any]:
        """Progress of what has to be made before X is served, as plain data."""

    def start(self) -> None:
        """Start the background work."""

    def close(self) -> None:
        """Stop the background work and release the data."""
