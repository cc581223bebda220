"""Problems of the arrays that `prepare` gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cellucid_dask.errors import Problem
from cellucid_dask.prepare_arrays.argument_names import LATENT, VECTORS
from cellucid_dask.prepare_arrays.arrays import Arrays


def find_dimensions(arrays: Arrays) -> tuple[dict[str, int], list[Problem]]:
    """Find the dimension of each additional embedding by its name, and every problem."""
    dimensions, problems = {}, []
    for name, value in arrays.additional.items():
        where, shape = f"additional_embeddings[{name!r}]", _shape_of(value)
        if name in (*arrays.embeddings, LATENT) or name.startswith(VECTORS):
            fix = "choose another name"
            problems.append(Problem("is the name of another argument", where, fix))
        elif len(shape) != 2 or shape[1] not in (1, 2, 3):
            problems.append(Problem(f"has shape {shape}, not (n_cells, 1, 2 or 3)", where))
        else:
            dimensions[name] = int(shape[1])
    return dimensions, problems


def _shape_of(value: Any) -> tuple[int, ...]:
    shape: tuple[int, ...]
    shape = value.shape if hasattr(value, "shape") else np.asarray(value, dtype=object).shape
    return shape


def find_flat(arrays: Arrays) -> list[Problem]:
    """Find embeddings that are not of two axes; those of other columns are found with the data."""
    problems = []
    for name, value in arrays.embeddings.items():
        shape = _shape_of(value)
        if value is not None and len(shape) == 1:
            fix = f"give numpy.reshape({name}, (-1, 1))" if name == "X_umap_1d" else ""
            what = f"has shape {shape}, not (n_cells, {name[7]})"
            problems.append(Problem(what, name, fix))
    return problems


def find_missing(arrays: Arrays) -> list[Problem]:
    """Find what is needed and missing, and tables that are none."""
    obs, var, embeddings = arrays.obs, arrays.var, arrays.embeddings
    needs = (
        (arrays.latent is None, "latent_space", "is needed for the outlier quantiles"),
        (obs is None, "obs", "is needed: a table with one row per cell"),
        (arrays.expression is not None and var is None, "var", "is needed with gene_expression"),
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
