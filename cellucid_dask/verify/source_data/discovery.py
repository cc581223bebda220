"""Keys of an AnnData that an export is made from, by the discovery rules of the format."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import anndata
import pandas as pd

from cellucid_dask.errors import InputError, OptionError
from cellucid_dask.verify.source_data.anndata_file import SourceData
from cellucid_dask.verify.source_data.attributes import text_attribute
from cellucid_dask.verify.source_data.choice import SourceChoice
from cellucid_dask.verify.source_data.tables import INDEX, Table


def find_embedding_key(
    data: SourceData, dim: int, chosen: Mapping[int, str], stated: str | None
) -> str | None:
    """Find the obsm key of the points of `dim` dimensions; None when there is none.

    Parameters
    ----------
    chosen
        Keys that the user names.
    stated
        Key that the export names, which is taken if obsm has it.

    Raises
    ------
    InputError
        When obsm lacks the chosen key.
    """
    if dim in chosen:
        if chosen[dim] not in data.obsm:
            known = ", ".join(map(repr, data.obsm)) or "nothing"
            raise InputError(f"there is no obsm[{chosen[dim]!r}]", fix=f"obsm has {known}")
        return chosen[dim]
    for key in (*([] if stated is None else [stated]), f"X_umap_{dim}d", "X_umap"):
        if key in data.obsm and (data.obsm[key].shape[1:] or (1,)) == (dim,):
            return key
    return None


def find_vector_key(data: SourceData, field: str, dim: int) -> str | None:
    """Find the obsm key of a vector field; None when there is none."""
    for key in (f"{field}_{dim}d", field):
        if key in data.obsm and (data.obsm[key].shape[1:] or (1,)) == (dim,):
            return key
    return None


def find_latent_key(data: SourceData, stated: str, chosen: str | None) -> str:
    """Find the obsm key of the latent space: the `stated` one of the manifest, if obsm has it.

    Raises
    ------
    InputError
        When obsm lacks the chosen key.
    """
    if chosen is not None and chosen not in data.obsm:
        known = ", ".join(map(repr, data.obsm)) or "nothing"
        raise InputError(f"there is no obsm[{chosen!r}]", fix=f"obsm has {known}")
    return stated if chosen is None or stated in data.obsm else chosen


def find_expression(data: SourceData, choice: SourceChoice) -> tuple[Any, Table]:
    """Find the expression matrix, None when there is none, and the var of its genes.

    Raises
    ------
    InputError
        When the data lacks the chosen layer or raw.
    OptionError
        When both are chosen.
    """
    if choice.raw and choice.layer is not None:
        raise OptionError("a layer and raw cannot both be given")
    if choice.raw:
        if data.raw_var is None or "raw/X" not in data.matrices:
            raise InputError("there is no raw in the data")
        return data.matrices["raw/X"], data.raw_var
    if choice.layer is not None:
        if f"layers/{choice.layer}" not in data.matrices:
            names = [name for name in data.matrices if name.startswith("layers/")]
            known = ", ".join(repr(name.removeprefix("layers/")) for name in names) or "nothing"
            raise InputError(f"there is no layer {choice.layer!r}", fix=f"layers has {known}")
        return data.matrices[f"layers/{choice.layer}"], data.var
    return data.matrices.get("X"), data.var


def expression_keys(data: SourceData, choice: SourceChoice, column: str) -> tuple[str, str]:
    """Return the keys of the expression matrix, and of the var column with the gene ids."""
    matrix = "raw/X" if choice.raw else "X" if choice.layer is None else f"layers/{choice.layer}"
    table = "raw/var" if choice.raw else "var"
    if column == "index" and data.root is not None:
        column = text_attribute(data.root[table], "_index")
    return matrix, f"{table}/{column}"


def find_gene_positions(var: Table, column: str) -> dict[str, int]:
    """Return the position of every gene id; repeated ids get ``-1``, ``-2``, ... appended."""
    ids = pd.Index(var.read_column(INDEX if column == "index" else column).astype(str))
    if not ids.is_unique:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ids = anndata.utils.make_index_unique(ids)
    return {str(name): i for i, name in enumerate(ids)}
