"""The types of keyword arguments are those of the options that the functions take."""

from __future__ import annotations

from dataclasses import fields
from inspect import signature
from typing import Any

import pytest

import cellucid_dask
from cellucid_dask.notebook.embedded_server import FIXED_OPTIONS
from cellucid_dask.options import keyword_types
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.jobs import JobOptions
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.serve import ServeOptions


def types_of(*classes: type) -> dict[str, str]:
    """Fields of classes of options, with the types that a caller may pass."""
    every: Any = [field for cls in classes for field in fields(cls)]  # type: ignore[arg-type]
    return {field.name: field.type.replace("tuple[str, ...]", "Sequence[str]") for field in every}


EXPORT = types_of(ExportOptions)
RUN = {"slurm": "bool", **types_of(JobOptions, RunOptions)}
FIXED = (
    *("format", "zarr_format", "shards"),
    "compression",
    "var_quantization",
    "obs_quantization",
)
SERVE = {
    "quantize": "Literal[8, 16] | None",
    **types_of(ServeOptions),
    **{name: type_ for name, type_ in EXPORT.items() if name not in FIXED},
}
PREPARE = (
    *("rename_duplicates", "cell_ids", "drop_cells_without_embedding"),
    *("accept_missing_chunks", "created_at"),
)


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (cellucid_dask.check, EXPORT),
        (cellucid_dask.export, EXPORT | RUN),
        (cellucid_dask.create_app, SERVE),
        (cellucid_dask.CellucidServer.__init__, SERVE),
        (cellucid_dask.serve, SERVE),
        (cellucid_dask.serve_anndata, SERVE),
        (cellucid_dask.show, {k: v for k, v in SERVE.items() if k not in FIXED_OPTIONS}),
        (cellucid_dask.show_anndata, {k: v for k, v in SERVE.items() if k not in FIXED_OPTIONS}),
        (cellucid_dask.prepare, RUN | {name: EXPORT[name] for name in PREPARE}),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_the_types_of_a_function(function: Any, options: dict[str, str]) -> None:
    parameters = signature(function).parameters
    name = parameters["options"].annotation.removeprefix("Unpack[").removesuffix("]")
    found = getattr(keyword_types, name)
    types = {key: hint.__forward_arg__ for key, hint in found.__annotations__.items()}
    assert types == {key: type_ for key, type_ in options.items() if key not in parameters}
