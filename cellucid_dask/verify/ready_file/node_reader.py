"""Checks of single groups and arrays: they are there, and encoded and stored as they should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cellucid_dask.verify.ready_file.contract import Role, find_misfits
from cellucid_dask.verify.ready_file.stored import TEXT, StoredArray, StoredGroup, StoredTree


class NodeReader:
    """Gives out the groups and arrays of a file that are right, and collects `problems`."""

    def __init__(self, tree: StoredTree) -> None:
        self.tree = tree
        self.problems: list[str] = []
        self._known: set[str] = set()

    def take_dict(self, path: str) -> bool:
        """Check a group of named elements."""
        return self.take_group(path, encoding("dict", "0.1.0")) is not None

    def take_group(
        self, path: str, attributes: dict[str, Any], *, open_: bool = False
    ) -> StoredGroup | None:
        """Check a group; it has exactly these attributes, or, if open, at least these."""
        self._known.add(path)
        node = self.tree.nodes.get(path)
        if not isinstance(node, StoredGroup):
            what = "is missing" if node is None else "is an array, not a group"
            self.problems.append(f"{path or '/'}: {what}")
            return None
        self._check_attributes(path, node.attributes, attributes, open_=open_)
        return node

    def take_array(
        self,
        path: str,
        role: Role,
        length: int | None,
        dtypes: Sequence[str],
        kind: str = "",
        *,
        n_axes: int = 1,
    ) -> StoredArray | None:
        """Check an array; None if its values cannot be what they should."""
        self._known.add(path)
        node = self.tree.nodes.get(path)
        if not isinstance(node, StoredArray):
            what = "is missing" if node is None else "is a group, not an array"
            self.problems.append(f"{path}: {what}")
            return None
        self._check_attributes(path, node.attributes, encoding(kind) if kind else {})
        if node.dtype not in dtypes:
            wanted = " or ".join(_name_of(dtype) for dtype in dtypes)
            self.problems.append(f"{path}: is of type {_name_of(node.dtype)}, not {wanted}")
            return None
        if len(node.shape) != n_axes or min(node.shape, default=0) < 0:
            self.problems.append(f"{path}: has the shape {format_shape(node.shape)}")
            return None
        if length is not None and node.shape != (length,):
            self.problems.append(f"{path}: has {node.shape[0]} values, not {length}")
            return None
        self.problems += find_misfits(self.tree.container, node, role)
        return node

    def _check_attributes(
        self, path: str, stored: Any, expected: dict[str, Any], *, open_: bool = False
    ) -> None:
        for name in expected.keys() | (set() if open_ else stored.keys()):
            value, wanted = stored.get(name), expected.get(name)
            if value != wanted or type(value) is not type(wanted):
                what = f"the attribute {name!r} is {value!r}, not {wanted!r}"
                self.problems.append(f"{path or '/'}: {what}")

    def skip(self, path: str) -> None:
        """Let what lies in an element that cannot be read be no problem of its own."""
        self._known |= {key for key in self.tree.nodes if f"{key}/".startswith(f"{path}/")}

    def find_unknown(self) -> Iterator[str]:
        """Find what is in the file and was not asked for."""
        unknown = [path for path in self.tree.nodes if path not in self._known]
        for path in unknown:
            if path.rpartition("/")[0] not in unknown:
                yield f"{path}: is not an element of a ready file"


def encoding(kind: str, version: str = "0.2.0") -> dict[str, Any]:
    """Return the attributes that say how anndata encodes an element."""
    return {"encoding-type": kind, "encoding-version": version}


def format_shape(shape: Sequence[int]) -> str:
    """Return a shape as people write it."""
    return " x ".join(map(str, shape)) or "of a scalar"


def _name_of(dtype: str) -> str:
    if dtype == TEXT:
        return "text"
    try:
        return np.dtype(dtype).name
    except TypeError:
        return dtype
