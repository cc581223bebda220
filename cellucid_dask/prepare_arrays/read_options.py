"""Read the options of an export from the arguments of `prepare`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from cellucid_dask.errors import Problem
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.formats import OF_READY
from cellucid_dask.options.jobs import JobOptions
from cellucid_dask.options.keywords import find_unknown_options, read_export_options
from cellucid_dask.options.run import RunOptions
from cellucid_dask.prepare_arrays.argument_names import FILE_NAMES, LATENT

# Options of an export that say what to take of an AnnData: here, arguments hold what is taken.
_OF_ANNDATA = {
    *("accept_missing_chunks", "connectivity", "embeddings", "expression", "graph"),
    *("latent_key", "layer", "modality", "raw", "vectors"),
}


def read_options(
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


def find_unknown_names(given: Mapping[str, Any]) -> list[Problem]:
    """Find arguments with names of files and folders that the viewer does not know."""
    return [
        Problem(f"{given[name]!r} is a name the viewer does not know", name, f"use {usual!r}")
        for name, usual in FILE_NAMES.items()
        if given[name] != usual
    ]
