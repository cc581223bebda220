"""AnnData as ready files hold it, drawn by hypothesis, and what is stored for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from hypothesis import strategies as st
from scipy import sparse

from cellucid_dask.ready.facts import TEXT
from cellucid_dask.ready.layout import ColumnLayout, MatrixLayout, ReadyLayout

Stored = tuple[ReadyLayout, dict[str, Any]]
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
NUMBERS = ("int8", "uint8", "int16", "int32", "int64", "uint64", "float32", "float64", "bool")


@st.composite
def annotated_data(draw: st.DrawFn) -> AnnData:
    """Any AnnData that a ready file may hold."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    n, genes = draw(st.integers(1, 12)), draw(st.integers(0, 9))
    obs = {f"o{i}": column for i, column in enumerate(draw(st.lists(_columns(n), max_size=5)))}
    var = {f"v{i}": column for i, column in enumerate(draw(st.lists(_columns(genes), max_size=2)))}
    adata = AnnData(
        X=draw(st.sampled_from([_csc, _dense]))(rng, n, genes) if genes else None,
        obs=pd.DataFrame(obs, index=pd.Index([f"c{i}" for i in range(n)], dtype=object)),
        var=pd.DataFrame(var, index=pd.Index([f"ġ{i}" for i in range(genes)], dtype=object)),
        obsm={"X_umap": rng.random((n, 2)).astype("f4"), "X_pca": rng.random((n, 5)).astype("f4")},
        uns=_uns(draw, rng, n),
    )
    if draw(st.booleans()):
        graph = np.triu(rng.random((n, n)).astype("f4") * (rng.random((n, n)) < 0.3), 1)
        adata.obsp["connectivities"] = sparse.csr_matrix(graph + graph.T)
    return adata


def stored(adata: AnnData) -> Stored:
    """The layout of an AnnData, and the values of each array by its path."""
    values: dict[str, Any] = {}
    tables = {}
    for name, frame in (("obs", adata.obs), ("var", adata.var)):
        values[f"{name}/_index"] = frame.index.to_numpy(dtype=object)
        tables[name] = [_column(f"{name}/{key}", frame[key], values) for key in frame]
    for key, points in adata.obsm.items():
        values[f"obsm/{key}"] = points
    graph = adata.obsp.get("connectivities")
    layout = ReadyLayout(
        n_cells=adata.n_obs,
        n_genes=adata.n_vars,
        uns=_stored_uns("uns", dict(adata.uns), values),
        obsm={key: points.shape[1] for key, points in adata.obsm.items()},
        x=None if adata.X is None else _matrix("X", adata.X, values),
        graph=None if graph is None else _matrix("obsp/connectivities", graph, values),
        **tables,
    )
    return layout, values


def _columns(n: int) -> st.SearchStrategy[Any]:
    def categorical(codes: list[int]) -> pd.Categorical:
        labels = [["a", "ß", ""], [3, 7, 9], [0.5, 1.5, 2.5], []][codes[0] + 1]
        kept = [min(code, len(labels) - 1) for code in codes[1:]]
        return pd.Categorical.from_codes(kept, labels, ordered=codes[0] > 0)

    def nullable(values: list[Any]) -> Any:
        return pd.array(values, dtype="Int16" if values.count(True) < 2 else "boolean")

    numbers = st.sampled_from(NUMBERS).flatmap(
        lambda dtype: _lists(st.integers(0, 1 if dtype == "bool" else 100), n).map(
            lambda found: np.array(found, dtype)
        )
    )
    return st.one_of(
        numbers,
        st.lists(st.integers(-1, 2), min_size=n + 1, max_size=n + 1).map(categorical),
        _lists(st.sampled_from([None, True, False]), n).map(nullable),
        _lists(TEXTS, n, unique=True).map(lambda texts: np.array(texts, object)),
    )


def _lists(of: st.SearchStrategy[Any], n: int, *, unique: bool = False) -> Any:
    return st.lists(of, min_size=n, max_size=n, unique=unique)


def _csc(rng: np.random.Generator, n: int, genes: int) -> sparse.csc_matrix:
    return sparse.csc_matrix(_dense(rng, n, genes))


def _dense(rng: np.random.Generator, n: int, genes: int) -> np.ndarray:
    values = rng.random((n, genes)) * (rng.random((n, genes)) < rng.random())
    return values.astype(rng.choice(["f4", "f8"]))


def _uns(draw: st.DrawFn, rng: np.random.Generator, n: int) -> dict[str, Any]:
    columns: dict[str, Any] = {"key": "X_umap", "columns": np.array([1, 0])}
    fields = {"leiden": rng.random(n).astype("f4")} if draw(st.booleans()) else {}
    quantiles = {"latentKey": "X_pca", "minPoints": 10, "fields": fields}
    defaults: dict[str, Any] = {"embedding2d": columns, "normalizeEmbeddings": draw(st.booleans())}
    defaults["obsKeys"] = np.array(draw(st.lists(TEXTS, max_size=3)), object)
    about = {"schema": 1, "id": "x", "name": draw(TEXTS), "description": ""}
    cellucid = {**about, "defaults": defaults, "outlierQuantiles": quantiles}
    return {"title": about["name"], "cellucid": cellucid}


def _stored_uns(path: str, value: Any, values: dict[str, Any]) -> Any:
    """What the layout is told of `value`."""
    if isinstance(value, dict):
        return {key: _stored_uns(f"{path}/{key}", item, values) for key, item in value.items()}
    values[path] = value
    if "/fields/" in path:
        return None
    return list(value) if isinstance(value, np.ndarray) and value.dtype.kind == "O" else value


def _column(path: str, column: pd.Series, values: dict[str, Any]) -> ColumnLayout:
    key, found = str(column.name), column.array
    if isinstance(column.dtype, pd.CategoricalDtype):
        labels = column.cat.categories.to_numpy()
        dtype = labels.dtype.str if labels.dtype.kind in "iufb" else TEXT
        values[f"{path}/categories"] = labels if dtype != TEXT else labels.astype(object)
        codes = values[f"{path}/codes"] = column.cat.codes.to_numpy()
        ordered = bool(column.cat.ordered)
        return ColumnLayout(key, "categorical", codes.dtype.str, ordered, dtype, len(labels))
    if isinstance(found, pd.arrays.IntegerArray | pd.arrays.BooleanArray):
        boolean = isinstance(found, pd.arrays.BooleanArray)
        values[f"{path}/values"] = found.to_numpy(dtype=found.dtype.numpy_dtype, na_value=0)
        values[f"{path}/mask"] = np.asarray(found.isna())
        kind: Any = "nullable-boolean" if boolean else "nullable-integer"
        return ColumnLayout(key, kind, found.dtype.numpy_dtype.str)
    numeric = isinstance(column.dtype, np.dtype) and column.dtype.kind in "iufb"
    values[path] = column.to_numpy() if numeric else column.to_numpy(dtype=object)
    dtype = values[path].dtype.str if numeric else TEXT
    return ColumnLayout(key, "array" if numeric else "text", dtype)


def _matrix(path: str, matrix: Any, values: dict[str, Any]) -> MatrixLayout:
    if isinstance(matrix, np.ndarray):
        values[path] = matrix
        return MatrixLayout(matrix.shape, matrix.dtype.str, None)
    for name in ("indptr", "data", "indices"):
        values[f"{path}/{name}"] = getattr(matrix, name)
    return MatrixLayout(matrix.shape, matrix.data.dtype.str, matrix.nnz)


def assert_same_data(found: AnnData, wanted: AnnData) -> None:
    """Equal values and dtypes; texts may be objects or pandas' own."""
    assert found.shape == wanted.shape
    for mine, theirs in ((found.obs, wanted.obs), (found.var, wanted.var)):
        pd.testing.assert_frame_equal(_plain(mine), _plain(theirs), check_index_type=False)
    dense: Callable[[Any], Any] = lambda m: m.toarray() if sparse.issparse(m) else m  # noqa: E731
    if wanted.X is not None:
        assert type(found.X) is type(wanted.X)
        assert found.X.dtype == wanted.X.dtype
    pairs = [(found.X, wanted.X)]
    for name in ("obsm", "obsp"):
        mine, theirs = dict(getattr(found, name)), dict(getattr(wanted, name))
        assert mine.keys() == theirs.keys()
        pairs += [(mine[key], theirs[key]) for key in mine]
    for mine, theirs in pairs:
        np.testing.assert_array_equal(dense(mine), dense(theirs))
    _assert_same_uns(dict(found.uns), dict(wanted.uns))


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    def plain(column: pd.Series) -> pd.Series:
        if isinstance(column.dtype, pd.CategoricalDtype):
            labels = column.cat.categories
            if labels.dtype.kind not in "iufb":
                labels = labels.astype(object)
            codes, ordered = column.cat.codes.to_numpy(), column.cat.ordered
            return pd.Series(pd.Categorical.from_codes(codes, labels, ordered=ordered))
        text = column.dtype == object or isinstance(column.dtype, pd.StringDtype)
        return pd.Series(column.to_numpy(dtype=object) if text else column.array)

    made = pd.DataFrame({key: plain(frame[key]) for key in frame}, index=range(len(frame)))
    return made.set_index(pd.Index(frame.index.to_numpy(dtype=object), dtype=object))


def _assert_same_uns(found: Any, wanted: Any) -> None:
    if isinstance(wanted, dict):
        assert list(found) == list(wanted) or sorted(found) == sorted(wanted)
        for key in wanted:
            _assert_same_uns(found[key], wanted[key])
    else:
        np.testing.assert_array_equal(found, wanted)
