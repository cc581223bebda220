"""The arrays that the manifests of an export promise, with their types and ranges."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cellucid_dask import format as fmt
from cellucid_dask.verify.export_folder.manifests import (
    CENTROID,
    VECTOR_FIELD,
    Json,
    find_misfits,
    is_native,
)

NO_SPAN: Final = (math.nan, math.nan)
_NUMBER: Final = int | float


@dataclass(frozen=True, slots=True)
class Values:
    """A number per cell: a continuous obs column, outlier quantiles or a gene.

    Parameters
    ----------
    bits
        8, 16 or None for float32.
    span
        ``lo, hi`` of quantized values, else ``NO_SPAN``.
    """

    key: str
    resource: fmt.Resource
    bits: int | None
    span: tuple[float, float]


@dataclass(frozen=True, slots=True)
class CategoricalField:
    """A categorical obs column.

    Parameters
    ----------
    stated_code
        Dtype and marker of missing codes in the manifest; they must be those of `code`.
    centroids
        By dimension, as the manifest has them.
    colors
        Of the categories; None without.
    """

    key: str
    labels: list[str]
    code: fmt.Code
    stated_code: tuple[str, int]
    resource: fmt.Resource
    outliers: Values
    centroids: dict[int, list[Json]]
    colors: list[str] | None


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything the manifests promise.

    Parameters
    ----------
    is_native
        Whether this package wrote the export, so that its stricter rules apply.
    obs_bits, var_bits
        Quantization of obs columns and of genes.
    quantile
        Quantile of distances of the centroids; None for no centroids.
    points
        Default embedding of each dimension.
    additional
        Additional embeddings by obsm key.
    embedding_keys
        obsm keys of the default embeddings by dimension, as far as the identity has them.
    vectors
        By field and dimension.
    edges
        ``n_edges, max_neighbors`` of the graph, if there is one.
    id_blocks
        Cells of a block of ids, and where each block begins in the file and the last one ends; None
        without ids.
    colors
        Of categories, by column; also such that no column has.
    symbols
        Column of var with other names of the genes, and these names; None without.
    """

    is_native: bool
    n_cells: int
    compression: int | None
    obs_bits: int | None
    var_bits: int | None
    latent_key: str
    gene_id_column: str
    quantile: float | None
    points: dict[int, fmt.Resource]
    additional: dict[str, fmt.Resource]
    embedding_keys: dict[int, str]
    vectors: dict[str, dict[int, fmt.Resource]]
    continuous: list[Values]
    categorical: list[CategoricalField]
    genes: list[Values]
    edges: tuple[int, int] | None
    id_blocks: tuple[int, list[int]] | None
    colors: dict[str, list[str]]
    symbols: tuple[str, list[str | None]] | None

    @property
    def gz(self) -> bool:
        """Whether binary files are gzip members."""
        return bool(self.compression)

    @property
    def src(self) -> fmt.Resource:
        """Lower cell of every edge."""
        return fmt.Resource("src", gz=self.gz)

    @property
    def dst(self) -> fmt.Resource:
        """Higher cell of every edge."""
        return fmt.Resource("dst", gz=self.gz)

    @property
    def ids(self) -> fmt.Resource:
        """Ids of the cells."""
        return fmt.Resource("ids", gz=self.gz)

    def resources(self) -> Iterator[fmt.Resource]:
        """Yield every promised binary file, as often as it is promised."""
        yield from self.points.values()
        yield from self.additional.values()
        for dims in self.vectors.values():
            yield from dims.values()
        yield from (field.resource for field in self.continuous + self.genes)
        for field in self.categorical:
            yield field.resource
            yield field.outliers.resource
        if self.id_blocks is not None:
            yield self.ids
        if self.edges is not None:
            yield self.src
            yield self.dst


def read_contents(manifests: Mapping[str, Json], problems: list[str]) -> Contents | None:
    """Read contents from manifests of the right shape; None when a value cannot be used."""
    errors: list[str] = []
    bits = _read_settings(manifests, errors)
    if not errors:
        errors.extend(_check_rows(manifests, *bits))
    problems.extend(errors)
    return None if errors else _make_contents(manifests, *bits)


def _read_settings(
    manifests: Mapping[str, Json], problems: list[str]
) -> tuple[int | None, int | None]:
    """Return the bits of obs and of genes; report settings that the format does not have."""
    identity, var = manifests[fmt.IDENTITY], manifests.get(fmt.VAR_MANIFEST, {})
    settings, dims = identity["export_settings"], identity["embeddings"]["available_dimensions"]
    bits = (settings["obs_continuous_quantization"], var.get("quantization"))
    for where, value, known in (
        (f"{fmt.IDENTITY}, obs_continuous_quantization", bits[0], (None, 8, 16)),
        (f"{fmt.VAR_MANIFEST}, quantization", bits[1], (None, 8, 16)),
        (f"{fmt.IDENTITY}, compression", settings["compression"], (None, *range(10))),
        (
            f"{fmt.IDENTITY}, obs_categorical_dtype",
            settings["obs_categorical_dtype"],
            ("auto", "uint8", "uint16"),
        ),
    ):
        if value not in known:
            problems.append(f"{where}: is {value!r}, none of {', '.join(map(repr, known))}")
    if not dims or dims != sorted(set(dims) & set(fmt.DIMENSIONS)):
        problems.append(f"{fmt.IDENTITY}, embeddings, available_dimensions: is {dims!r}")
    for entry in identity["embeddings"].get("sources", []):
        if entry["dimension"] not in fmt.DIMENSIONS:
            where = f"{fmt.IDENTITY}, embeddings, sources, {entry['id']!r}"
            problems.append(f"{where}: {entry['dimension']} is not a number of dimensions")
    return bits


def _check_rows(
    manifests: Mapping[str, Json], obs_bits: int | None, var_bits: int | None
) -> Iterator[str]:
    """Find rows that do not have the shape that the settings require."""
    identity, obs = manifests[fmt.IDENTITY], manifests[fmt.OBS_MANIFEST]
    closed = is_native(identity)
    span = (_NUMBER, _NUMBER) if obs_bits else ()
    for key, shape in (
        ("_continuousFields", (str, *span)),
        ("_categoricalFields", (str, [str], str, int, dict, *span)),
    ):
        yield from find_misfits(obs[key], [shape], f"{fmt.OBS_MANIFEST}, {key}", closed=closed)
    for key, colors in obs.get(fmt.CATEGORY_COLORS, {}).items():
        where = f"{fmt.OBS_MANIFEST}, {fmt.CATEGORY_COLORS}, {key!r}"
        yield from find_misfits(colors, [str], where, closed=closed)
    for row in obs["_categoricalFields"]:
        centroids = row[4] if len(row) > 4 and isinstance(row[4], dict) else {}
        for dim, entries in centroids.items():
            where = f"{fmt.OBS_MANIFEST}, centroids of {row[0]!r}, {dim}"
            yield from find_misfits(entries, [CENTROID], where, closed=closed)
            if dim not in {str(d) for d in identity["embeddings"]["available_dimensions"]}:
                yield f"{where}: is not a dimension of the points"
    if fmt.VAR_MANIFEST in manifests:
        span = (_NUMBER, _NUMBER) if var_bits else ()
        fields = manifests[fmt.VAR_MANIFEST]["fields"]
        yield from find_misfits(
            fields, [(str, *span)], f"{fmt.VAR_MANIFEST}, fields", closed=closed
        )
    for name, entry in identity.get("vector_fields", {}).get("fields", {}).items():
        where = f"{fmt.IDENTITY}, vector_fields, {name!r}"
        yield from find_misfits(entry, VECTOR_FIELD, where, closed=closed)
        if fmt.safe(name) != name:
            yield f"{where}: is not a safe name"


def _make_contents(
    manifests: Mapping[str, Json], obs_bits: int | None, var_bits: int | None
) -> Contents:
    identity, obs = manifests[fmt.IDENTITY], manifests[fmt.OBS_MANIFEST]
    var, graph = manifests.get(fmt.VAR_MANIFEST), manifests.get(fmt.CONNECTIVITY_MANIFEST)
    # Several manifests state the same facts. The most frequent value is used, so that one wrong
    # number does not make every file look wrong; `find_contradictions` reports the wrong one.
    others = [manifest for name, manifest in manifests.items() if name != fmt.IDENTITY]
    counts = [m["n_points"] if "n_points" in m else m["n_cells"] for m in others]
    levels = [m["compression"] for m in (*others, identity["export_settings"])]
    level: int | None = statistics.mode(levels)
    gz = bool(level)
    dtype = identity["export_settings"]["obs_categorical_dtype"]
    fields = identity.get("vector_fields", {}).get("fields", {})
    colors = obs.get(fmt.CATEGORY_COLORS, {})
    symbols, ids = (var or {}).get(fmt.SYMBOLS), obs.get(fmt.CELL_IDS)
    points = {
        dim: fmt.Resource("points", dim=dim, gz=gz)
        for dim in identity["embeddings"]["available_dimensions"]
    }
    sources = identity["embeddings"].get("sources", [])
    of_defaults = {resource.path for resource in points.values()}
    return Contents(
        is_native=is_native(identity),
        n_cells=statistics.mode([*counts, identity["stats"]["n_cells"]]),
        compression=level,
        obs_bits=obs_bits,
        var_bits=var_bits,
        latent_key=obs["latent_key"],
        gene_id_column=var["var_gene_id_column"] if var else "index",
        quantile=obs["centroid_outlier_quantile"],
        points=points,
        additional={
            entry["id"]: fmt.Resource("embedding", fmt.safe(entry["id"]), entry["dimension"], gz=gz)
            for entry in sources
            if entry["path"] not in of_defaults
        },
        embedding_keys={
            entry["dimension"]: entry["id"] for entry in sources if entry["path"] in of_defaults
        },
        vectors={
            name: {
                dim: fmt.Resource("vectors", name, dim, gz=gz)
                for dim in entry["available_dimensions"]
            }
            for name, entry in fields.items()
        },
        continuous=[_make_values("values", row, obs_bits, gz) for row in obs["_continuousFields"]],
        categorical=[
            _make_categorical(row, dtype, obs_bits, gz, colors.get(row[0]))
            for row in obs["_categoricalFields"]
        ],
        genes=[_make_values("gene", row, var_bits, gz) for row in (var["fields"] if var else [])],
        edges=(graph["n_edges"], graph["max_neighbors"]) if graph else None,
        id_blocks=(ids["blockSize"], ids["offsets"]) if ids else None,
        colors=colors,
        symbols=(symbols["column"], symbols["names"]) if symbols else None,
    )


def _make_values(kind: fmt.Kind, row: list[Any], bits: int | None, gz: bool) -> Values:
    resource = fmt.Resource(kind, fmt.safe(row[0]), ext=fmt.value_ext(bits), gz=gz)
    return Values(row[0], resource, bits, (row[-2], row[-1]) if bits else NO_SPAN)


def _make_categorical(
    row: list[Any], dtype: str, bits: int | None, gz: bool, colors: list[str] | None
) -> CategoricalField:
    key, labels, dtype_stated, missing, centroids = row[:5]
    code = fmt.category_code(len(labels), dtype)
    return CategoricalField(
        key=key,
        labels=labels,
        code=code,
        stated_code=(dtype_stated, missing),
        resource=fmt.Resource("codes", fmt.safe(key), ext=code.ext, gz=gz),
        outliers=_make_values("outliers", [key, *row[5:]], bits, gz),
        centroids={int(dim): entries for dim, entries in centroids.items()},
        colors=colors,
    )
