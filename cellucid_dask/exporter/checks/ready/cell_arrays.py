"""The arrays of obsm that a ready file holds, and their problems."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import CellucidDaskError, InputError, Problem, TextError
from cellucid_dask.exporter.checks.bounding_box import count_rows
from cellucid_dask.exporter.checks.placed_cells import find_placed_cells, map_blocks
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.checks.ready.names import key_problems
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.vector_fields import find_vector_fields
from cellucid_dask.source.arrays.row_array import RowArray
from cellucid_dask.source.arrays.row_blocks import RowBlocks
from cellucid_dask.source.model import MUDATA_PREFIX, Source
from cellucid_dask.source.rows.row_selection import RowSelection
from cellucid_dask.source.storage.damage import COPY_AGAIN

_LARGEST: Final = float(np.finfo(np.float32).max)


def survey_obsm(source: Source, options: ExportOptions, catalog: ReadyCatalog) -> None:
    """Choose the arrays of obsm, set ``catalog.obsm``, and check every value of them.

    Each array is read once, by blocks of rows in threads.
    """
    arrays = _choose_arrays(source, catalog)
    fields = find_vector_fields({key: array.shape[1] for key, array in arrays.items()})
    embeddings = {key: array for key, array in arrays.items() if key not in fields}
    names = dict.fromkeys(name for name, _ in fields.values())
    if not options.vectors:
        arrays = embeddings
    else:  # the order of the public writer: vector fields last, those of one name together
        ordered = [key for name in names for key in fields if fields[key][0] == name]
        arrays = embeddings | {key: arrays[key] for key in ordered}
    for key, array in arrays.items():
        _check_array(key, array, options, catalog, is_field=key in fields)
    catalog.problems += key_problems(arrays, "obsm keys")
    if not embeddings and not any(
        problem.where.startswith("obsm/") for problem in catalog.problems
    ):
        what = "obsm has no array of numbers: a ready file needs at least one embedding"
        catalog.problems.append(Problem(what, source.where, "compute one with scanpy.tl.umap"))
    catalog.obsm = arrays


def find_complete_cells(source: Source) -> RowSelection | None:
    """Find the cells that have finite numbers in every embedding; None if all cells have.

    Of a ready file every array of obsm that is no vector field counts as an embedding, since none
    may hold NaN or Inf.
    """
    arrays = _choose_arrays(source, ReadyCatalog(source.n_cells, source))
    fields = find_vector_fields({key: array.shape[1] for key, array in arrays.items()})
    return find_placed_cells([array for key, array in arrays.items() if key not in fields])


def _choose_arrays(source: Source, catalog: ReadyCatalog) -> dict[str, RowArray]:
    """Arrays of numbers that have a row for each cell; all others are problems or are left out."""
    chosen: dict[str, RowArray] = {}
    complete = source.all_cells or source
    for key, array in complete.obsm.items():
        where = f"obsm/{key}"
        if key.startswith(MUDATA_PREFIX):
            continue  # the notes of the source say so
        if isinstance(array, CellucidDaskError):
            if _is_damaged(array):
                fix = "repair it, or take it out of the file"
                catalog.problems += [Problem(p.what, p.where, p.fix or fix) for p in array.problems]
            else:
                catalog.notes.append(f"left out  {where}: {array.problems[0].what}")
        elif array.is_table:
            catalog.notes.append(f"left out  {where}: a table, not an array")
        elif array.dtype.kind not in "iuf":
            catalog.notes.append(f"left out  {where}: holds {array.dtype}, not numbers")
        elif array.shape[0] != complete.n_cells:
            what = f"has shape {array.shape}, but obs has {complete.n_cells} cells"
            if array.shape[1] == complete.n_cells:
                what += "; it looks transposed"
            catalog.problems.append(Problem(what, where))
        elif not array.shape[1]:
            catalog.problems.append(Problem("has no columns", where, "take it out of the file"))
        else:
            selected = source.obsm[key]
            assert isinstance(selected, RowArray)  # as it has a row for each cell
            chosen[key] = selected
    return chosen


def _is_damaged(error: CellucidDaskError) -> bool:
    """Whether an array cannot be read, rather than being of a kind that is left out."""
    damaged = not isinstance(error, InputError) or isinstance(error, TextError)
    return damaged or any(problem.fix == COPY_AGAIN for problem in error.problems)


def _check_array(
    key: str, array: RowArray, options: ExportOptions, catalog: ReadyCatalog, *, is_field: bool
) -> None:
    where = f"obsm/{key}"
    n_cells, width = array.shape
    catalog.notes.append(f"{'vectors' if is_field else 'array':<9} {where}, {width} columns")
    if RowBlocks.of(array).sparse:
        size = 4 * n_cells * width / 1e9
        catalog.warnings.append(f"{where} is sparse and is stored dense: {size:,.1f} GB")
    if not n_cells or array.dtype.kind != "f":  # whole numbers are finite
        return
    try:
        found = map_blocks(_refused_rows, array)
    except CellucidDaskError as error:
        catalog.problems.extend(error.problems)
        return
    n_bad, rows = count_rows(found)
    if n_bad:
        fix = "compute it again, or use --no-vectors"
        if not is_field:
            fix = "leave them out with --drop-cells-without-embedding, or compute it again"
            if options.drop_cells_without_embedding:
                fix = "compute it again"
        what = f"{n_bad} of {n_cells} cells have NaN, Inf or a number beyond float32 (rows {rows})"
        catalog.problems.append(Problem(what, where, fix))


def _refused_rows(block: NDArray[Any]) -> NDArray[np.int64]:
    """Find the rows of a block of floating-point numbers that a ready file must not hold."""
    # The ends of the range tell: both are NaN where one value is.
    if not block.size or max(-float(block.min()), float(block.max())) <= _LARGEST:
        return np.empty(0, np.int64)
    sizes = np.abs(block.astype(np.float64, copy=False))
    return np.flatnonzero(~(sizes <= _LARGEST).all(axis=1))
