"""The identity of an export: what the dataset is, and which embeddings and vectors it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cellucid_dask.format.names import safe, vector_label
from cellucid_dask.format.paths import Resource


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
