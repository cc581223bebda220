"""Manifests of an export, from receipts alone: none can name what was not written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from zlib_ng import zlib_ng

from cellucid_dask import format as fmt
from cellucid_dask.exporter.checks.obs import ObsField
from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.exporter.receipts import ColumnSummary, Edges
from cellucid_dask.files import Receipt, write_atomically
from cellucid_dask.options.export import ExportOptions


def save(folder: Path, name: str, payload: Mapping[str, Any]) -> Receipt:
    """Write one manifest."""
    text, receipt = encoded(name, payload)
    write_atomically(folder / name, [text])
    return receipt


def encoded(
    name: str, payload: Mapping[str, Any], *, pretty: bool = False
) -> tuple[bytes, Receipt]:
    """Bytes of a manifest, and the receipt it will have."""
    text = fmt.dumps(payload, pretty=pretty).encode()
    return text, Receipt(name, len(text), zlib_ng.crc32(text))


def obs_manifest(
    catalog: Catalog,
    options: ExportOptions,
    receipts: Mapping[str, Receipt],
    summaries: Mapping[str, ColumnSummary],
    latent: str,
    cell_ids: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """``obs_manifest.json``.

    Parameters
    ----------
    receipts
        Of the values or codes of each column.
    summaries
        Centroids and outlier quantiles by column. A column that is not in it has neither centroids
        nor a range of the quantiles in the manifest.
    cell_ids
        Where the ids of cells are; None without.
    """
    quantized = options.obs_quantization is not None
    continuous, categorical = [], []
    for column in catalog.obs:
        receipt = receipts[column.key]
        if column.code is None:
            continuous.append([column.key, *_range(receipt, quantized=quantized)])
            continue
        entry = [column.key, list(column.categories), column.code.dtype, column.code.missing]
        summary = summaries.get(column.key)
        if summary is None:
            categorical.append([*entry, {}])
            continue
        centroids = _centroids(column, summary.centroids, sorted(catalog.boxes))
        categorical.append([*entry, centroids, *_range(summary.outliers, quantized=quantized)])
    return fmt.obs_manifest(
        n_cells=catalog.n_cells,
        centroid_quantile=options.centroid_quantile,
        latent_key=latent,
        compression=options.compression,
        bits=options.obs_quantization,
        continuous=continuous,
        categorical=categorical,
        colors={column.key: column.colors for column in catalog.obs if column.colors},
        cell_ids=cell_ids,
    )


def _range(receipt: Receipt | None, *, quantized: bool) -> list[float]:
    if not quantized or receipt is None or receipt.span is None:
        return []
    return [receipt.span.lo, receipt.span.hi]


def _centroids(column: ObsField, path: str, dims: Sequence[int]) -> dict[str, list[Any]]:
    entries: dict[str, list[Any]] = {str(dim): [] for dim in dims}
    if not path:
        return entries
    with np.load(path) as arrays:
        for name in entries:
            counts, positions = arrays[f"n-{name}"], arrays[f"position-{name}"]
            rows = np.flatnonzero(counts)
            # 7 decimals are finer than float32 points in [-1, 1], and a third of the text.
            entries[name] = [
                {"category": column.categories[i], "position": position, "n_points": n}
                for i, position, n in zip(
                    rows.tolist(),
                    np.round(positions[rows], 7).tolist(),
                    counts[rows].tolist(),
                    strict=True,
                )
            ]
    return entries


def var_manifest(
    catalog: Catalog,
    options: ExportOptions,
    ids: Sequence[str],
    spans: Iterable[tuple[float, float]] | None,
) -> dict[str, Any]:
    """``var_manifest.json``.

    Parameters
    ----------
    spans
        Range of quantization of each gene, if genes are quantized.
    """
    symbols = None if catalog.genes is None else catalog.genes.symbols
    fields: list[list[Any]] = [[gene] for gene in ids]
    if spans is not None:
        fields = [[gene, lo, hi] for gene, (lo, hi) in zip(ids, spans, strict=True)]
    return fmt.var_manifest(
        n_cells=catalog.n_cells,
        gene_id_column=options.gene_id_column,
        compression=options.compression,
        bits=options.var_quantization,
        fields=fields,
        symbols=None if symbols is None else (symbols.column, symbols.names),
    )


def connectivity_manifest(catalog: Catalog, options: ExportOptions, edges: Edges) -> dict[str, Any]:
    """``connectivity_manifest.json``."""
    return fmt.connectivity_manifest(
        n_cells=catalog.n_cells,
        n_edges=edges.n_edges,
        max_neighbors=edges.max_neighbors,
        compression=options.compression,
    )


def _description(catalog: Catalog, options: ExportOptions) -> str:
    """What the user says of the dataset, and how many cells of the input are not in it."""
    kept = catalog.source.selection
    if kept is None:
        return options.description
    left_out = f"{kept.dropped.size} of {kept.n_stored} cells, which have no place in an embedding"
    return f"{options.description} Without {left_out}.".strip()


def identity(
    catalog: Catalog, options: ExportOptions, folder_name: str, n_genes: int, edges: Edges | None
) -> dict[str, Any]:
    """``dataset_identity.json``."""
    name = options.dataset_name or folder_name
    entries: list[dict[str, Any]] = []
    for column in catalog.obs:
        entry: dict[str, Any] = {"key": column.key, "kind": "continuous"}
        if column.code is not None:
            entry |= {"kind": "category", "n_categories": len(column.categories)}
        entries.append(entry)
    return fmt.identity(
        dataset={
            "id": options.dataset_id or fmt.safe(name),
            "name": name,
            "description": _description(catalog, options),
            "created_at": options.timestamp(),
        },
        version=version("cellucid-dask"),
        stats={
            "n_cells": catalog.n_cells,
            "n_genes": n_genes,
            "n_edges": None if edges is None else edges.n_edges,
        },
        embeddings=fmt.embeddings_entry(
            catalog.found.embeddings,
            catalog.found.additional,
            options.compression,
            catalog.found.resolution,
        ),
        obs_fields=entries,
        settings={
            "compression": options.compression or None,
            "var_quantization": options.var_quantization,
            "obs_continuous_quantization": options.obs_quantization,
            "obs_categorical_dtype": options.categorical_dtype,
        },
        source=options.source(),
        vector_fields=fmt.vector_fields_entry(
            {name: list(dims) for name, dims in catalog.found.vectors.items()},
            options.compression,
        ),
    )
