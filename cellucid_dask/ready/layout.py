"""Which groups and arrays a ready file has, in the order in which an h5ad declares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from cellucid_dask.ready.facts import GRAPH, SLICED, TEXT, WHOLE, encoding
from cellucid_dask.ready.nodes import ArrayNode, GroupNode, Node

ColumnKind = Literal["categorical", "array", "nullable-integer", "nullable-boolean", "text"]


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """How a column of obs or var is stored.

    Parameters
    ----------
    key
        Name of the column.
    kind
        ``array`` for numbers and truth values, ``text`` for unique texts.
    dtype
        Of the values, or of the codes of a categorical; `TEXT` of texts.
    ordered, category_dtype, n_categories
        Of a categorical.
    """

    key: str
    kind: ColumnKind
    dtype: str
    ordered: bool = False
    category_dtype: str = TEXT
    n_categories: int = 0


@dataclass(frozen=True, slots=True)
class MatrixLayout:
    """How a matrix is stored.

    Parameters
    ----------
    shape
        (n_rows, n_columns).
    dtype
        Of the values.
    nnz
        Stored values; None of a dense one.
    fast
        As of `ArrayNode`, of its values, indices and pointers.
    """

    shape: tuple[int, int]
    dtype: str
    nnz: int | None
    fast: bool = False


@dataclass(frozen=True, slots=True)
class ReadyLayout:
    """What a ready file holds.

    Parameters
    ----------
    uns
        ``title`` and ``cellucid`` with all that is known before any value is read: text, whole
        numbers, truth values, lists of text, int64 arrays, and dicts of them. Outlier quantiles
        are under ``cellucid``, ``outlierQuantiles``, ``fields``: None for each column.
    obsm
        Columns of each array, vector fields included.
    x, graph
        None without them.
    """

    n_cells: int
    n_genes: int
    uns: Mapping[str, Any]
    var: Sequence[ColumnLayout] = ()
    obs: Sequence[ColumnLayout] = ()
    obsm: Mapping[str, int] = field(default_factory=dict)
    x: MatrixLayout | None = None
    graph: MatrixLayout | None = None

    def nodes(self) -> list[Node]:
        """All groups and arrays; those of opening are marked."""
        made: list[Node] = [GroupNode("", encoding("anndata", "0.1.0"))]
        made += uns_nodes("uns", self.uns, self.n_cells)
        made += table_nodes("var", self.n_genes, self.var, index_opens=True)
        x = self.x
        if x is not None and x.nnz is not None:
            made += pointer_nodes("X", "csc_matrix", x, x.shape[1], opening=True)
        made += table_nodes("obs", self.n_cells, self.obs, categories_open=True)
        made.append(dict_node("obsm"))
        made += [rows_node(f"obsm/{key}", (self.n_cells, n)) for key, n in self.obsm.items()]
        made.append(dict_node("obsp"))
        if self.graph is not None:
            path = f"obsp/{GRAPH}"
            made += pointer_nodes(path, "csr_matrix", self.graph, self.n_cells)
            made += entry_nodes(path, self.graph, self.n_cells)
        made += map(dict_node, ("varm", "varp", "layers"))
        if x is not None:
            made += entry_nodes("X", x, x.shape[0]) if x.nnz is not None else [dense_node("X", x)]
        return made

    def arrays(self) -> dict[str, ArrayNode]:
        """All arrays by their path."""
        return {node.path: node for node in self.nodes() if isinstance(node, ArrayNode)}


def dict_node(path: str) -> GroupNode:
    """A group of named elements."""
    return GroupNode(path, encoding("dict", "0.1.0"))


def vector_node(path: str, n: int, dtype: str, *, opening: bool = False) -> ArrayNode:
    """An array of one axis that is read whole, as an element of its own."""
    kind = encoding("string-array" if dtype == TEXT else "array")
    chunks = (max(1, min(n, WHOLE)),)
    return ArrayNode(path, (n,), dtype, chunks, kind, shuffle=_is_wide(dtype), opening=opening)


def rows_node(path: str, shape: tuple[int, int]) -> ArrayNode:
    """A float32 array of two axes that is read by rows."""
    rows, width = shape[0], max(1, shape[1])
    chunks = (max(1, min(rows, WHOLE // width)), width)
    return ArrayNode(path, shape, "<f4", chunks, encoding("array"), shuffle=True)


def dense_node(path: str, matrix: MatrixLayout) -> ArrayNode:
    """A dense matrix that is read by columns."""
    rows = max(1, min(matrix.shape[0], WHOLE))
    chunks = (rows, max(1, min(matrix.shape[1], WHOLE // rows)))
    kind = encoding("array")
    return ArrayNode(path, matrix.shape, matrix.dtype, chunks, kind, fast=matrix.fast)


def pointer_nodes(
    path: str, kind: str, matrix: MatrixLayout, n: int, *, opening: bool = False
) -> list[Node]:
    """The group of a sparse matrix with `n` rows or columns along its stored axis, and indptr."""
    assert matrix.nnz is not None
    attributes = {**encoding(kind, "0.1.0"), "shape": [int(i) for i in matrix.shape]}
    dtype = "<i4" if matrix.nnz < 1 << 31 else "<i8"
    chunks = (max(1, min(n + 1, WHOLE)),)
    how: dict[str, Any] = {"shuffle": True, "opening": opening, "fast": matrix.fast}
    return [
        GroupNode(path, attributes),
        ArrayNode(f"{path}/indptr", (n + 1,), dtype, chunks, **how),
    ]


def entry_nodes(path: str, matrix: MatrixLayout, n_minor: int) -> list[Node]:
    """data and indices of a sparse matrix; `n_minor` is the length of the axis they index."""
    assert matrix.nnz is not None
    expression = path == "X"
    chunks = (max(1, min(matrix.nnz, SLICED if expression else WHOLE)),)
    dtype = "<i4" if n_minor < 1 << 31 else "<i8"
    shape, fast = (matrix.nnz,), matrix.fast
    return [
        ArrayNode(f"{path}/data", shape, matrix.dtype, chunks, shuffle=not expression, fast=fast),
        ArrayNode(f"{path}/indices", shape, dtype, chunks, shuffle=True, fast=fast),
    ]


def table_nodes(
    path: str,
    n: int,
    columns: Sequence[ColumnLayout],
    *,
    index_opens: bool = False,
    categories_open: bool = False,
) -> list[Node]:
    """A table of `n` rows."""
    order = [column.key for column in columns]
    attributes = {**encoding("dataframe"), "_index": "_index", "column-order": order}
    made: list[Node] = [
        GroupNode(path, attributes),
        vector_node(f"{path}/_index", n, TEXT, opening=index_opens),
    ]
    for column in columns:
        made += column_nodes(f"{path}/{column.key}", n, column, categories_open=categories_open)
    return made


def column_nodes(path: str, n: int, column: ColumnLayout, *, categories_open: bool) -> list[Node]:
    """A column of `n` rows."""
    if column.kind == "categorical":
        group = GroupNode(path, {**encoding("categorical"), "ordered": column.ordered})
        codes = vector_node(f"{path}/codes", n, column.dtype)
        values = vector_node(
            f"{path}/categories",
            column.n_categories,
            column.category_dtype,
            opening=categories_open,
        )
        return [group, codes, values]
    if column.kind.startswith("nullable"):
        group = GroupNode(path, encoding(column.kind, "0.1.0"))
        values = vector_node(f"{path}/values", n, column.dtype)
        return [group, values, vector_node(f"{path}/mask", n, "|b1")]
    return [vector_node(path, n, column.dtype)]


def uns_nodes(path: str, value: Any, n_cells: int, *, opening: bool = True) -> list[Node]:
    """``uns`` and all that is in it; opening reads all but the outlier quantiles."""
    if isinstance(value, Mapping):
        opening = opening and path != "uns/cellucid/outlierQuantiles"
        made: list[Node] = [dict_node(path)]
        for name, item in value.items():
            made += uns_nodes(f"{path}/{name}", item, n_cells, opening=opening)
        return made
    if value is None:  # outlier quantiles of a column
        return [vector_node(path, n_cells, "<f4")]
    if isinstance(value, list | tuple):
        return [vector_node(path, len(value), TEXT, opening=opening)]
    if isinstance(value, np.ndarray):
        return [vector_node(path, len(value), value.dtype.str, opening=opening)]
    if isinstance(value, str):
        return [ArrayNode(path, (), TEXT, (), encoding("string"), opening=True)]
    dtype = np.asarray(value).dtype.str
    kind = encoding("numeric-scalar")
    return [ArrayNode(path, (), dtype, (), kind, shuffle=_is_wide(dtype), opening=True)]


def _is_wide(dtype: str) -> bool:
    return dtype != TEXT and np.dtype(dtype).itemsize > 1
