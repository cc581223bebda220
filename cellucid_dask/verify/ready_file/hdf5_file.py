"""The groups and arrays of an ``.h5ad``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cellucid_dask.verify.ready_file.stored import (
    TEXT,
    UNREADABLE,
    StoredArray,
    StoredGroup,
    StoredTree,
    describe,
    errors_as_damage,
    plain,
)
from cellucid_dask.verify.source_data.chunks import count_chunks


@contextmanager
def open_hdf5_tree(path: Path) -> Iterator[StoredTree]:
    """Open a file of HDF5, and list what is in it.

    Raises
    ------
    DamagedError
        When HDF5 cannot open it.
    """
    with errors_as_damage(path.name):
        file = _open(path)
    with file:
        tree = StoredTree("h5ad")
        _add(tree, "", file)
        yield tree


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, locking=False)
    except OSError:  # an open file keeps its mode of locking
        return h5py.File(path)


def _add(tree: StoredTree, path: str, element: Any) -> None:
    """Add an element and all that is in it."""
    try:
        attributes = {name: plain(value) for name, value in element.attrs.items()}
        if not isinstance(element, h5py.Dataset):
            tree.nodes[path] = StoredGroup(path, attributes)
        else:
            tree.nodes[path] = _describe_dataset(path, element, attributes)
            tree.missing.extend(_find_missing_chunks(path, element))
    except UNREADABLE as error:
        tree.problems.append(f"{path or '/'}: cannot be read ({describe(error)})")
        return
    if not isinstance(element, h5py.Dataset):
        for name in element:
            _add_member(tree, f"{path}/{name}".lstrip("/"), element, name)


def _add_member(tree: StoredTree, path: str, group: Any, name: str) -> None:
    try:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            tree.problems.append(f"{path}: is a link")
            return
        member = group[name]
    except UNREADABLE as error:
        tree.problems.append(f"{path}: cannot be read ({describe(error)})")
        return
    _add(tree, path, member)


def _describe_dataset(path: str, dataset: h5py.Dataset, attributes: Any) -> StoredArray:
    text = h5py.check_string_dtype(dataset.dtype)
    is_text = text is not None and text.length is None and text.encoding == "utf-8"
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(i) for i in range(settings.get_nfilters())]
    return StoredArray(
        path=path,
        attributes=attributes,
        shape=dataset.shape if dataset.shape is not None else (-1,),
        dtype=TEXT if is_text else np.dtype(dataset.dtype).str,
        chunks=dataset.chunks,
        coding={"filters": [[number, list(values)] for number, _, values, _ in filters]},
        open_values=(lambda: dataset.asstr()) if is_text else partial(_itself, dataset),
    )


def _itself(dataset: h5py.Dataset) -> h5py.Dataset:
    return dataset


def _find_missing_chunks(path: str, dataset: h5py.Dataset) -> Iterator[str]:
    for chunks in count_chunks(dataset, path) if dataset.shape else ():
        if chunks.missing:
            yield f"{path}: {chunks.missing:,} of {chunks.total:,} chunks are missing"
