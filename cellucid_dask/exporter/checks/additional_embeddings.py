"""Embeddings beside the default of each dimension: named by the user, or offered by a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cellucid_dask import format as fmt
from cellucid_dask.encode import Box
from cellucid_dask.errors import CellucidDaskError, EmbeddingError, InputError, Problem
from cellucid_dask.exporter.checks.bounding_box import measure_box
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.row_array import RowArray
from cellucid_dask.source.arrays.row_blocks import RowBlocks
from cellucid_dask.source.chunks.array_uses import Part, uses_of_array
from cellucid_dask.source.chunks.missing import find_missing_chunks
from cellucid_dask.source.model import Source


def named_embeddings(options: ExportOptions, arrays: Mapping[str, RowArray]) -> dict[str, int]:
    """Find the additional embeddings that the options name, as far as they can be shown.

    Parameters
    ----------
    arrays
        The readable arrays of obsm.

    Returns
    -------
    Dimension by obsm key.
    """
    named = options.additional_embeddings
    return {key: dim for dim, key in named if key in arrays and arrays[key].shape[1] == dim}


def offer_embeddings(catalog: Any) -> None:
    """Add every other dense array of obsm that has 1 to 3 columns; reads none.

    What is shown as a vector field is left out, and what shares its file name with an earlier
    array.
    """
    found = catalog.found
    taken = {*found.shown, *(key for dims in found.vectors.values() for key in dims.values())}
    names = {(fmt.safe(key).casefold(), dim) for key, dim in found.additional.items()}
    offered: dict[str, int] = {}
    for key, array in catalog.source.obsm.items():
        if key in taken or not _can_be_offered(array, catalog.n_cells):
            continue
        dim = array.shape[1]
        name = fmt.safe(key).casefold(), dim
        if name in names or len(name[0]) > fmt.LONGEST_NAME:
            why = "too long" if len(name[0]) > fmt.LONGEST_NAME else "also that of another array"
            catalog.warnings.append(f"obsm/{key} is not offered: its file name is {why}")
            continue
        names.add(name)
        offered[key] = dim
    if offered:
        listed = ", ".join(f"{key} ({dim}d)" for key, dim in offered.items())
        catalog.notes.append(f"offered   obsm: {listed}")
    ignored = {ignored_warning(key, found.ignored[key]) for key in offered.keys() & found.ignored}
    catalog.warnings = [line for line in catalog.warnings if line not in ignored]
    found.add(offered)


def ignored_warning(key: str, why: str) -> str:
    """Warning of an array that looks like an embedding or a vector field and is not shown."""
    return f"obsm/{key} is ignored: {why}"


def _can_be_offered(array: RowArray | CellucidDaskError, n_cells: int) -> bool:
    return (
        isinstance(array, RowArray)
        and array.shape[0] == n_cells
        and array.shape[1] in fmt.DIMENSIONS
        and not RowBlocks.of(array).sparse
    )


def measure_additional(source: Source, key: str, options: ExportOptions) -> Box:
    """Check an embedding that was not read before, and measure its bounding box.

    Raises
    ------
    EmbeddingError
        When some cell has no place in it.
    CellucidDaskError
        When it cannot be read.
    """
    array: Any = source.obsm[key]
    complete = (source.all_cells or source).obsm[key]
    uses = uses_of_array(complete, Part.POINTS)
    report = find_missing_chunks(uses, accept=options.accept_missing_chunks)
    if report.problems:
        raise InputError.of(report.problems)
    box = measure_box(key, array, report)
    if box is None:
        raise _error_of(key, report.problems)
    return box


def _error_of(key: str, problems: list[Problem]) -> CellucidDaskError:
    """Error of problems; that of the values names no path."""
    of_values = all(problem.where in (key, f"obsm/{key}") for problem in problems)
    return (EmbeddingError if of_values else InputError).of(problems)
