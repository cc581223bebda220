"""How a viewer shows a ready file first: launch defaults, chosen, found, or kept of the input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, TypeGuard

import numpy as np

from cellucid_dask.errors import Problem, suggest
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog, ReadyColumn
from cellucid_dask.format import DIMENSIONS
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.facts import DEFAULTS, SHOWN
from cellucid_dask.ready.vector_fields import find_vector_fields
from cellucid_dask.source.discover import discover
from cellucid_dask.source.model import Source
from cellucid_dask.source.record import PLACE

Defaults: TypeAlias = Mapping[str, Any]  # of the record of the input, by key


def stored_defaults(given: Mapping[str, Any]) -> Defaults:
    """Defaults that the record of the input has."""
    defaults = given.get("defaults")
    return defaults if isinstance(defaults, Mapping) else {}


def choose_min_points(options: ExportOptions, defaults: Defaults) -> int:
    """Cells of a category with outlier quantiles, at least."""
    stored = defaults.get("centroidMinPoints")
    return (
        stored if options.centroid_min_points is None and is_count(stored) else options.min_points
    )


def stored_latent(options: ExportOptions, defaults: Defaults, catalog: ReadyCatalog) -> str | None:
    """Key of the latent space that the record of the input names, if the file can have it."""
    key = defaults.get("latentKey")
    if key is None or options.latent_key is not None:
        return None
    widths = {name: array.shape[1] for name, array in catalog.obsm.items()}
    if isinstance(key, str) and key in widths and key not in find_vector_fields(widths):
        return key
    _drop("latentKey", f"the file has no array {key!r:.60} that can be one", catalog)
    return None


def make_defaults(
    source: Source, options: ExportOptions, defaults: Defaults, catalog: ReadyCatalog
) -> dict[str, Any]:
    """Make the defaults of a file; those of the options go before those of the input.

    What the input names and the file has not is left out, with a warning.
    """
    widths = {key: array.shape[1] for key, array in catalog.obsm.items()}
    made = _embeddings(source, options, defaults, widths, catalog)
    column = _gene_id_column(options, defaults, catalog)
    if column:
        made["geneIdColumn"] = column
    if catalog.latent:
        made["latentKey"] = catalog.latent
    keys = _obs_keys(source, options, defaults, catalog)
    if keys:
        made["obsKeys"] = keys
    normalize = defaults.get("normalizeEmbeddings")
    if isinstance(normalize, bool):
        made["normalizeEmbeddings"] = normalize
    elif normalize is not None:
        _drop("normalizeEmbeddings", f"{normalize!r:.60} is not True or False", catalog)
    if options.centroid_min_points is not None or is_count(defaults.get("centroidMinPoints")):
        made["centroidMinPoints"] = catalog.min_points
    field = defaults.get("vectorFieldDefault")
    if field is not None and field in _drawn_fields(widths, made):
        made["vectorFieldDefault"] = field
    elif field is not None:
        what = f"no embedding that is shown has a vector field {field!r:.60}"
        _drop("vectorFieldDefault", what, catalog)
    return {key: made[key] for key in DEFAULTS if key in made}


def _embeddings(
    source: Source,
    options: ExportOptions,
    defaults: Defaults,
    widths: Mapping[str, int],
    catalog: ReadyCatalog,
) -> dict[str, Any]:
    """Embeddings by the keys of the record: chosen, of the input, and found where it matters."""
    made: dict[str, Any] = {}
    chosen = options.default_embeddings
    for dim, key in options.named_embeddings:  # the file has all of them; the first is shown first
        fault = _find_fault(dim, key, source, widths, catalog)
        catalog.problems += fault
        if not fault and chosen[dim] == key:
            made[f"embedding{dim}d"] = key
    for dim in DIMENSIONS:
        name = f"embedding{dim}d"
        if dim in chosen or name not in defaults:
            continue
        spec = _read_embedding(defaults[name], dim, widths)
        if spec is None:
            _drop(name, f"it does not name {dim} columns of an array in the file", catalog)
        else:
            made[name] = spec
    there = {dim: key for dim, key in chosen.items() if key in widths}
    shapes = {key: (catalog.n_cells, width) for key, width in widths.items()}
    shown = _shown_by_itself(widths)
    for dim, key in discover(shapes, there).embeddings.items():
        name = f"embedding{dim}d"
        if dim not in chosen and name not in made and shown.get(dim) != key:
            made[name] = key
    return made


def _find_fault(
    dim: int, key: str, source: Source, widths: Mapping[str, int], catalog: ReadyCatalog
) -> list[Problem]:
    """Why a chosen embedding cannot be shown; empty if it can."""
    known, where = list(source.obsm), f"obsm/{key}"
    if key not in known:
        fix = suggest(key, known)
        return [Problem(f"there is no obsm key {key!r}", f"--embedding {dim}d", fix)]
    if key not in widths:
        if any(problem.where.endswith(where) for problem in catalog.problems):
            return []  # which says why
        what = "is not in the ready file, so it cannot be shown"
        return [Problem(what, where, "choose another with --embedding")]
    if key in find_vector_fields(widths):
        what, fix = "is a vector field, not an embedding", "choose another with --embedding"
        return [Problem(what, where, fix)]
    if widths[key] < dim:
        what = f"has shape ({catalog.n_cells}, {widths[key]}), not ({catalog.n_cells}, {dim})"
        return [Problem(what, where)]
    return []


def _read_embedding(spec: Any, dim: int, widths: Mapping[str, int]) -> Any:
    """An embedding of the record, as it is stored; None if the file cannot show it."""
    key = spec.get("key") if isinstance(spec, Mapping) else spec
    columns = spec.get("columns") if isinstance(spec, Mapping) else None
    if not isinstance(key, str) or widths.get(key, 0) < dim or key in find_vector_fields(widths):
        return None
    if columns is None:
        return key
    good = isinstance(columns, list) and len(columns) == dim == len({*map(repr, columns)})
    if not good or not all(type(i) is int and 0 <= i < widths[key] for i in columns):
        return None
    return {"key": key, "columns": np.array(columns, np.int64)}


def _shown_by_itself(widths: Mapping[str, int]) -> dict[int, str]:
    """Embeddings that the viewer shows without being told, by dimension; it may guess others."""
    named = {dim: f"X_umap_{dim}d" for dim in DIMENSIONS if f"X_umap_{dim}d" in widths}
    if named:
        return named
    first = next((key for key in SHOWN if widths.get(key) in DIMENSIONS), None)
    return {} if first is None else {widths[first]: first}


def _drawn_fields(widths: Mapping[str, int], made: Mapping[str, Any]) -> set[str]:
    """Vector fields on embeddings that are shown when the file is opened."""
    fields = find_vector_fields(widths)
    specs = [made.get(f"embedding{dim}d") for dim in DIMENSIONS]
    named = {spec["key"] if isinstance(spec, Mapping) else spec for spec in specs}
    latent = made.get("latentKey")
    beside = {key for key, n in widths.items() if n in DIMENSIONS and key != latent}
    shown = named | {*_shown_by_itself(widths).values()} | beside
    return {field for field, embedding in fields.values() if embedding in shown}


def _gene_id_column(options: ExportOptions, defaults: Defaults, catalog: ReadyCatalog) -> str:
    """Column of var that names the genes in the viewer; empty for the index."""
    there = {column.layout.key: column for column in catalog.var}
    chosen = options.gene_id_column
    if chosen != "index":
        if chosen not in there:
            return ""
        if unfit := _not_ids(there[chosen]):
            what = f"var[{chosen!r}] holds {unfit}, by which the viewer names no genes"
            fix = "choose a column of text or of whole numbers"
            catalog.problems.append(Problem(what, "--gene-id-column", fix))
        return chosen
    stored = defaults.get("geneIdColumn")
    if stored is None:
        return ""
    if not isinstance(stored, str) or stored not in there:
        _drop("geneIdColumn", f"var has no column {stored!r:.60}", catalog)
        return ""
    if unfit := _not_ids(there[stored]):
        _drop("geneIdColumn", f"var[{stored!r}] holds {unfit}", catalog)
        return ""
    return stored


def _not_ids(column: ReadyColumn) -> str:
    """What a column holds that cannot name genes; empty for text and whole numbers."""
    if column.layout.kind in ("categorical", "text"):
        return ""
    return {"b": "truth values", "f": "fractions"}.get(column.column.dtype.kind, "")


def _obs_keys(
    source: Source, options: ExportOptions, defaults: Defaults, catalog: ReadyCatalog
) -> list[str]:
    """Columns that the viewer lists, in order; empty for all."""
    there = [column.layout.key for column in catalog.obs]
    if options.obs_keys is not None:
        known = list(source.obs.columns)
        catalog.problems += [
            Problem(f"obs has no column {key!r}", "--obs-key", suggest(key, known, noun="obs has"))
            for key in options.obs_keys
            if key not in known
        ]
        return [key for key in options.obs_keys if key in there]
    stored = defaults.get("obsKeys")
    listed: Iterable[Any] = stored if isinstance(stored, list) else []
    kept = [key for key in dict.fromkeys(map(str, listed)) if key in there]
    if stored is not None and kept != stored:
        _drop("obsKeys", "it names what is no column of obs", catalog, "partly left out")
    return kept


def is_count(value: Any) -> TypeGuard[int]:
    """Whether a value of the record is a positive whole number."""
    return type(value) is int and value > 0


def _drop(key: str, why: str, catalog: ReadyCatalog, how: str = "left out") -> None:
    catalog.warnings.append(f"{PLACE}/defaults/{key} of the data is {how}: {why}")
