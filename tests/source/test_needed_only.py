"""Only what is read can refuse a zarr store, also where the installed zarr is too old for it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import anndata
import pytest
from atlas import STAMP, atlas, here, save, tree
from serving import Client, serving

# What anndata 0.13 writes for uns/rank_genes_groups/scores of scanpy, which zarr 3.1 cannot read.
RECORDS = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [1],
    "data_type": {
        "name": "struct",
        "configuration": {
            "fields": [
                {"name": "B cell", "data_type": "float32"},
                {"name": "T cell", "data_type": "float32"},
            ]
        },
    },
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "fill_value": {"B cell": 0.0, "T cell": 0.0},
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    "attributes": {"encoding-type": "rec-array", "encoding-version": "0.2.0"},
    "storage_transformers": [],
}
GROUP = {"attributes": {}, "zarr_format": 3, "node_type": "group"}
UNKNOWN = RECORDS | {"data_type": "float256"}  # which no zarr knows


def write_format_3(path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with anndata.settings.override(zarr_write_format=3):
            return save(atlas(), path)


def add(path: Path, key: str, node: dict[str, Any]) -> None:
    """Put the metadata of `key` where it belongs, and into the consolidated metadata."""
    root = json.loads((path / "zarr.json").read_text())
    consolidated = root["consolidated_metadata"]["metadata"]
    parts = key.split("/")
    for depth in range(1, len(parts)):
        parent = "/".join(parts[:depth])
        if not (path / parent / "zarr.json").exists():
            (path / parent).mkdir(parents=True, exist_ok=True)
            (path / parent / "zarr.json").write_text(json.dumps(GROUP))
            consolidated[parent] = GROUP
    (path / key).mkdir(parents=True, exist_ok=True)
    (path / key / "zarr.json").write_text(json.dumps(node))
    consolidated[key] = node
    (path / "zarr.json").write_text(json.dumps(root))


def plain(path: Path) -> None:
    """Take the consolidated metadata away."""
    root = json.loads((path / "zarr.json").read_text())
    del root["consolidated_metadata"]
    (path / "zarr.json").write_text(json.dumps(root))


@pytest.mark.parametrize("consolidated", [True, False])
def test_records_in_uns_are_passed_over(tmp_path: Path, capfd: Any, consolidated: bool) -> None:
    path = write_format_3(tmp_path / "a.zarr")
    assert export_to(tmp_path / "before", path, capfd) == 0
    for key, node in (("scores", RECORDS), ("later", UNKNOWN)):
        add(path, f"uns/rank_genes_groups/{key}", node)
    add(path, "layers/later", UNKNOWN)
    if not consolidated:
        plain(path)
    assert export_to(tmp_path / "after", path, capfd) == 0
    assert tree(tmp_path / "after") == tree(tmp_path / "before")


def export_to(folder: Path, path: Path, capfd: Any) -> int:
    return here(capfd, "export", path, "-o", folder / "a", *STAMP).code


def test_what_is_asked_for_and_is_newer_than_zarr_is_called_so(tmp_path: Path, capfd: Any) -> None:
    path = write_format_3(tmp_path / "a.zarr")
    add(path, "layers/later", UNKNOWN)
    told = here(capfd, "check", path, "--layer", "later")
    assert told.code == 2
    assert "layers/later: needs a newer zarr than the installed" in told.err
    assert "install a newer zarr" in told.err
    assert "corrupt" not in told.err


def test_data_are_read_whole_without_what_is_never_shown(tmp_path: Path) -> None:
    path = write_format_3(tmp_path / "a.zarr")
    add(path, "uns/rank_genes_groups/later", UNKNOWN)
    with serving(path, cache_dir=tmp_path / "cache", backed=False) as server, Client(server) as get:
        assert get("/var/Gene1.values.f32").status == 200
