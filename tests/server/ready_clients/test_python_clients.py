"""zarr and anndata open every store over HTTP, as any program in Python can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import zarr
from ready_inputs import IDENTITY, INPUTS
from ready_sides import save
from served_cases import Case, Lineup, in_folder, some
from serving import Served as Command
from serving import ask
from stored_tree import Tree, make_node, stored_tree


@pytest.mark.parametrize("case", [*filter(in_folder, some(0))], ids=str)
def test_zarr_opens_the_url(case: Any, served: Lineup) -> None:
    store = served(case)
    store.assert_found(_read_group(zarr.open_group(store.url, mode="r", use_consolidated=True)))


@pytest.mark.parametrize("case", [*filter(in_folder, some(1))], ids=str)
def test_anndata_reads_the_url_through_fsspec(case: Any, served: Lineup) -> None:
    store = served(case)
    place = zarr.storage.FsspecStore.from_url(store.url, read_only=True)
    store.assert_found(stored_tree(ad.read_zarr(place)))


def test_the_command_serves_any_file_to_the_same_clients(served: Lineup, tmp_path: Path) -> None:
    case = Case("columns", "h5ad")
    data = save(INPUTS[case.name].make(), tmp_path / "a.h5ad")
    named = ["--dataset-id", IDENTITY["dataset_id"], "--dataset-name", IDENTITY["dataset_name"]]
    ready = ["--protocol", "ready", "--cache-dir", tmp_path / "cache", "--port", 0]
    with Command(data, *ready, *named, folder=tmp_path) as command:
        home = f"http://127.0.0.1:{command.port}/"
        (dataset,) = json.loads(ask(command.port, "/_cellucid/datasets").body)["datasets"]
        place = zarr.storage.FsspecStore.from_url(home + dataset["anndata"]["file"]["url"])
        served(case).assert_found(stored_tree(ad.read_zarr(place)))


def _read_group(root: zarr.Group) -> Tree:
    tree = {"": make_node(root.attrs.asdict())}
    for path, member in root.members(max_depth=None):
        values = None
        if isinstance(member, zarr.Array):
            values = np.asarray(member[...])
            values = values.astype(object) if values.dtype.kind in "OTU" else values
        tree[path] = make_node(member.attrs.asdict(), values)
    return tree
