"""An AnnData as the tree of what a ready file stores of it; and the comparison of two trees.

Also the environment of the public packages runs it: it knows nothing of `cellucid_dask`, nor of the
other tests.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse


@dataclass
class Node:
    """A group or an array.

    Parameters
    ----------
    encoding
        Its ``encoding-type``; empty for the arrays of a matrix, of a column and so on.
    values
        Of an array; texts are objects.
    facts
        Other attributes that say how it is read.
    """

    encoding: str = ""
    values: Any = None
    facts: dict[str, Any] = field(default_factory=dict)


Tree = dict[str, Node]


def stored_tree(adata: AnnData) -> Tree:
    """What is stored of an AnnData in the form of ready files."""
    tree = {"": Node("anndata")}
    if adata.X is not None:
        tree |= _element("X", adata.X)
    for name in ("obs", "var"):
        tree |= dict(_table(name, getattr(adata, name)))
    for name in ("layers", "obsm", "obsp", "varm", "varp", "uns"):
        members = dict(getattr(adata, name))
        members.pop(None, None)  # the newest anndata calls X a layer too
        tree |= _element(name, members)
    if adata.raw is not None:
        tree["raw"] = Node("raw")
    return tree


def _element(path: str, value: Any) -> Tree:
    if isinstance(value, Mapping):
        tree = {path: Node("dict")}
        for key, item in value.items():
            tree |= _element(f"{path}/{key}", item)
        return tree
    if sparse.issparse(value):
        encoding = f"{value.format}_matrix"
        parts = {f"{path}/{part}": getattr(value, part) for part in ("data", "indices", "indptr")}
        whole = {path: Node(encoding, facts={"shape": list(value.shape)})}
        return whole | {key: Node(values=part) for key, part in parts.items()}
    if isinstance(value, str):
        return {path: Node("string", np.array(value, object))}
    if isinstance(value, np.ndarray) and value.ndim:
        text = value.dtype.kind in "OUT"
        values = value.astype(object) if text else value
        return {path: Node("string-array" if text else "array", values)}
    return {path: Node("numeric-scalar", np.asarray(value))}


def _table(path: str, table: pd.DataFrame) -> Iterator[tuple[str, Node]]:
    order = [str(key) for key in table.columns]
    yield path, Node("dataframe", facts={"_index": "_index", "column-order": order})
    yield f"{path}/_index", Node("string-array", _texts(table.index))
    for key in table.columns:
        yield from _column(f"{path}/{key}", table[key])


def _column(path: str, column: pd.Series) -> Iterator[tuple[str, Node]]:
    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        labels = column.cat.categories
        text = labels.dtype.kind not in "iufb"
        yield path, Node("categorical", facts={"ordered": bool(column.cat.ordered)})
        yield f"{path}/codes", Node("array", column.cat.codes.to_numpy())
        values = _texts(labels) if text else labels.to_numpy()
        yield f"{path}/categories", Node("string-array" if text else "array", values)
    elif isinstance(column.array, pd.arrays.IntegerArray | pd.arrays.BooleanArray):
        boolean = isinstance(column.array, pd.arrays.BooleanArray)
        yield path, Node("nullable-boolean" if boolean else "nullable-integer")
        values = column.array.to_numpy(dtype=kind.numpy_dtype, na_value=0)
        yield f"{path}/values", Node("array", values)
        yield f"{path}/mask", Node("array", np.asarray(column.isna()))
    elif pd.api.types.is_numeric_dtype(kind):
        yield path, Node("array", column.to_numpy())
    else:
        yield path, Node("string-array", _texts(column))


def _texts(values: Any) -> Any:
    return np.array([str(value) for value in values], object)


def tree_of_nodes(nodes: Mapping[str, Mapping[str, Any]]) -> Tree:
    """The tree that a client in JavaScript has read; see ``store_reader.mjs``."""
    tree = {}
    for path, node in nodes.items():
        values = None
        if "text" in node:
            values = np.array([*node["text"], None], object)[:-1].reshape(node["shape"])
        elif "data" in node:
            raw = base64.b64decode(node["data"])
            values = np.frombuffer(raw, node["dtype"]).reshape(node["shape"]).copy()
        tree[path] = make_node(node["attributes"], values)
    return tree


def make_node(attributes: Mapping[str, Any], values: Any = None) -> Node:
    """Make a node of the attributes that are stored with it."""
    facts = dict(attributes)
    facts.pop("encoding-version", None)
    if "ordered" in facts:
        facts["ordered"] = bool(facts["ordered"])
    return Node(facts.pop("encoding-type", ""), values, facts)


def pack_tree(tree: Tree) -> dict[str, Any]:
    """A tree as JSON can hold it, for `tree_of_nodes`."""
    packed = {}
    for path, node in tree.items():
        packed[path] = {"attributes": {"encoding-type": node.encoding, **node.facts}}
        if node.values is not None:
            values = np.asarray(node.values)
            packed[path]["shape"] = list(values.shape)
            if values.dtype.kind == "O":
                packed[path]["text"] = values.ravel().tolist()
            else:
                raw = np.ascontiguousarray(values).tobytes()
                packed[path] |= {"dtype": values.dtype.str, "data": base64.b64encode(raw).decode()}
    return packed


def find_differences(found: Tree, wanted: Tree) -> list[str]:
    """Lines on everything in which two trees differ."""
    lines = [f"{path}: is not wanted" for path in found.keys() - wanted.keys()]
    for path, node in wanted.items():
        if path not in found:
            lines.append(f"{path}: is missing")
            continue
        other = found[path]
        if (other.encoding, other.facts) != (node.encoding, node.facts):
            lines.append(
                f"{path}: {other.encoding} {other.facts}, not {node.encoding} {node.facts}"
            )
        values, truth = other.values, node.values
        if f"{path.rpartition('/')[0]}/mask" in wanted and path.endswith("/values"):
            masked = wanted[f"{path.rpartition('/')[0]}/mask"].values
            values, truth = (
                np.where(masked, array.dtype.type(0), array) for array in (values, truth)
            )
        if problem := _compare(values, truth):
            lines.append(f"{path}: {problem}")
    return sorted(lines)


def _compare(found: Any, wanted: Any) -> str:
    if found is None or wanted is None:
        return "" if found is wanted else "one is an array"
    if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
        return f"{found.dtype} {found.shape}, not {wanted.dtype} {wanted.shape}"
    if found.dtype.kind == "f":
        unsigned = f"u{found.dtype.itemsize}"
        bits = np.ascontiguousarray(found), np.ascontiguousarray(wanted)
        same = bits[0].view(unsigned) == bits[1].view(unsigned)
        same |= np.isnan(found) & np.isnan(wanted)
    else:
        same = np.asarray(found == wanted)
    return "" if same.all() else f"{int((~same).sum())} of {same.size} values differ"
