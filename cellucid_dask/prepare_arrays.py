"""`prepare` with the signature of the reference exporter: a user changes one import."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cellucid_dask.arguments.boundary import CallerNames, convert_arguments, with_argument_names
from cellucid_dask.arguments.caller_warnings import warn_caller
from cellucid_dask.errors import InputError, Problem
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.formats import FOLDER, OF_READY
from cellucid_dask.options.jobs import JobOptions
from cellucid_dask.options.keywords import find_unknown_options, read_export_options
from cellucid_dask.options.run import RunOptions

if TYPE_CHECKING:
    from typing import Unpack

    import pandas as pd

    from cellucid_dask.options.keyword_types import ArrayKeywords

_NAMES = {
    "obs_manifest_filename": "obs_manifest.json",
    "obs_binary_dirname": "obs",
    "var_manifest_filename": "var_manifest.json",
    "var_binary_dirname": "var",
    "connectivity_manifest_filename": "connectivity_manifest.json",
    "connectivity_binary_dirname": "connectivity",
}
LATENT = "latent_space"
# What `prepare` calls the options of an export, and the elements of the AnnData it stands for.
WORDS = CallerNames(
    {
        "categorical_dtype": "obs_categorical_dtype",
        "centroid_quantile": "centroid_outlier_quantile",
        "citation": "source_citation",
        "connectivity": "connectivities=None",
        "description": "dataset_description",
        "embeddings": "X_umap_1d, X_umap_2d or X_umap_3d",
        "expression": "gene_expression=None",
        "gene_id_column": "var_gene_id_column",
        "genes": "gene_identifiers",
        "graph": "connectivities",
        "latent_key": LATENT,
        "layer": "gene_expression",
        "obs_quantization": "obs_continuous_quantization",
        "raw": "gene_expression",
        "vectors": "vector_fields=None",
    },
    (
        (r"(?:obsm/)?vector_fields/(.+)", r"vector_fields['\1']"),
        (r"obsm", "vector_fields"),
        (r"obsm/(.+)", r"\1"),
        (r"obsp/connectivities", "connectivities"),
        (r"X", "gene_expression"),
    ),
)
# Options of an export that say what to take of an AnnData: here, arguments hold what is taken.
_OF_ANNDATA = {
    *("accept_missing_chunks", "connectivity", "embeddings", "expression", "graph"),
    *("latent_key", "layer", "modality", "raw", "vectors"),
}


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
    from cellucid_dask.source.inputs.in_memory import wrap_arrays

    wrong = convert_arguments(prepare, given)
    embeddings = {f"X_umap_{d}d": given[f"X_umap_{d}d"] for d in (1, 2, 3)}
    fields = {k: v for k, v in (given["vector_fields"] or {}).items() if v is not None}
    additional, unfit = _find_additional(given["additional_embeddings"] or {}, embeddings)
    what, how, problems = _read_options(given, options, additional)
    problems = [*wrong, *problems, *unfit, *_name_problems(given), *_shape_problems(embeddings)]
    missing = _missing_problems(latent_space, obs, var, gene_expression, embeddings)
    if missing:
        raise InputError.of([*problems, *missing])
    assert obs is not None
    obsm = {LATENT: latent_space, **{k: v for k, v in embeddings.items() if v is not None}}
    obsm |= {key: given["additional_embeddings"][key] for key in additional}
    obsm |= {f"vector_fields/{name}": value for name, value in fields.items()}
    matrices = {"X": gene_expression, "obsp/connectivities": connectivities}
    source = wrap_arrays(
        obs,
        obs.iloc[:0, :0] if var is None else var,
        obsm,
        {key: value for key, value in matrices.items() if value is not None},
        "exports",
    )
    shown, ignored = _fields(source.obsm, fields, problems)
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


def _read_options(
    given: Mapping[str, Any], options: Mapping[str, Any], additional: Mapping[str, int]
) -> tuple[ExportOptions, RunOptions, list[Problem]]:
    """Read the options from the arguments of `prepare`, and from the further `options`.

    Parameters
    ----------
    additional
        Dimension of each additional embedding by its name.
    """
    umap = {f"X_umap_{d}d": d for d in (1, 2, 3) if given[f"X_umap_{d}d"] is not None}
    shown = [*umap.items(), *additional.items()]
    expression = given["gene_expression"] is not None
    chosen = {
        "compression": given["compression"] or 0,
        "var_quantization": given["var_quantization"],
        "obs_quantization": given["obs_continuous_quantization"],
        "categorical_dtype": given["obs_categorical_dtype"],
        "centroid_quantile": given["centroid_outlier_quantile"],
        "centroid_min_points": given["centroid_min_points"],
        "obs_keys": given["obs_keys"],
        "genes": given["gene_identifiers"] if expression else None,
        "gene_id_column": given["var_gene_id_column"] or "index",
        "latent_key": LATENT,
        "embeddings": {d: [key for key, dim in shown if dim == d] for d in {d for _, d in shown}},
        "expression": expression,
        "dataset_name": given["dataset_name"],
        "description": given["dataset_description"] or "",
        "dataset_id": given["dataset_id"],
        "source_name": given["source_name"],
        "source_url": given["source_url"],
        "citation": given["source_citation"],
        "force": given["force"],
    }
    every = (ExportOptions, RunOptions, JobOptions)
    further = {"slurm", *(f.name for cls in every for f in dataclasses.fields(cls))}
    further -= {*chosen, *_OF_ANNDATA, *OF_READY}
    known = {name: value for name, value in options.items() if name in further}
    what, how, problems = read_export_options(chosen | known)
    others = [name for name in options if name not in OF_READY]
    unknown = find_unknown_options(others, further | given.keys() - {"options"})
    return what, how, [*_ready_problems(options), *unknown, *problems]


def _ready_problems(options: Mapping[str, Any]) -> list[Problem]:
    what = "is of ready files, and prepare writes a folder"
    fix = "make an AnnData of the arrays, and give it to cellucid_dask.export"
    return [Problem(what, name, fix) for name in OF_READY if name in options]


def _name_problems(given: Mapping[str, str]) -> list[Problem]:
    return [
        Problem(f"{given[name]!r} is a name the viewer does not know", name, f"use {usual!r}")
        for name, usual in _NAMES.items()
        if given[name] != usual
    ]


def _find_additional(
    arrays: Mapping[str, Any], others: Mapping[str, Any]
) -> tuple[dict[str, int], list[Problem]]:
    """Find the dimension of each additional embedding by its name, and every problem.

    Parameters
    ----------
    others
        What has an argument of its own, whose name is taken.
    """
    import numpy as np

    dimensions, problems = {}, []
    for name, value in arrays.items():
        where = f"additional_embeddings[{name!r}]"
        shape = value.shape if hasattr(value, "shape") else np.asarray(value, dtype=object).shape
        if name in (*others, LATENT) or name.startswith("vector_fields/"):
            fix = "choose another name"
            problems.append(Problem("is the name of another argument", where, fix))
        elif len(shape) != 2 or shape[1] not in (1, 2, 3):
            problems.append(Problem(f"has shape {shape}, not (n_cells, 1, 2 or 3)", where))
        else:
            dimensions[name] = int(shape[1])
    return dimensions, problems


def _shape_problems(embeddings: Mapping[str, Any]) -> list[Problem]:
    """Say which embeddings are not of two axes; those of other columns are found with the data."""
    import numpy as np

    problems = []
    for name, value in embeddings.items():
        shape = value.shape if hasattr(value, "shape") else np.asarray(value, dtype=object).shape
        if value is not None and len(shape) == 1:
            fix = f"give numpy.reshape({name}, (-1, 1))" if name == "X_umap_1d" else ""
            what = f"has shape {shape}, not (n_cells, {name[7]})"
            problems.append(Problem(what, name, fix))
    return problems


def _missing_problems(
    latent: Any, obs: Any, var: Any, expression: Any, embeddings: Mapping[str, Any]
) -> list[Problem]:
    import pandas as pd

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
    for name, table in (("obs", obs), ("var", var)):
        if table is not None and not isinstance(table, pd.DataFrame):
            what = f"is a {type(table).__name__}, not a DataFrame of pandas"
            problems.append(Problem(what, name, f"give pandas.DataFrame({name})"))
    return problems


def _fields(
    obsm: Mapping[str, Any], fields: Mapping[str, Any], problems: list[Problem]
) -> tuple[dict[str, dict[int, str]], list[str]]:
    """Find the obsm keys by field and dimension; ``NAME_2d`` comes before ``NAME``.

    Returns
    -------
    The keys, and a warning for each array that is not shown.
    """
    found: dict[str, dict[int, str]] = {}
    ignored = []
    suffix = re.compile(r"(.*)_([123])d")
    shown = {d for d in (1, 2, 3) if f"X_umap_{d}d" in obsm}
    for name in sorted(fields, key=lambda name: suffix.fullmatch(name) is None):
        array, match = obsm[f"vector_fields/{name}"], suffix.fullmatch(name)
        if not hasattr(array, "shape"):
            continue  # reported with the other arrays
        dim, field = array.shape[1], match[1] if match else name
        if (match and dim != int(match[2])) or dim not in (1, 2, 3):
            what = f"has shape {array.shape}, not (n_cells, {match[2] if match else '1, 2 or 3'})"
            problems.append(Problem(what, f"vector_fields[{name!r}]"))
        elif dim not in shown:
            what = f"is a vector field of {dim} dimensions, which no embedding has"
            ignored.append(f"vector_fields[{name!r}] is ignored: {what}")
        elif dim in found.get(field, {}):
            ignored.append(f"vector_fields[{name!r}] is ignored: {name}_{dim}d is there for {dim}d")
        else:
            found.setdefault(field, {})[dim] = f"vector_fields/{name}"
    return {name: dict(sorted(dims.items())) for name, dims in found.items()}, ignored
