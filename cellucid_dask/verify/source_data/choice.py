"""What a user names in the data in place of the usual keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """The parts of the AnnData that the export was made from, where they were named.

    Parameters
    ----------
    embeddings
        obsm key by dimension.
    layer, raw
        Where the expression is, if not in ``X``.
    graph
        obsp key of the graph; None is ``connectivities``.
    latent
        obsm key of the latent space; None is the one in the manifest.
    drop_cells_without_embedding
        Whether cells that have NaN or Inf in an embedding were left out.
    """

    embeddings: Mapping[int, str]
    layer: str | None
    raw: bool
    graph: str | None
    latent: str | None
    drop_cells_without_embedding: bool = False

    @property
    def graph_key(self) -> str:
        """The obsp key of the graph."""
        return self.graph or "connectivities"
