"""The same ready files by both programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
from ready_inputs import INPUTS
from ready_oracle import ReadyOracle

import cellucid_dask

FORMATS = (  # name of a file, format, version of zarr
    ("atlas.h5ad", "h5ad", None),
    ("two.zarr", "zarr", 2),
    ("three.zarr", "zarr", 3),
    ("two.zarr.zip", "zarr.zip", 2),
    ("three.zarr.zip", "zarr.zip", 3),
)
Formats = Sequence[tuple[str, str, int | None]]
NAMES = {  # of options of the oracle, as `export` calls them
    "dataset_description": "description",
    "citation_text": "citation",
    "gene_identifiers": "genes",
    "var_gene_id_column": "gene_id_column",
}


def formats_of(name: str) -> Formats:
    """Formats in which an input of `INPUTS` is compared.

    Each is an HDF5 file, both versions of zarr, a folder and an archive. Which version the archive
    has alternates: what an archive does to a store does not depend on the input.
    """
    version = list(INPUTS).index(name) % 2
    return [FORMATS[0], FORMATS[1 + version], FORMATS[4 - version]]


def write_theirs(
    oracle: ReadyOracle,
    data: Path,
    folder: Path,
    options: Mapping[str, Any],
    formats: Formats = FORMATS,
) -> dict[str, Path]:
    """Write ready files with the oracle."""
    folder.mkdir()
    files = [(folder / name, kind, version) for name, kind, version in formats]
    oracle.prepare(data, files, **options)
    return {path.name: path for path, _, _ in files}


def write_ours(
    data: Path, folder: Path, options: Mapping[str, Any], formats: Formats = FORMATS
) -> dict[str, Path]:
    """Write ready files with `export`."""
    folder.mkdir()
    given = {NAMES.get(name, name): value for name, value in options.items()}
    made = {}
    for name, kind, version in formats:
        made[name] = folder / name
        more = {} if version is None else {"zarr_format": version}
        cellucid_dask.export(data, made[name], format=kind, quiet=True, workers=1, **more, **given)
    return made


def save(adata: ad.AnnData, path: Path) -> Path:
    """Write an AnnData as it is: its untidy matrix, its texts as texts."""
    with ad.settings.override(allow_write_nullable_strings=True):
        adata.write_h5ad(path, convert_strings_to_categoricals=False)
    return path


def defaults_of(path: Path) -> dict[str, Any]:
    """Options of the oracle for the defaults that a ready ``.h5ad`` of ours has."""
    with h5py.File(path) as file:
        record = ad.io.read_elem(file["uns/cellucid"])
    found = dict(record.get("defaults", {}))
    embeddings = {
        key.removeprefix("embedding"): _embedding(value)
        for key, value in found.items()
        if key.startswith("embedding")
    }
    given = {"embedding_defaults": embeddings} if embeddings else {}
    if "obsKeys" in found:
        given["obs_keys"] = [str(key) for key in found["obsKeys"]]
    for key, name in (("latentKey", "latent_key"), ("geneIdColumn", "var_gene_id_column")):
        if key in found:
            given[name] = str(found[key])
    return given


def _embedding(value: Any) -> Any:
    return value if isinstance(value, str) else (value["key"], value["columns"].tolist())
