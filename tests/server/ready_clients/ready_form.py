"""What a ready file of an AnnData holds, made anew from the AnnData: no code of `cellucid_dask`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from oracle import silent
from scipy import sparse

LATENT = ("X_pca", "X_scVI", "latent")  # where the inputs have a space of latent variables
MIN_POINTS = 10
EXACT = 2**24  # the largest whole number up to which float32 has all of them


def ready_form(
    adata: AnnData,
    *,
    gene_identifiers: Sequence[str] | None = None,
    latent_key: str | None = None,
    centroid_min_points: int = MIN_POINTS,
    var_gene_id_column: str | None = None,
    **about: str,
) -> AnnData:
    """The same AnnData as a ready file holds it, but for the defaults of its record.

    The options are those of the oracle of ready files. The names of `adata` are made unique.
    """
    silent(adata.obs_names_make_unique)
    silent(adata.var_names_make_unique)
    if gene_identifiers is not None:
        adata = adata[:, list(gene_identifiers)].copy()
    obsm = {key: _space(value) for key, value in adata.obsm.items() if _is_numeric(value)}
    form = AnnData(
        X=None if adata.X is None or not adata.n_vars else _matrix(adata.X),
        obs=_table(adata.obs),
        var=_table(adata.var),
        obsm=obsm,
    )
    if "connectivities" in adata.obsp:
        form.obsp["connectivities"] = _graph(adata.obsp["connectivities"])
    record = _record(adata.uns.get("cellucid", {}), about)
    if (key := latent_key or next((key for key in LATENT if key in obsm), None)) is not None:
        quantiles = _outlier_quantiles(form.obs, obsm[key], centroid_min_points)
        record["outlierQuantiles"] = {
            "latentKey": key,
            "minPoints": np.int64(centroid_min_points),
            "fields": quantiles,
        }
    form.uns = {"title": record["name"], "cellucid": record}
    return form


def _is_numeric(value: Any) -> bool:
    return not isinstance(value, pd.DataFrame)


def _space(value: Any) -> NDArray[np.float32]:
    dense = value.toarray() if sparse.issparse(value) else np.asarray(value)
    return np.asarray(dense.reshape(len(dense), -1), np.float32)


def _matrix(matrix: Any) -> Any:
    """Values in float32, or in float64 where whole numbers need it; none of them a stored zero."""
    stored = np.asarray(matrix.data if sparse.issparse(matrix) else matrix)
    whole = stored.dtype != np.float32 and (stored == np.floor(stored)).all()
    dtype = np.float64 if whole and np.abs(stored).max(initial=0) > EXACT else np.float32
    if not sparse.issparse(matrix):
        return matrix.astype(dtype)
    columns = sparse.csc_matrix(matrix.astype(dtype))
    columns.eliminate_zeros()
    columns.sort_indices()
    return columns


def _graph(graph: Any) -> sparse.csr_matrix:
    rows = sparse.csr_matrix(graph)
    rows.eliminate_zeros()  # a weight that is one in float32 alone is kept
    rows.sort_indices()
    return rows.astype(np.float32)


def _table(table: pd.DataFrame) -> pd.DataFrame:
    columns = {key: _column(table[key]) for key in table.columns}
    return pd.DataFrame(columns, index=table.index.astype(str))


def _column(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column
    if pd.api.types.is_numeric_dtype(column.dtype):
        nullable = pd.api.types.is_extension_array_dtype(column.dtype)
        if nullable and not column.isna().any():
            return column.astype(column.dtype.numpy_dtype)
        return column
    if column.is_unique and not column.isna().any():
        return column.astype(object)
    there = sorted({str(text) for text in column.dropna()})
    codes = [-1 if pd.isna(text) else there.index(str(text)) for text in column]
    labels = pd.Index(there, dtype=object)
    return pd.Series(pd.Categorical.from_codes(codes, labels), index=column.index)


def _record(own: Mapping[str, Any], about: Mapping[str, str]) -> dict[str, Any]:
    record: dict[str, Any] = {"schema": np.int64(1)}
    record |= {key: own[key] for key in ("description", "citation", "source") if key in own}
    record |= {"id": about["dataset_id"], "name": about["dataset_name"]}
    if "dataset_description" in about:
        record["description"] = about["dataset_description"]
    named = {"citation": ("text", "url"), "source": ("name", "url")}
    for key, parts in named.items():
        given = {part: about[f"{key}_{part}"] for part in parts if f"{key}_{part}" in about}
        if given:
            record[key] = given
    return record


def _outlier_quantiles(
    obs: pd.DataFrame, space: NDArray[np.float32], least: int
) -> dict[str, NDArray[np.float32]]:
    """For each column with categories: which part of its category is as near to its middle."""
    found = {}
    points = space.astype(np.float64)
    for key in obs.columns:
        if (codes := _codes(obs[key])) is None:
            continue
        quantiles = np.full(len(obs), np.nan, np.float32)
        for code in np.unique(codes[codes >= 0]):
            cells = np.flatnonzero(codes == code)
            if cells.size < least:
                continue
            center = np.zeros(points.shape[1])
            for cell in cells:  # in order, as the sum of numpy is not
                center += points[cell]
            squares = np.zeros(cells.size)
            for difference in (points[cells] - center / cells.size).T:
                squares += difference * difference
            distances = np.sqrt(squares)
            nearer = np.searchsorted(np.sort(distances), distances, side="right")
            quantiles[cells] = (nearer / cells.size).astype(np.float32)
        if not np.isnan(quantiles).all():
            found[key] = quantiles
    return found


def _codes(column: pd.Series) -> NDArray[np.int64] | None:
    """Codes of a column that has categories; None of another."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(np.int64)
    if pd.api.types.is_bool_dtype(column.dtype):
        missing = column.isna()
        return np.where(missing, -1, column.mask(missing, False).astype(np.int64))
    return None
