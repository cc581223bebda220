"""The embeddings and vector fields of an export, and their problems."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from cellucid_dask import format as fmt
from cellucid_dask.errors import CellucidDaskError, Problem, suggest
from cellucid_dask.exporter.checks.additional_embeddings import ignored_warning
from cellucid_dask.exporter.checks.bounding_box import count_rows, measure_box
from cellucid_dask.exporter.checks.placed_cells import map_blocks, unplaced_rows
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.row_array import RowArray
from cellucid_dask.source.discover import Shapes, discover, guess_embedding
from cellucid_dask.source.model import Source


def show_other(shapes: Shapes, catalog: Any) -> None:
    """Choose the obsm array that is most likely an embedding when there is no UMAP."""
    other = guess_embedding(shapes)
    if other is None:
        return
    dim, key = other
    catalog.found = discover(shapes, {dim: key})
    catalog.warnings.append(
        f"there is no UMAP in obsm: {key} is shown as {dim}d; choose another with --embedding"
    )


def survey_embeddings(
    source: Source, options: ExportOptions, arrays: Mapping[str, RowArray], catalog: Any
) -> None:
    """Check the embeddings, and find the bounding box of each."""
    _check_named(source, options, arrays, catalog)
    if not catalog.found.embeddings and not catalog.problems:
        shapes = ", ".join(f"{k} {a.shape}" for k, a in arrays.items()) or "nothing"
        other = guess_embedding({key: array.shape for key, array in arrays.items()})
        fix = "compute one with scanpy.tl.umap"
        if other is not None:
            fix = f"use --embedding {other[0]}d={shlex.quote(other[1])}, or {fix}"
        catalog.problems.append(
            Problem(
                "no embedding found: obsm has none of X_umap_1d, X_umap_2d, X_umap_3d, X_umap "
                f"with 1 to 3 columns; it holds {shapes}",
                source.where,
                fix,
            )
        )
    _measure_boxes(arrays, catalog)
    for key, why in catalog.found.ignored.items():
        catalog.warnings.append(ignored_warning(key, why))


def _measure_boxes(arrays: Mapping[str, RowArray], catalog: Any) -> None:
    """Find the bounding box of each embedding that has one."""
    for dim, key in catalog.found.embeddings.items():
        catalog.notes.append(f"embedding obsm/{key} as {dim}d")
        if (box := measure_box(key, arrays[key], catalog)) is not None:
            catalog.boxes[dim] = box
    for key, dim in catalog.found.additional.items():
        catalog.notes.append(f"embedding obsm/{key} as {dim}d, additional")
        if (box := measure_box(key, arrays[key], catalog)) is not None:
            catalog.additional_boxes[key] = box


def _check_named(
    source: Source, options: ExportOptions, arrays: Mapping[str, RowArray], catalog: Any
) -> None:
    """Check that the embeddings that are named exist, and have the columns that are asked for."""
    known = list(source.obsm)
    for dim, key in options.named_embeddings:
        if key not in known:
            catalog.problems.append(
                Problem(f"there is no obsm key {key!r}", f"--embedding {dim}d", suggest(key, known))
            )
        elif key in arrays and arrays[key].shape[1] != dim:
            catalog.problems.append(
                Problem(
                    f"has shape {arrays[key].shape}, not ({source.n_cells}, {dim})", f"obsm/{key}"
                )
            )
            if catalog.found.embeddings.get(dim) == key:
                del catalog.found.embeddings[dim]


def survey_vectors(options: ExportOptions, arrays: Mapping[str, RowArray], catalog: Any) -> None:
    """Check the vector fields."""
    if not options.vectors:
        catalog.found.vectors = {}
    for field_id, dims in catalog.found.vectors.items():
        if fmt.safe(field_id) != field_id:
            catalog.problems.append(
                Problem(
                    f"the vector field id {field_id!r} has characters that a path cannot hold",
                    "obsm",
                    f"rename it, for example to {fmt.safe(field_id)!r}, or use --no-vectors",
                )
            )
        for dim, key in list(dims.items()):
            if key in arrays:
                catalog.notes.append(f"vectors   obsm/{key} as {field_id} {dim}d")
                _warn_of_unknown_vectors(key, arrays[key], catalog)
            else:
                del dims[dim]


def _warn_of_unknown_vectors(key: str, array: RowArray, catalog: Any) -> None:
    """Warn of vectors that are not finite; a server reports damaged ones when it reads them."""
    try:
        n, rows = count_rows(map_blocks(unplaced_rows, array))
    except CellucidDaskError:
        return
    if n:
        catalog.warnings.append(
            f"obsm/{key}: the vectors of {n} cells have NaN or Inf (rows {rows})"
        )
