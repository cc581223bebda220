"""The names of files, and of what is in them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

IDENTITY: Final = "dataset_identity.json"
OBS_MANIFEST: Final = "obs_manifest.json"
VAR_MANIFEST: Final = "var_manifest.json"
CONNECTIVITY_MANIFEST: Final = "connectivity_manifest.json"
MANIFESTS: Final = (IDENTITY, OBS_MANIFEST, VAR_MANIFEST, CONNECTIVITY_MANIFEST)
CHECKSUMS: Final = "checksums.json"
DATASETS: Final = "datasets.json"
DIMENSIONS: Final = (1, 2, 3)
# Characters of a safe name: those of a file name, without its ending and that of unfinished files.
LONGEST_NAME: Final = 255 - len(".outliers.u16.gz") - 20
# Columns of var with other names of genes, in upper or lower case: the first that is there counts.
SYMBOL_COLUMNS: Final = (
    *("feature_name", "gene_symbols", "gene_symbol", "gene_short_name", "gene_name", "gene_names"),
    *("symbol", "symbols", "hgnc_symbol"),
)
ID_COLUMNS: Final = ("gene_ids", "ensembl_id", "feature_id")

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
