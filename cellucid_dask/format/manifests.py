"""The manifests of obs, var and connectivity, the checksums, and the list of exports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cellucid_dask.format.codes import index_dtype, value_dtype, value_ext
from cellucid_dask.format.paths import Resource

COMPACT: Final = "compact_v1"
# Members that viewers which do not know them ignore: of the manifest of obs, and of that of var.
CATEGORY_COLORS: Final = "_categoryColors"
CELL_IDS: Final = "_index"
SYMBOLS: Final = "_symbols"


def dumps(payload: Mapping[str, Any], *, pretty: bool = False) -> str:
    """Strict JSON text; a NaN or an infinity is a ValueError."""
    indent = 2 if pretty else None
    return json.dumps(payload, allow_nan=False, check_circular=False, indent=indent)


def _gz(compression: int | None) -> str:
    return ".gz" if compression else ""


def _value_schema(folder: str, bits: int | None, compression: int | None) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "pathPattern": f"{folder}/{{key}}.values.{value_ext(bits)}{_gz(compression)}",
        "ext": value_ext(bits),
        "dtype": value_dtype(bits),
        "quantized": bits is not None,
    }
    if bits is not None:
        schema["quantizationBits"] = bits
    return schema


def obs_manifest(
    *,
    n_cells: int,
    centroid_quantile: float | None,
    latent_key: str,
    compression: int | None,
    bits: int | None,
    continuous: Sequence[Sequence[Any]],
    categorical: Sequence[Sequence[Any]],
    colors: Mapping[str, Sequence[str]],
    cell_ids: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """``obs_manifest.json``.

    Parameters
    ----------
    continuous
        ``[key, min, max]`` per column, ``[key]`` unquantized.
    categorical
        ``[key, categories, codes dtype, missing, {"2": [centroid]}, min, max]`` per column, the
        last two (of the outlier quantiles) only when quantized.
    colors
        ``#rrggbb`` of each category, by column; only of columns that have colors.
    cell_ids
        Where the ids of cells are: `stored_cell_ids` or `live_cell_ids`; None without.
    """
    schemas: dict[str, Any] = {}
    if continuous:
        schemas["continuous"] = _value_schema("obs", bits, compression)
    if categorical:
        ext, gz = value_ext(bits), _gz(compression)
        schemas["categorical"] = {
            "codesPathPattern": f"obs/{{key}}.codes.{{ext}}{gz}",
            "outlierPathPattern": f"obs/{{key}}.outliers.{ext}{gz}",
            "outlierExt": ext,
            "outlierDtype": value_dtype(bits),
            "outlierQuantized": bits is not None,
        }
    manifest: dict[str, Any] = {
        "_format": COMPACT,
        "n_points": n_cells,
        "centroid_outlier_quantile": centroid_quantile,
        "latent_key": latent_key,
        "compression": compression or None,
        "_obsSchemas": schemas,
        "_continuousFields": list(continuous),
        "_categoricalFields": list(categorical),
    }
    if colors:
        manifest[CATEGORY_COLORS] = {key: list(codes) for key, codes in colors.items()}
    if cell_ids is not None:
        manifest[CELL_IDS] = dict(cell_ids)
    return manifest


def var_manifest(
    *,
    n_cells: int,
    gene_id_column: str,
    compression: int | None,
    bits: int | None,
    fields: Sequence[Sequence[Any]],
    symbols: tuple[str, Sequence[str | None]] | None,
) -> dict[str, Any]:
    """``var_manifest.json``.

    Parameters
    ----------
    fields
        ``[gene, min, max]``, or ``[gene]`` unquantized.
    symbols
        Column of var that has another name of genes, and that of each; None without one.
    """
    manifest: dict[str, Any] = {
        "_format": COMPACT,
        "n_points": n_cells,
        "var_gene_id_column": gene_id_column,
        "compression": compression or None,
        "quantization": bits,
        "_varSchema": {"kind": "continuous", **_value_schema("var", bits, compression)},
        "fields": list(fields),
    }
    if symbols is not None:
        manifest[SYMBOLS] = {"column": symbols[0], "names": list(symbols[1])}
    return manifest


def connectivity_manifest(
    *, n_cells: int, n_edges: int, max_neighbors: int, compression: int | None
) -> dict[str, Any]:
    """``connectivity_manifest.json``."""
    dtype, gz = index_dtype(n_cells), bool(compression)
    return {
        "format": "edge_pairs",
        "n_cells": n_cells,
        "n_edges": n_edges,
        "max_neighbors": max_neighbors,
        "index_bytes": int(dtype.removeprefix("uint")) // 8,
        "index_dtype": dtype,
        "sourcesPath": Resource("src", gz=gz).path,
        "destinationsPath": Resource("dst", gz=gz).path,
        "compression": compression or None,
    }


def checksums(files: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """``checksums.json``: size and crc32 of every file of an export but itself; ours alone.

    Parameters
    ----------
    files
        (bytes, crc32) by path.
    """
    return {
        "_format": "checksums_v1",
        "algorithm": "crc32",
        "files": {path: [size, f"{crc:08x}"] for path, (size, crc) in sorted(files.items())},
    }


def datasets(entries: Sequence[Mapping[str, Any]], default: str) -> dict[str, Any]:
    """``datasets.json`` at the root of several exports."""
    return {"version": 1, "default": default, "datasets": list(entries)}
