"""The Cellucid export format, identity version 2 with ``compact_v1`` manifests.

Every fact about names, dtypes, markers, paths and manifest shapes is said here and nowhere
else. Nothing in this module reads or writes a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

IDENTITY: Final = "dataset_identity.json"
OBS_MANIFEST: Final = "obs_manifest.json"
VAR_MANIFEST: Final = "var_manifest.json"
CONNECTIVITY_MANIFEST: Final = "connectivity_manifest.json"
MANIFESTS: Final = (IDENTITY, OBS_MANIFEST, VAR_MANIFEST, CONNECTIVITY_MANIFEST)
CHECKSUMS: Final = "checksums.json"
DATASETS: Final = "datasets.json"
COMPACT: Final = "compact_v1"
DIMENSIONS: Final = (1, 2, 3)
# Characters of a safe name: those of a file name, without its ending and that of unfinished files.
LONGEST_NAME: Final = 255 - len(".outliers.u16.gz") - 20
# Members that viewers which do not know them ignore: of the manifest of obs, and of that of var.
CATEGORY_COLORS: Final = "_categoryColors"
CELL_IDS: Final = "_index"
SYMBOLS: Final = "_symbols"
# Columns of var by which `SYMBOLS` are found, in upper or lower case, the first one first.
SYMBOL_COLUMNS: Final = (
    *("feature_name", "gene_symbols", "gene_symbol", "gene_short_name", "gene_name", "gene_names"),
    *("symbol", "symbols", "hgnc_symbol"),
)
ID_COLUMNS: Final = ("gene_ids", "ensembl_id", "feature_id")

Bits = Literal[8, 16]


@dataclass(frozen=True, slots=True)
class Code:
    """An unsigned integer code.

    Parameters
    ----------
    dtype
        numpy name of the little-endian type on disk.
    ext
        File extension.
    missing
        The value reserved for NaN, Inf and missing; valid codes are ``0 .. missing - 1``.
    """

    dtype: str
    ext: str
    missing: int


U8: Final = Code("uint8", "u8", 255)
U16: Final = Code("uint16", "u16", 65535)
CODES: Final[Mapping[int, Code]] = {8: U8, 16: U16}
F32_EXT: Final = "f32"


def value_ext(bits: int | None) -> str:
    """Extension of quantized (8, 16) or unquantized (None) values."""
    return F32_EXT if bits is None else CODES[bits].ext


def value_dtype(bits: int | None) -> str:
    """Numpy dtype name of quantized (8, 16) or unquantized (None) values."""
    return "float32" if bits is None else CODES[bits].dtype


def category_code(n_categories: int, choice: str = "auto") -> Code:
    """Code for a categorical column; `choice` is ``auto``, ``uint8`` or ``uint16``."""
    if choice == "auto":
        return U8 if n_categories < U8.missing else U16
    return U8 if choice == "uint8" else U16


def index_dtype(n_cells: int) -> str:
    """Numpy dtype name of the cell indices of edges."""
    if n_cells <= 0xFFFF:
        return "uint16"
    return "uint32" if n_cells <= 0xFFFF_FFFF else "uint64"


# ------------------------------------------------------------------------------------ names


_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


def safe(key: object) -> str:
    """File name of a key; the viewer applies the same rule to find the file."""
    return _UNSAFE.sub("_", str(key)).strip("._") or "field"


def collisions(keys: Iterable[str]) -> list[list[str]]:
    """Groups of keys whose file names are equal, also on a file system that folds case."""
    every = list(keys)
    names = [safe(key).casefold() for key in every]
    if len(set(names)) == len(names):
        return []
    groups: dict[str, list[str]] = {}
    for key, name in zip(every, names, strict=True):
        groups.setdefault(name, []).append(key)
    return [group for group in groups.values() if len(group) > 1]


def vector_label(field: str) -> str:
    """Label of a vector field: ``velocity_umap`` is ``Velocity (UMAP)``."""
    base = field.removesuffix("_umap")
    words = base.replace("_", " ").strip()
    label = words[:1].upper() + words[1:] if words else field
    return f"{label} (UMAP)" if field.endswith("_umap") else label


# ----------------------------------------------------------------------------------- colors

_HEX: Final = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{4}|[0-9a-f]{6}|[0-9a-f]{8})")
_NAMED_COLORS: Final = """
aqua 00ffff black 000000 blue 0000ff brown a52a2a cyan 00ffff darkgray a9a9a9 darkgrey a9a9a9
fuchsia ff00ff gold ffd700 gray 808080 green 008000 grey 808080 lightgray d3d3d3 lightgrey d3d3d3
lime 00ff00 magenta ff00ff maroon 800000 navy 000080 olive 808000 orange ffa500 pink ffc0cb
purple 800080 red ff0000 salmon fa8072 silver c0c0c0 teal 008080 turquoise 40e0d0 violet ee82ee
white ffffff yellow ffff00
b 0000ff c 00bfbf g 008000 k 000000 m bf00bf r ff0000 w ffffff y bfbf00
tab:blue 1f77b4 tab:orange ff7f0e tab:green 2ca02c tab:red d62728 tab:purple 9467bd
tab:brown 8c564b tab:pink e377c2 tab:gray 7f7f7f tab:grey 7f7f7f tab:olive bcbd22 tab:cyan 17becf
"""
NAMED_COLORS: Final[Mapping[str, str]] = {
    name: f"#{digits}" for name, digits in re.findall(r"(\S+) ([0-9a-f]{6})", _NAMED_COLORS)
}


def color_code(text: object) -> str:
    """``#rrggbb`` of a color of ``uns``, without its opacity; empty for what is none.

    Parameters
    ----------
    text
        ``#rgb``, ``#rgba``, ``#rrggbb``, ``#rrggbbaa``, or one of `NAMED_COLORS`; in any case.
    """
    given = text.strip().lower() if isinstance(text, str) else ""
    if not _HEX.fullmatch(given):
        return NAMED_COLORS.get(given, "")
    if len(given) <= len("#rgba"):
        return "#" + "".join(2 * digit for digit in given[1:4])
    return given[: len("#rrggbb")]


# ------------------------------------------------------------------------------------ paths

Kind = Literal[
    "points", "embedding", "vectors", "values", "codes", "outliers", "ids", "gene", "src", "dst"
]

_PATTERNS: Final[Mapping[Kind, str]] = {
    "points": "points_{dim}d.bin",
    "embedding": "points/{name}_{dim}d.bin",
    "vectors": "vectors/{name}_{dim}d.bin",
    "values": "obs/{name}.values.{ext}",
    "codes": "obs/{name}.codes.{ext}",
    "outliers": "obs/{name}.outliers.{ext}",
    "ids": "obs/_index.ids",  # the safe name of no column begins with _
    "gene": "var/{name}.values.{ext}",
    "src": "connectivity/edges.src.bin",
    "dst": "connectivity/edges.dst.bin",
}
_GROUPS: Final = {"dim": "(?P<dim>[123])", "name": "(?P<name>[A-Za-z0-9._-]+)"}
_EXTS: Final[Mapping[Kind, str]] = {"codes": "u8|u16"}


def _regex(kind: Kind) -> re.Pattern[str]:
    pattern = re.escape(_PATTERNS[kind]).replace(r"\{", "{").replace(r"\}", "}")
    ext = f"(?P<ext>{_EXTS.get(kind, 'f32|u8|u16')})"
    return re.compile(pattern.format(ext=ext, **_GROUPS) + r"(?P<gz>\.gz)?")


_REGEXES: Final[Mapping[Kind, re.Pattern[str]]] = {kind: _regex(kind) for kind in _PATTERNS}


@dataclass(frozen=True, slots=True)
class Resource:
    """One binary file of an export.

    Parameters
    ----------
    kind
        Which array the file holds; ``embedding`` is an additional one, ``points`` the default of
        its dimension.
    name
        Safe name of the obs column, gene, vector field or additional embedding; empty for points
        and edges.
    dim
        Dimension of points, embeddings and vectors, else 0.
    ext
        ``f32``, ``u8`` or ``u16`` for obs and genes, else ``bin``.
    gz
        Whether the file is a gzip member.
    """

    kind: Kind
    name: str = ""
    dim: int = 0
    ext: str = "bin"
    gz: bool = False

    @property
    def path(self) -> str:
        """Path relative to the export, with forward slashes."""
        base = _PATTERNS[self.kind].format(name=self.name, dim=self.dim, ext=self.ext)
        return base + (".gz" if self.gz else "")


def gene_paths(genes: Iterable[str], bits: int | None, *, gz: bool) -> list[str]:
    """Paths of the files of genes, as `Resource.path` gives each; fast for many."""
    before, after = Resource("gene", "*", ext=value_ext(bits), gz=gz).path.split("*")
    return [f"{before}{safe(gene)}{after}" for gene in genes]


def parse(path: str) -> Resource:
    """Resource of a relative path: the inverse of `Resource.path`.

    Raises
    ------
    ValueError
        For every other spelling.
    """
    for kind, regex in _REGEXES.items():
        found = regex.fullmatch(path)
        if found is None:
            continue
        parts = found.groupdict()
        name = parts.get("name") or ""
        if name and safe(name) != name:
            break
        dim, ext = int(parts.get("dim") or 0), parts.get("ext") or "bin"
        return Resource(kind, name, dim, ext, parts["gz"] is not None)
    raise ValueError(f"not a path of an export: {path!r}")


# --------------------------------------------------------------------------------- cell ids

IDS_PER_BLOCK: Final = 2048  # so that who asks for one id reads some 10 kB
_LIVE_IDS: Final = "obs/_index/{block}.json"
_LIVE_BLOCK: Final = re.compile(r"obs/_index/(0|[1-9][0-9]{0,9})\.json")


def ids_block(ids: Sequence[str]) -> str:
    """JSON text of the ids of one block; ASCII, whatever characters ids have."""
    return json.dumps(ids, separators=(",", ":"))


def stored_cell_ids(offsets: Sequence[int], *, gz: bool) -> dict[str, Any]:
    """Entry of the manifest of obs for the file of ids.

    Parameters
    ----------
    offsets
        (n_blocks + 1,) where each block begins in the file, and the size of the file.
    """
    path = Resource("ids", gz=gz).path
    return {"path": path, "blockSize": IDS_PER_BLOCK, "offsets": list(offsets)}


def live_cell_ids() -> dict[str, Any]:
    """Entry of the manifest of obs for ids of live data, of which each block is a path."""
    return {"pathPattern": _LIVE_IDS, "blockSize": IDS_PER_BLOCK}


def live_block(path: str) -> int | None:
    """Number of the block of ids at a path of live data; None for any other path."""
    found = _LIVE_BLOCK.fullmatch(path)
    return None if found is None else int(found[1])


# -------------------------------------------------------------------------------- manifests


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


def has_y_down(key: str, dim: int) -> bool:
    """Whether an embedding is drawn with y pointing down, by its obsm key: pixels of an image."""
    return dim == 2 and key.casefold() in ("spatial", "x_spatial")


def source_entry(key: str, resource: Resource) -> dict[str, Any]:
    """Build the entry of one embedding in ``sources`` of the identity, from its obsm key."""
    entry: dict[str, Any] = {"id": key, "dimension": resource.dim, "path": resource.path}
    return entry | ({"y_down": True} if has_y_down(key, resource.dim) else {})


def embeddings_entry(
    defaults: Mapping[int, str],
    additional: Mapping[str, int],
    compression: int | None,
    resolution: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Build the ``embeddings`` entry of the identity.

    Parameters
    ----------
    defaults
        obsm key of the default embedding of each dimension.
    additional
        Dimension of each additional embedding, by its obsm key.
    """
    gz = bool(compression)
    points = {dim: Resource("points", dim=dim, gz=gz) for dim in sorted(defaults)}
    others = {key: Resource("embedding", safe(key), dim, gz=gz) for key, dim in additional.items()}
    entry: dict[str, Any] = {
        "available_dimensions": list(points),
        "default_dimension": max(points),
        "files": {f"{dim}d": resource.path for dim, resource in points.items()},
        "sources": [
            *(source_entry(defaults[dim], resource) for dim, resource in points.items()),
            *(source_entry(key, resource) for key, resource in others.items()),
        ],
    }
    if resolution is not None:
        entry["umap_resolution"] = dict(resolution)
    return entry


def vector_fields_entry(
    fields: Mapping[str, Sequence[int]], compression: int | None
) -> dict[str, Any] | None:
    """``vector_fields`` of the identity from the dimensions of each field; None without any."""
    if not fields:
        return None
    entries: dict[str, Any] = {}
    for field, dimensions in fields.items():
        dims, gz = sorted(dimensions), bool(compression)
        entries[field] = {
            "label": vector_label(field),
            "available_dimensions": dims,
            "default_dimension": dims[-1],
            "files": {f"{d}d": Resource("vectors", field, d, gz=gz).path for d in dims},
        }
        if field.endswith("_umap"):
            entries[field]["basis"] = "umap"
    default = "velocity_umap" if "velocity_umap" in entries else min(entries)
    return {"default_field": default, "fields": entries}


def identity(
    *,
    dataset: Mapping[str, str],
    version: str,
    stats: Mapping[str, Any],
    embeddings: Mapping[str, Any],
    obs_fields: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    source: Mapping[str, str],
    vector_fields: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """``dataset_identity.json``.

    Parameters
    ----------
    dataset
        ``id``, ``name``, ``description``, ``created_at`` (UTC, ``YYYY-MM-DDTHH:MM:SSZ``).
    version
        Version of this package.
    source
        ``name``, ``url``, ``citation``, those that were given.
    """
    n_categorical = sum(field["kind"] == "category" for field in obs_fields)
    payload: dict[str, Any] = {
        "version": 2,
        **{key: dataset[key] for key in ("id", "name", "description", "created_at")},
        "cellucid_data_version": f"cellucid-dask {version}",
        "stats": {
            "n_cells": stats["n_cells"],
            "n_genes": stats["n_genes"],
            "n_obs_fields": len(obs_fields),
            "n_categorical_fields": n_categorical,
            "n_continuous_fields": len(obs_fields) - n_categorical,
            "has_connectivity": stats["n_edges"] is not None,
            "n_edges": stats["n_edges"],
        },
        "embeddings": dict(embeddings),
        "obs_fields": list(obs_fields),
        "export_settings": dict(settings),
    }
    if source:
        payload["source"] = dict(source)
    if vector_fields:
        payload["vector_fields"] = dict(vector_fields)
    return payload


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
