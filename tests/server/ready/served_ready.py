"""Ready files of every kind, and what a server of the public app says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from live_inputs import rich
from oracle import silent
from serving import ask

from cellucid_dask import export

KINDS: dict[str, dict[str, Any]] = {
    "any.h5ad": {"format": "h5ad"},
    "two.zarr": {"format": "zarr"},
    "three.zarr": {"format": "zarr", "zarr_format": 3},
    "shards.zarr": {"format": "zarr", "zarr_format": 3, "shards": True},
    "two.zarr.zip": {"format": "zarr.zip"},
    "three.zarr.zip": {"format": "zarr.zip", "zarr_format": 3},
}
NAMED = {"dataset_id": "an-atlas.1", "dataset_name": "An atlas"}
READY: dict[str, Any] = {"protocol": "ready", "viewer": "none"}
ROOTS = {"two.zarr": ".zmetadata", "three.zarr": "zarr.json"}  # consolidated documents
N_CELLS, N_GENES = 220, 14


def write_ready(path: Path, kind: str, **options: Any) -> Path:
    """Write the ready file of an atlas."""
    data = path.parent / f"{path.name}-data.h5ad"
    silent(rich().write_h5ad, data)
    export(data, path, quiet=True, workers=1, **KINDS[kind], **{**NAMED, **options})
    return path


def dataset(server: Any) -> dict[str, Any]:
    """The one entry of ``/_cellucid/datasets``."""
    (entry,) = json.loads(ask(server, "/_cellucid/datasets").body)["datasets"]
    return dict(entry)


def store_url(server: Any) -> str:
    """Path of the store that the server names."""
    return "/" + str(dataset(server)["anndata"]["file"]["url"])


def forget(folder: Path) -> None:
    """Leave the consolidated metadata of a store out."""
    (folder / ".zmetadata").unlink(missing_ok=True)
    if (folder / "zarr.json").exists():
        document = json.loads((folder / "zarr.json").read_bytes())
        del document["consolidated_metadata"]
        (folder / "zarr.json").write_text(json.dumps(document))
