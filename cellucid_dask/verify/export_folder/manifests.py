"""The manifests of an export: strict JSON of the right shape."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from reprlib import repr as short
from types import UnionType
from typing import Any, Final, TypeAlias

from cellucid_dask import format as fmt
from cellucid_dask.verify.export_folder.files import DamagedError, ExportFiles

Json: TypeAlias = dict[str, Any]


_LARGEST: Final = 1 << 53  # other JSON readers cannot hold larger integers

# Shapes: a type; {key: shape}, a key ending in "?" may be absent; [shape] for a list of any
# length; (shape, ...) for a list of exactly these. An int is a count, and never negative.
VECTOR_FIELD: Final = {
    "label": str,
    "available_dimensions": [int],
    "default_dimension": int,
    "files": dict,
    "basis?": str,
}
_IDENTITY: Final = {
    **dict.fromkeys(("id", "name", "description", "created_at", "cellucid_data_version"), str),
    "version": int,
    "stats": {
        **dict.fromkeys(("n_cells", "n_genes", "n_obs_fields", "n_categorical_fields"), int),
        "n_continuous_fields": int,
        "has_connectivity": bool,
        "n_edges": int | None,
    },
    "embeddings": {
        "available_dimensions": [int],
        "default_dimension": int,
        "files": dict,
        "umap_resolution?": dict,
        "sources?": [{"id": str, "dimension": int, "path": str, "y_down?": bool}],
    },
    "obs_fields": [{"key": str, "kind": str, "n_categories?": int | None}],
    "export_settings": {
        "compression": int | None,
        "var_quantization": int | None,
        "obs_continuous_quantization": int | None,
        "obs_categorical_dtype": str,
    },
    "source?": {"name?": str, "url?": str, "citation?": str},
    "vector_fields?": {"default_field": str, "fields": dict},
}
_OBS: Final = {
    "_format": str,
    "n_points": int,
    "centroid_outlier_quantile": int | float | None,
    "latent_key": str,
    "compression": int | None,
    "_obsSchemas": dict,
    "_continuousFields": [list],
    "_categoricalFields": [list],
    f"{fmt.CATEGORY_COLORS}?": dict,
    f"{fmt.CELL_IDS}?": {"path": str, "blockSize": int, "offsets": [int]},
}
_VAR: Final = {
    "_format": str,
    "n_points": int,
    "var_gene_id_column": str,
    "compression": int | None,
    "quantization": int | None,
    "_varSchema": dict,
    "fields": [list],
    f"{fmt.SYMBOLS}?": {"column": str, "names": [str | None]},
}
_GRAPH: Final = {
    **dict.fromkeys(("n_cells", "n_edges", "max_neighbors", "index_bytes"), int),
    **dict.fromkeys(("format", "index_dtype", "sourcesPath", "destinationsPath"), str),
    "compression": int | None,
}
CENTROID: Final = {"category": str, "position": [int | float], "n_points": int}
_SHAPES: Final[Mapping[str, Json]] = {
    fmt.IDENTITY: _IDENTITY,
    fmt.OBS_MANIFEST: _OBS,
    fmt.VAR_MANIFEST: _VAR,
    fmt.CONNECTIVITY_MANIFEST: _GRAPH,
}


def read_manifests(files: ExportFiles, problems: list[str]) -> dict[str, Json] | None:
    """Read the manifests by file name; None when one cannot be used."""
    manifests: dict[str, Json] = {}
    errors: list[str] = []
    needed = {fmt.IDENTITY, fmt.OBS_MANIFEST, *(files.listed or ())}
    for name in fmt.MANIFESTS:
        if name not in files and name not in needed:
            continue
        try:
            manifests[name] = parse_strict_json(files.read(name, problems))
        except DamagedError as damage:
            errors.append(str(damage))
        except (ValueError, RecursionError) as error:
            errors.append(f"{name}: is not strict JSON ({error})")
    ours = is_native(manifests.get(fmt.IDENTITY, {}))
    for name, manifest in manifests.items():
        errors.extend(find_misfits(manifest, _SHAPES[name], name, closed=ours))
    if ours and fmt.CHECKSUMS not in files:
        problems.append(f"{fmt.CHECKSUMS}: is missing")
    problems.extend(errors)
    return None if errors else manifests


def is_native(identity: Json) -> bool:
    """Whether this package wrote the export, so that its stricter rules apply."""
    return str(identity.get("cellucid_data_version")).startswith("cellucid-dask")


def parse_strict_json(raw: bytes) -> Json:
    """Parse a JSON object in UTF-8 that has no NaN, no Infinity and no repeated key.

    Raises
    ------
    ValueError
        When `raw` is anything else.
    """

    def refuse(literal: str) -> float:
        raise ValueError(f"it holds {literal}")

    def number(literal: str) -> float:
        return float(literal) if math.isfinite(float(literal)) else refuse(literal)

    def unique(pairs: list[tuple[str, Any]]) -> Json:
        repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        return dict(pairs) if not repeated else _fail(f"it has the key {repeated[0]!r} twice")

    value = json.loads(
        raw.decode(), parse_constant=refuse, parse_float=number, object_pairs_hook=unique
    )
    return value if isinstance(value, dict) else _fail("it is not an object")


def _fail(text: str) -> Json:
    raise ValueError(text)


def find_misfits(value: Any, shape: Any, where: str, *, closed: bool) -> Iterator[str]:
    """Find where `value` is not of `shape`; objects that are `closed` have no unknown keys."""
    if isinstance(shape, type | UnionType):
        fits = isinstance(value, shape) and (not isinstance(value, bool) or shape is bool)
        count = shape in (int, int | None)
        if not fits or (isinstance(value, int) and not (-_LARGEST, 0)[count] <= value <= _LARGEST):
            yield f"{where}: is {short(value)}"
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f"{where}: is {short(value)}"
            return
        known = {key.removesuffix("?"): inner for key, inner in shape.items()}
        missing = [key for key in shape if not key.endswith("?") and key not in value]
        yield from (f"{where}: lacks {key!r}" for key in missing)
        yield from (
            f"{where}: has the unknown key {key!r}" for key in value if closed and key not in known
        )
        for key in value.keys() & known.keys():
            yield from find_misfits(value[key], known[key], f"{where}, {key}", closed=closed)
    elif not isinstance(value, list) or (isinstance(shape, tuple) and len(value) != len(shape)):
        yield f"{where}: is {short(value)}"
    else:
        shapes = shape if isinstance(shape, tuple) else shape * len(value)
        for i, (item, inner) in enumerate(zip(value, shapes, strict=True)):
            yield from find_misfits(item, inner, f"{where}[{i}]", closed=closed)
