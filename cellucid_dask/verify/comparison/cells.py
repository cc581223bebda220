"""The cells of the source that are in the export, and their coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.verify.export_folder.contents import Contents
from cellucid_dask.verify.source_data import discovery
from cellucid_dask.verify.source_data.anndata_file import SourceData
from cellucid_dask.verify.source_data.choice import SourceChoice
from cellucid_dask.verify.source_data.derive import Float32, to_float32


class SourceCells:
    """The rows of the source that the export has, and obsm keys of its arrays.

    Attributes
    ----------
    embedding_keys
        obsm key of the points by dimension; None where there is none.
    additional_keys
        obsm keys of the additional embeddings that obsm has.
    latent_key
        obsm key of the latent space, whether or not obsm has it.
    selected
        (n_cells of the source,) which cells are in the export; None for all.
    latent
        (n_cells, d) latent space of the cells in the export; None without one.

    Raises
    ------
    InputError
        When obsm lacks a key that the user named.
    """

    def __init__(self, contents: Contents, source: SourceData, choice: SourceChoice) -> None:
        self.n_expected, self.source = contents.n_cells, source
        self.embedding_keys = {
            dim: discovery.find_embedding_key(
                source, dim, choice.embeddings, contents.embedding_keys.get(dim)
            )
            for dim in contents.points
        }
        self.additional_keys = [key for key in contents.additional if key in source.obsm]
        self.latent_key = discovery.find_latent_key(source, contents.latent_key, choice.latent)
        drop = choice.drop_cells_without_embedding
        self.selected = self._find_cells_with_coordinates() if drop else None
        latent = source.obsm.get(self.latent_key)
        self.latent = None if latent is None else self.take_rows(to_float32(latent))

    def _find_cells_with_coordinates(self) -> NDArray[np.bool_]:
        """Find the cells whose coordinates are finite in every embedding of the export."""
        finite = np.ones(len(self.source.obs), bool)
        for key in (*self.embedding_keys.values(), *self.additional_keys):
            if key is not None:
                finite &= np.isfinite(to_float32(self.source.obsm[key])).all(axis=1)
        return finite

    def take_rows(self, values: Any) -> Any:
        """Take the rows of the cells that are in the export."""
        return values if self.selected is None else values[self.selected]

    def count_problem(self) -> str:
        """Say that the numbers of cells differ; empty when they are equal."""
        n, expected = len(self.source.obs), self.n_expected
        if self.selected is not None:
            n = int(self.selected.sum())
            differ = f"{n} cells of the data have coordinates, the export has {expected} cells"
            return differ if n != expected else ""
        if n == expected:
            return ""
        problem = f"the data has {n} cells, the export has {expected}"
        if n > expected and int(self._find_cells_with_coordinates().sum()) == expected:
            problem += "; the others have no coordinates: add --drop-cells-without-embedding"
        return problem

    def read_embedding(self, dim: int) -> Float32 | None:
        """Read the (n_cells, dim) coordinates; None when there are none of this dimension."""
        key = self.embedding_keys[dim]
        return self.read_array(key, dim) if key else None

    def read_array(self, key: str, dim: int) -> Float32 | None:
        """Read the (n_cells, dim) coordinates at a key of obsm; None when it has none of them."""
        raw = to_float32(self.source.obsm[key]) if key in self.source.obsm else None
        if raw is not None and raw.ndim == 1:
            raw = raw[:, None]
        return self.take_rows(raw) if raw is not None and raw.shape[1:] == (dim,) else None
