"""zarr and anndata open every store over HTTP, as any program in Python can."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pytest
import zarr
from served_cases import Lineup, in_folder, some
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


def _read_group(root: zarr.Group) -> Tree:
    tree = {"": make_node(root.attrs.asdict())}
    for path, member in root.members(max_depth=None):
        values = None
        if isinstance(member, zarr.Array):
            values = np.asarray(member[...])
            values = values.astype(object) if values.dtype.kind in "OTU" else values
        tree[path] = make_node(member.attrs.asdict(), values)
    return tree
