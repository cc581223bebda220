"""Contradictions among the manifests of an export, or between them and the format."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from reprlib import repr as short
from typing import Any, Final

from cellucid_dask import format as fmt
from cellucid_dask.verify.export_folder.contents import Contents
from cellucid_dask.verify.export_folder.manifests import Json

_COLOR: Final = re.compile(r"#[0-9a-f]{6}")


def find_contradictions(manifests: Mapping[str, Json], contents: Contents) -> Iterator[str]:
    """Find everything in the manifests that contradicts the others or the format."""
    identity = manifests[fmt.IDENTITY]
    expected = {
        fmt.IDENTITY: _expected_identity(identity, contents),
        fmt.OBS_MANIFEST: _expected_obs(contents),
        fmt.VAR_MANIFEST: _expected_var(contents),
        fmt.CONNECTIVITY_MANIFEST: _expected_graph(contents),
    }
    for name, manifest in manifests.items():
        yield from _differences(manifest, expected[name], name)
    yield from _find_missing_manifests(manifests, contents)
    yield from _check_obs_fields(identity, contents)
    yield from _check_resolution(identity, contents)
    yield from _check_sources(identity, contents)
    for name, dims in contents.vectors.items():
        if not dims.keys() <= contents.points.keys():
            where = f"{fmt.IDENTITY}, vector_fields, {name!r}"
            yield f"{where}: not all of the dimensions {[*dims]} have points"
    yield from _check_ranges(contents)
    yield from _check_categories(contents)
    yield from _check_colors(contents)
    yield from _check_symbols(contents)
    yield from _find_shared_files(contents)
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", identity["created_at"]):
        yield f"{fmt.IDENTITY}, created_at: is {short(identity['created_at'])}"
    if contents.is_native and contents.quantile is not None and not 0.5 < contents.quantile < 1:
        yield f"{fmt.OBS_MANIFEST}, centroid_outlier_quantile: is {contents.quantile}"


def _differences(found: Any, expected: Any, where: str) -> Iterator[str]:
    """Say where `found` is not `expected`; keys that only `found` has are ignored."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in expected.items():
            yield from _differences(found.get(key), value, f"{where}, {key}")
    elif found != expected or isinstance(found, bool) != isinstance(expected, bool):
        yield f"{where}: is {short(found)}, not {short(expected)}"


def _expected_identity(identity: Json, contents: Contents) -> Json:
    n_genes = len(contents.genes)
    if not contents.is_native:  # the reference counts the genes of its input, exported or not
        n_genes = max(n_genes, identity["stats"]["n_genes"])
    n_continuous, n_categorical = len(contents.continuous), len(contents.categorical)
    expected: Json = {
        "version": 2,
        "stats": {
            "n_cells": contents.n_cells,
            "n_genes": n_genes,
            "n_obs_fields": n_continuous + n_categorical,
            "n_categorical_fields": n_categorical,
            "n_continuous_fields": n_continuous,
            "has_connectivity": contents.edges is not None,
            "n_edges": contents.edges[0] if contents.edges else None,
        },
        "embeddings": _expected_dimensions(contents.points),
        "export_settings": {"compression": contents.compression},
    }
    if contents.genes:
        expected["export_settings"]["var_quantization"] = contents.var_bits
    if contents.vectors:
        names = contents.vectors
        expected["vector_fields"] = {
            "default_field": "velocity_umap" if "velocity_umap" in names else min(names),
            "fields": {
                name: _expected_dimensions(dims)
                | {"label": fmt.vector_label(name)}
                | {"basis": "umap" if name.endswith("_umap") else None}
                for name, dims in names.items()
            },
        }
    return expected


def _expected_dimensions(resources: Mapping[int, fmt.Resource]) -> Json:
    return {
        "available_dimensions": sorted(resources),
        "default_dimension": max(resources, default=None),
        "files": {f"{dim}d": resource.path for dim, resource in resources.items()},
    }


def _expected_schema(folder: str, bits: int | None, contents: Contents) -> Json:
    ext, gz = fmt.value_ext(bits), ".gz" if contents.gz else ""
    return {
        "pathPattern": f"{folder}/{{key}}.values.{ext}{gz}",
        "ext": ext,
        "dtype": fmt.value_dtype(bits),
        "quantized": bits is not None,
        "quantizationBits": bits,
    }


def _expected_obs(contents: Contents) -> Json:
    bits, gz = contents.obs_bits, ".gz" if contents.gz else ""
    ext = fmt.value_ext(bits)
    categorical = {
        "codesPathPattern": f"obs/{{key}}.codes.{{ext}}{gz}",
        "outlierPathPattern": f"obs/{{key}}.outliers.{ext}{gz}",
        "outlierExt": ext,
        "outlierDtype": fmt.value_dtype(bits),
        "outlierQuantized": bits is not None,
    }
    expected: Json = {
        "_format": fmt.COMPACT,
        "n_points": contents.n_cells,
        "compression": contents.compression,
        "_obsSchemas": {
            "continuous": _expected_schema("obs", bits, contents) if contents.continuous else None,
            "categorical": categorical if contents.categorical else None,
        },
    }
    if contents.id_blocks is not None:
        expected[fmt.CELL_IDS] = {"path": contents.ids.path, "blockSize": fmt.IDS_PER_BLOCK}
    return expected


def _expected_var(contents: Contents) -> Json:
    return {
        "_format": fmt.COMPACT,
        "n_points": contents.n_cells,
        "compression": contents.compression,
        "_varSchema": {
            "kind": "continuous",
            **_expected_schema("var", contents.var_bits, contents),
        },
    }


def _expected_graph(contents: Contents) -> Json:
    dtype = fmt.index_dtype(contents.n_cells)
    return {
        "format": "edge_pairs",
        "n_cells": contents.n_cells,
        "index_dtype": dtype,
        "index_bytes": int(dtype.removeprefix("uint")) // 8,
        "sourcesPath": contents.src.path,
        "destinationsPath": contents.dst.path,
        "compression": contents.compression,
    }


def _find_missing_manifests(manifests: Mapping[str, Json], contents: Contents) -> Iterator[str]:
    stats = manifests[fmt.IDENTITY]["stats"]
    if stats["n_genes"] and fmt.VAR_MANIFEST not in manifests:
        yield f"{fmt.VAR_MANIFEST}: is missing, but there are {stats['n_genes']} genes"
    if stats["has_connectivity"] and contents.edges is None:
        yield f"{fmt.CONNECTIVITY_MANIFEST}: is missing, but there is a graph"


def _check_obs_fields(identity: Json, contents: Contents) -> Iterator[str]:
    entries: list[Json] = identity["obs_fields"]
    found = {
        kind: [(e["key"], e.get("n_categories")) for e in entries if e["kind"] == kind]
        for kind in ("continuous", "category")
    }
    expected = {
        "continuous": [(field.key, None) for field in contents.continuous],
        "category": [(field.key, len(field.labels)) for field in contents.categorical],
    }
    yield from _differences(found, expected, f"{fmt.IDENTITY}, obs_fields")
    for entry in entries:
        if entry["kind"] not in expected:
            yield f"{fmt.IDENTITY}, obs_fields, {entry['key']!r}: is of kind {short(entry['kind'])}"


def _check_resolution(identity: Json, contents: Contents) -> Iterator[str]:
    entry = identity["embeddings"].get("umap_resolution")
    if not entry:
        return
    where, dim = f"{fmt.IDENTITY}, embeddings, umap_resolution", entry.get("dim")
    if entry.get("action") not in ("used_as", "ignored"):
        yield f"{where}: the action is {short(entry.get('action'))}"
    elif entry["action"] == "used_as" and dim not in [*contents.points]:
        yield f"{where}: names {short(dim)} dimensions, which have no points"
    if dim is not None and type(dim) is not int:
        yield f"{where}: {short(dim)} is not a number of dimensions"
    elif dim is not None and entry.get("alias_key") != f"X_umap_{dim}d":
        yield f"{where}: {short(dim)} dimensions have the alias {short(entry.get('alias_key'))}"


def _check_sources(identity: Json, contents: Contents) -> Iterator[str]:
    """Check the list of embeddings; exports of older versions have none."""
    found = identity["embeddings"].get("sources")
    if found is None:
        return
    keys = contents.embedding_keys
    defaults = [(keys.get(dim, ""), resource) for dim, resource in contents.points.items()]
    expected = [fmt.source_entry(*pair) for pair in [*defaults, *contents.additional.items()]]
    if found != expected:
        yield f"{fmt.IDENTITY}, embeddings, sources: is {short(found)}, not {short(expected)}"


def _check_ranges(contents: Contents) -> Iterator[str]:
    outliers = [field.outliers for field in contents.categorical]
    for field in contents.continuous + outliers + contents.genes:
        lo, hi = field.span
        if field.bits and not lo < hi:
            yield f"{field.resource.path}: its range of {lo} to {hi} is empty"


def _check_categories(contents: Contents) -> Iterator[str]:
    for field in contents.categorical:
        n, expected = len(field.labels), (field.code.dtype, field.code.missing)
        if field.stated_code != expected:
            yield f"{field.resource.path}: {n} categories need {expected}, not {field.stated_code}"
        if n > field.code.missing - contents.is_native:
            yield f"{field.resource.path}: {n} categories are too many for {field.code.dtype}"
        extra = field.centroids.keys() - contents.points.keys()
        absent = contents.points.keys() - field.centroids.keys()
        if extra or (absent and contents.quantile is not None):
            dims = sorted(field.centroids)
            yield f"{fmt.OBS_MANIFEST}, {field.key!r}: has centroids for dimensions {dims}"


def _check_colors(contents: Contents) -> Iterator[str]:
    labels = {field.key: field.labels for field in contents.categorical}
    for key, colors in contents.colors.items():
        where = f"{fmt.OBS_MANIFEST}, {fmt.CATEGORY_COLORS}, {key!r}"
        if key not in labels:
            yield f"{where}: is no column of categories"
        elif len(colors) != len(labels[key]):
            yield f"{where}: has {len(colors)} colors for {len(labels[key])} categories"
        for color in colors:
            if not _COLOR.fullmatch(color):
                yield f"{where}: {short(color)} is not written as #rrggbb"


def _check_symbols(contents: Contents) -> Iterator[str]:
    if contents.symbols is None:
        return
    names, where = contents.symbols[1], f"{fmt.VAR_MANIFEST}, {fmt.SYMBOLS}"
    if len(names) != len(contents.genes):
        yield f"{where}: has {len(names)} names for {len(contents.genes)} genes"
        return
    same = sum(name == gene.key for name, gene in zip(names, contents.genes, strict=True))
    if same:
        yield f"{where}: repeats the id of {same} genes"


def _find_shared_files(contents: Contents) -> Iterator[str]:
    """Find keys that share a file name; some file systems ignore case."""
    paths = (resource.path for resource in contents.resources())
    counts = Counter(path.casefold() if contents.is_native else path for path in paths)
    yield from (f"{path}: is the file of {n} keys" for path, n in counts.items() if n > 1)
