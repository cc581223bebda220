"""MuData files as muon writes them, without muon."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import zarr

HEADER = b"MuData (format-version=0.1.0;creator=muon;creator-version=0.1.6)"


def write_mudata(
    path: Path,
    modalities: Mapping[str, anndata.AnnData],
    obs: pd.DataFrame,
    *,
    obsm: Mapping[str, Any] | None = None,
    obsp: Mapping[str, Any] | None = None,
    positions: Mapping[str, Any] | None = None,
    uns: Mapping[str, Any] | None = None,
) -> Path:
    """Write an ``.h5mu``, a ``.zarr`` folder or a ``.zarr.zip``, by the ending of `path`.

    Parameters
    ----------
    obs, obsm, obsp, uns
        Of the MuData as a whole; masks of the modalities are added to obsm.
    positions
        What obsmap says of each modality; None for what it should say.
    """
    masks = {name: obs.index.isin(adata.obs_names) for name, adata in modalities.items()}
    if positions is None:
        positions = {
            name: (adata.obs_names.get_indexer(obs.index) + 1).astype(np.uint32)
            for name, adata in modalities.items()
        }
    parts = {
        "obs": obs,
        "var": pd.DataFrame(index=[name for a in modalities.values() for name in a.var_names]),
        "obsm": {**(obsm or {}), **masks},
        "obsp": dict(obsp or {}),
        "obsmap": dict(positions),
        "uns": dict(uns or {}),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".h5mu":
            with h5py.File(path, "w", userblock_size=512) as file:
                _fill(file, modalities, parts)
            with path.open("r+b") as raw:
                raw.write(HEADER)
        elif path.suffix == ".zip":
            with closing(zarr.storage.ZipStore(path, mode="w")) as store:
                _fill(zarr.open_group(store, mode="w", zarr_format=3), modalities, parts)
        else:
            _fill(zarr.open_group(path, mode="w", zarr_format=2), modalities, parts)
    return path


def _fill(root: Any, modalities: Mapping[str, anndata.AnnData], parts: dict[str, Any]) -> None:
    root.attrs.update({"encoding-type": "MuData", "encoding-version": "0.1.0", "axis": 0})
    group = root.create_group("mod")
    group.attrs["mod-order"] = list(modalities)
    for name, adata in modalities.items():
        anndata.io.write_elem(group, name, adata)
    for name, part in parts.items():
        anndata.io.write_elem(root, name, part)
