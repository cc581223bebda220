"""The arrays that `prepare` gets, as a `Source`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cellucid_dask.prepare_arrays.argument_names import LATENT, VECTORS
from cellucid_dask.source.inputs.in_memory import wrap_arrays
from cellucid_dask.source.model import Source


@dataclass(frozen=True, slots=True)
class Arrays:
    """Arrays and tables, before anything of them is checked.

    Parameters
    ----------
    latent
        (n_cells, d), or None.
    obs, var
        Tables, or None.
    expression
        (n_cells, n_genes), or None.
    connectivities
        (n_cells, n_cells), or None.
    embeddings
        All that have an argument of their own, by its name; None for what was not given.
    additional
        Further embeddings by name.
    vector_fields
        Those that were given, by name.
    """

    latent: Any
    obs: Any
    var: Any
    expression: Any
    connectivities: Any
    embeddings: Mapping[str, Any]
    additional: Mapping[str, Any]
    vector_fields: Mapping[str, Any]

    @classmethod
    def from_arguments(cls, given: Mapping[str, Any]) -> Arrays:
        """Take the arrays out of the arguments of `prepare`."""
        fields = given["vector_fields"] or {}
        return cls(
            given["latent_space"],
            given["obs"],
            given["var"],
            given["gene_expression"],
            given["connectivities"],
            {f"X_umap_{d}d": given[f"X_umap_{d}d"] for d in (1, 2, 3)},
            given["additional_embeddings"] or {},
            {name: value for name, value in fields.items() if value is not None},
        )

    def wrap(self, additional: Iterable[str]) -> Source:
        """Describe the arrays as if an AnnData held them; nothing that is needed is missing.

        Parameters
        ----------
        additional
            Those of the additional embeddings that can be shown.
        """
        obsm = {LATENT: self.latent}
        obsm |= {name: value for name, value in self.embeddings.items() if value is not None}
        obsm |= {name: self.additional[name] for name in additional}
        obsm |= {f"{VECTORS}{name}": value for name, value in self.vector_fields.items()}
        matrices = {"X": self.expression, "obsp/connectivities": self.connectivities}
        return wrap_arrays(
            self.obs,
            self.obs.iloc[:0, :0] if self.var is None else self.var,
            obsm,
            {name: value for name, value in matrices.items() if value is not None},
            "exports",
        )
