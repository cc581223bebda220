"""Which vector field is of which embedding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from cellucid_dask.errors import Problem
from cellucid_dask.prepare_arrays.argument_names import VECTORS


def assign_vector_fields(
    obsm: Mapping[str, Any], fields: Iterable[str], problems: list[Problem]
) -> tuple[dict[str, dict[int, str]], list[str]]:
    """Find the obsm keys by vector field and dimension; ``NAME_2d`` comes before ``NAME``.

    Returns
    -------
    The keys, and a warning for each array that is not shown.
    """
    found: dict[str, dict[int, str]] = {}
    ignored = []
    suffix = re.compile(r"(.*)_([123])d")
    shown = {d for d in (1, 2, 3) if f"X_umap_{d}d" in obsm}
    for name in sorted(fields, key=lambda name: suffix.fullmatch(name) is None):
        array, match = obsm[f"{VECTORS}{name}"], suffix.fullmatch(name)
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
            found.setdefault(field, {})[dim] = f"{VECTORS}{name}"
    return {name: dict(sorted(dims.items())) for name, dims in found.items()}, ignored
