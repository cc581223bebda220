"""`prepare` with the signature of the reference exporter: a user changes one import."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cellucid_dask.errors import InputError, OptionError, Problem
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.options import ExportOptions
from cellucid_dask.run_options import RunOptions

if TYPE_CHECKING:
    import pandas as pd

_NAMES = {
    "obs_manifest_filename": "obs_manifest.json",
    "obs_binary_dirname": "obs",
    "var_manifest_filename": "var_manifest.json",
    "var_binary_dirname": "var",
    "connectivity_manifest_filename": "connectivity_manifest.json",
    "connectivity_binary_dirname": "connectivity",
}
LATENT = "latent_space"


def prepare(
    latent_space: Any = None,
    obs: pd.DataFrame | None = None,
    var: pd.DataFrame | None = None,
    gene_expression: Any = None,
    var_gene_id_column: str | None = "index",
    gene_identifiers: Sequence[str] | None = None,
    connectivities: Any = None,
    out_dir: str | os.PathLike[str] | None = None,
    obs_keys: Sequence[str] | None = None,
    centroid_outlier_quantile: float | None = 0.95,
    centroid_min_points: int = 10,
    obs_manifest_filename: str = _NAMES["obs_manifest_filename"],
    obs_binary_dirname: str = _NAMES["obs_binary_dirname"],
    var_manifest_filename: str = _NAMES["var_manifest_filename"],
    var_binary_dirname: str = _NAMES["var_binary_dirname"],
    connectivity_manifest_filename: str = _NAMES["connectivity_manifest_filename"],
    connectivity_binary_dirname: str = _NAMES["connectivity_binary_dirname"],
    force: bool = False,
    var_quantization: int | None = None,
    obs_continuous_quantization: int | None = None,
    obs_categorical_dtype: Literal["auto", "uint8", "uint16"] = "auto",
    compression: int | None = None,
    dataset_name: str | None = None,
    dataset_description: str | None = None,
    dataset_id: str | None = None,
    source_name: str | None = None,
    source_url: str | None = None,
    source_citation: str | None = None,
    X_umap_1d: Any = None,
    X_umap_2d: Any = None,
    X_umap_3d: Any = None,
    X_umap_4d: Any = None,
    vector_fields: Mapping[str, Any] | None = None,
    *,
    quiet: bool = False,
    **run: Any,
) -> ExportResult:
    """Export loose arrays, with the arguments and defaults of ``cellucid.prepare``.

    Arrays may be numpy, scipy sparse (matrix or array) or dask; dask arrays stay lazy.

    Parameters
    ----------
    latent_space
        (n_cells, d), for the outlier quantiles.
    obs, var
        Tables of cells and genes.
    gene_expression
        (n_cells, n_genes).
    var_gene_id_column
        Column of var with the gene ids, or ``index``.
    gene_identifiers, obs_keys
        Genes and columns to export, in this order; None exports all.
    connectivities
        (n_cells, n_cells) graph.
    out_dir
        Folder to make; ``exports`` in the current folder when not given.
    centroid_outlier_quantile, centroid_min_points
        As in `cellucid_dask.options.ExportOptions`.
    obs_manifest_filename, obs_binary_dirname, var_manifest_filename, var_binary_dirname
        Must have their defaults: the viewer knows no other names.
    connectivity_manifest_filename, connectivity_binary_dirname
        Likewise.
    force
        Replace an export that is there; the reference would otherwise keep parts of it, this
        refuses.
    var_quantization, obs_continuous_quantization, obs_categorical_dtype, compression
        As in `cellucid_dask.options.ExportOptions`.
    dataset_name, dataset_description, dataset_id, source_name, source_url, source_citation
        What the identity says of the dataset.
    X_umap_1d, X_umap_2d, X_umap_3d
        (n_cells, 1), (n_cells, 2), (n_cells, 3); at least one.
    X_umap_4d
        Not supported by the viewer.
    vector_fields
        ``NAME_2d`` or ``NAME`` to (n_cells, d).
    quiet
        Show no progress.
    **run
        Fields of `cellucid_dask.run_options.RunOptions`, such as ``memory="4GB"``.

    Raises
    ------
    CellucidDaskError
        With every problem there is; nothing was written.
    NotImplementedError
        For `X_umap_4d`, as the reference does.
    """
    if X_umap_4d is not None:
        raise NotImplementedError("the viewer shows 1, 2 or 3 dimensions; X_umap_4d is reserved")
    given = locals()
    # numpy, dask and the rest take a second to import: only where there is work for them.
    from cellucid_dask.exporter.run import run_export
    from cellucid_dask.progress import Reporter
    from cellucid_dask.source.memory import source_of_arrays

    _refuse_names({name: given[name] for name in _NAMES})
    embeddings = {f"X_umap_{d}d": given[f"X_umap_{d}d"] for d in (1, 2, 3)}
    fields = {str(k): v for k, v in (vector_fields or {}).items() if v is not None}
    _refuse_missing(latent_space, obs, var, gene_expression, embeddings)
    assert obs is not None
    obsm = {LATENT: latent_space, **{k: v for k, v in embeddings.items() if v is not None}}
    obsm |= {f"vector_fields/{name}": value for name, value in fields.items()}
    matrices = {"X": gene_expression, "obsp/connectivities": connectivities}
    source = source_of_arrays(
        obs,
        obs.iloc[:0, :0] if var is None else var,
        obsm,
        {key: value for key, value in matrices.items() if value is not None},
        "exports",
    )
    options = ExportOptions(
        compression=compression or 0,
        var_quantization=var_quantization,
        obs_quantization=obs_continuous_quantization,
        categorical_dtype=obs_categorical_dtype,
        centroid_quantile=centroid_outlier_quantile,
        centroid_min_points=centroid_min_points,
        obs_keys=None if obs_keys is None else tuple(obs_keys),
        genes=None
        if gene_identifiers is None or gene_expression is None
        else tuple(gene_identifiers),
        gene_id_column=var_gene_id_column or "index",
        latent_key=LATENT,
        expression=gene_expression is not None,
        dataset_name=dataset_name,
        description=dataset_description or "",
        dataset_id=dataset_id,
        source_name=source_name,
        source_url=source_url,
        citation=source_citation,
    )
    return run_export(
        source,
        Path("exports" if out_dir is None else out_dir),
        options,
        RunOptions(force=force, **run),
        reporter=Reporter(quiet=quiet),
        vectors=_fields(source.obsm, fields),
        latent_name=LATENT,
    )


def _refuse_names(given: Mapping[str, str]) -> None:
    problems = [
        Problem(f"{given[name]!r} is a name the viewer does not know", name, f"use {usual!r}")
        for name, usual in _NAMES.items()
        if given[name] != usual
    ]
    if problems:
        raise OptionError.of(problems)


def _refuse_missing(
    latent: Any, obs: Any, var: Any, expression: Any, embeddings: Mapping[str, Any]
) -> None:
    needs = (
        (latent is None, "latent_space", "is needed for the outlier quantiles"),
        (obs is None, "obs", "is needed: a table with one row per cell"),
        (expression is not None and var is None, "var", "is needed with gene_expression"),
        (
            all(value is None for value in embeddings.values()),
            ", ".join(embeddings),
            "at least one of them is needed",
        ),
    )
    problems = [Problem(what, name) for missing, name, what in needs if missing]
    if problems:
        raise InputError.of(problems)


def _fields(obsm: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, dict[int, str]]:
    """obsm keys by field and dimension; ``NAME_2d`` comes before ``NAME``."""
    found: dict[str, dict[int, str]] = {}
    suffix = re.compile(r"(.*)_([123])d")
    shown = {d for d in (1, 2, 3) if f"X_umap_{d}d" in obsm}
    problems = []
    for name in sorted(fields, key=lambda name: suffix.fullmatch(name) is None):
        array, match = obsm[f"vector_fields/{name}"], suffix.fullmatch(name)
        if not hasattr(array, "shape"):
            continue  # reported with the other arrays
        dim, field = array.shape[1], match[1] if match else name
        if (match and dim != int(match[2])) or dim not in (1, 2, 3):
            what = f"has shape {array.shape}, not (n_cells, {match[2] if match else '1, 2 or 3'})"
            problems.append(Problem(what, f"vector_fields[{name!r}]"))
        elif dim in shown:
            found.setdefault(field, {}).setdefault(dim, f"vector_fields/{name}")
    if problems:
        raise InputError.of(problems)
    return {name: dict(sorted(dims.items())) for name, dims in found.items()}
