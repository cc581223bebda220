"""What a user names in the data in place of the usual keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """The parts of the AnnData that the export was made from, where they were named.

    Parameters
    ----------
    named
        obsm keys by dimension; the first is that of the points.
    layer, raw
        Where the expression is, if not in ``X``.
    graph
        obsp key of the graph; None is ``connectivities``.
    latent
        obsm key of the latent space; None is the one in the manifest.
    drop_cells_without_embedding
        Whether cells that have NaN or Inf in an embedding were left out.
    """

    named: Mapping[int, str | tuple[str, ...]]
    layer: str | None
    raw: bool
    graph: str | None
    latent: str | None
    drop_cells_without_embedding: bool = False

    @property
    def embeddings(self) -> dict[int, str]:
        """The obsm key of the points by dimension."""
        return {dim: keys[0] for dim, keys in self._keys.items()}

    @property
    def additional(self) -> list[str]:
        """The obsm keys of additional embeddings."""
        return [key for keys in self._keys.values() for key in keys[1:]]

    @property
    def _keys(self) -> dict[int, tuple[str, ...]]:
        keys = {dim: (key,) if isinstance(key, str) else key for dim, key in self.named.items()}
        return {dim: names for dim, names in keys.items() if names}

    @property
    def graph_key(self) -> str:
        """The obsp key of the graph."""
        return self.graph or "connectivities"
