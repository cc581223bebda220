"""Ready files of every container hold what was put in, for anndata, h5py and zarr."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packs import CONTAINERS, Values, arrays_of, cut, write_container
from ready_data import annotated_data, assert_same_data, stored

from cellucid_dask.ready.nodes import Node


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Groups and arrays of a ready file, by h5py or zarr."""
    if path.suffix == ".h5ad":
        with h5py.File(path) as file:
            yield file
    elif path.suffix == ".zip":
        with zarr.storage.ZipStore(path, mode="r") as store:
            yield zarr.open_group(store, mode="r")
    else:
        yield zarr.open_group(path, mode="r", use_consolidated=True)


def read(path: Path) -> ad.AnnData:
    """By anndata, which must not warn."""
    if path.suffix == ".h5ad":
        return ad.read_h5ad(path)
    if path.suffix == ".zip":
        with zarr.storage.ZipStore(path, mode="r") as store:
            return ad.read_zarr(store)
    return ad.read_zarr(path)


def assert_stored(root: Any, nodes: list[Node], values: Values) -> None:
    """Every attribute, dtype, shape and value, and nothing besides."""
    for node in nodes:
        found = root[node.path] if node.path else root
        attributes = {key: _plain(value) for key, value in found.attrs.items()}
        assert attributes == {key: _plain(value) for key, value in node.attributes.items()}
    for node in arrays_of(nodes):
        found = root[node.path]
        assert found.shape == node.shape
        if not node.is_text:
            assert found.dtype == node.dtype
        read = found.asstr()[()] if isinstance(found, h5py.Dataset) and node.is_text else found[()]
        np.testing.assert_array_equal(read, np.asarray(values[node.path], dtype=read_dtype(node)))


def read_dtype(node: Any) -> Any:
    return object if node.is_text else node.dtype


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


@pytest.mark.parametrize("container", CONTAINERS)
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(adata=annotated_data(), length=st.sampled_from([1, 2, 3, 1 << 18]))
def test_what_is_written_is_read(container: str, adata: ad.AnnData, length: int) -> None:
    layout, values = stored(adata)
    nodes = cut(layout.nodes(), length)
    with tempfile.TemporaryDirectory() as folder:
        path = write_container(container, nodes, values, Path(folder))
        with opened(path) as root:
            assert_stored(root, nodes, values)
        assert_same_data(read(path), adata)
