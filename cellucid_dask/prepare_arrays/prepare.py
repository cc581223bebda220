"""The function `prepare`: loose arrays in place of an AnnData."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cellucid_dask.arguments.boundary import convert_arguments, with_argument_names
from cellucid_dask.arguments.caller_warnings import warn_caller
from cellucid_dask.errors import InputError
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.options.formats import FOLDER
from cellucid_dask.prepare_arrays.argument_names import FILE_NAMES, LATENT, WORDS
from cellucid_dask.prepare_arrays.read_options import find_unknown_names, read_options
from cellucid_dask.prepare_arrays.vector_fields import assign_vector_fields

if TYPE_CHECKING:
    from typing import Unpack

    import pandas as pd

    from cellucid_dask.options.keyword_types import ArrayKeywords


@with_argument_names(WORDS)
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
    obs_manifest_filename: str = FILE_NAMES["obs_manifest_filename"],
    obs_binary_dirname: str = FILE_NAMES["obs_binary_dirname"],
    var_manifest_filename: str = FILE_NAMES["var_manifest_filename"],
    var_binary_dirname: str = FILE_NAMES["var_binary_dirname"],
    connectivity_manifest_filename: str = FILE_NAMES["connectivity_manifest_filename"],
    connectivity_binary_dirname: str = FILE_NAMES["connectivity_binary_dirname"],
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
    additional_embeddings: Mapping[str, Any] | None = None,
    quiet: bool = False,
    **options: Unpack[ArrayKeywords],
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
    additional_embeddings
        Further embeddings by name, such as ``{"X_tsne": array}``, each (n_cells, 1), (n_cells, 2)
        or (n_cells, 3). The first of a dimension that has no ``X_umap`` is its default.
    quiet
        Show no progress. Warnings are shown all the same.
    **options
        Fields of `cellucid_dask.options.RunOptions`, such as ``memory="4GB"``, and those of
        `cellucid_dask.options.ExportOptions` that no argument above stands for, such as
        ``rename_duplicates=True``.

    Raises
    ------
    CellucidDaskError
        With every problem there is; nothing was written.
    NotImplementedError
        For `X_umap_4d`, as the reference does.

    Warns
    -----
    DataWarning
        For each of the warnings of the result.
    """
    if X_umap_4d is not None:
        raise NotImplementedError("the viewer shows 1, 2 or 3 dimensions; X_umap_4d is reserved")
    given = dict(locals())
    # numpy, dask and the rest take a second to import: only where there is work for them.
    from cellucid_dask.compute.progress import Reporter
    from cellucid_dask.exporter.run import run_export
    from cellucid_dask.prepare_arrays.arrays import Arrays
    from cellucid_dask.prepare_arrays.check_arrays import find_dimensions, find_flat, find_missing

    wrong = convert_arguments(prepare, given)
    arrays = Arrays.from_arguments(given)
    additional, unfit = find_dimensions(arrays)
    what, how, problems = read_options(given, options, additional)
    problems = [*wrong, *problems, *unfit, *find_unknown_names(given), *find_flat(arrays)]
    if missing := find_missing(arrays):
        raise InputError.of([*problems, *missing])
    source = arrays.wrap(additional)
    shown, ignored = assign_vector_fields(source.obsm, arrays.vector_fields, problems)
    result = run_export(
        dataclasses.replace(source, warnings=tuple(ignored)),
        {FOLDER: Path("exports" if given["out_dir"] is None else given["out_dir"])},
        what,
        how,
        reporter=Reporter(quiet=given["quiet"]),
        vectors=shown,
        latent_name=LATENT,
        problems=problems,
    )
    warn_caller(result.warnings)
    return result
