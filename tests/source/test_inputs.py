"""Every way an AnnData may be stored, against the reference exporter on the same data in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import anndata as ad
import dask.array as da
import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata import AnnData
from layouts import columns, laid_out, numbers, store_anew, untidy
from oracle import assert_parity, make_atlas, read_anndata, silent
from scipy import sparse
from versions import ZARR_KINDS, write_zarr

from cellucid_dask import check, export

Save = Callable[..., Path]
DTYPES = ["float32", "float64", *(f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64)), "bool"]
LAYOUTS = ["csr", "csc", "dense"]


def around(matrix: Any) -> AnnData:
    """An atlas of `matrix` and little else, quick to write."""
    whole = make_atlas()
    parts = {key: whole.obsm[key] for key in ("X_pca", "X_umap_2d")}
    return AnnData(matrix, obs=whole.obs[["group"]], var=whole.var, obsm=parts)


# ------------------------------------------------------------------------------ expression


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_expression_dtype(tmp_path: Path, saved: Save, layout: str, dtype: str) -> None:
    atlas = around(laid_out(numbers(dtype, (220, 30)), layout))
    # Arrays of CSC lie in a zarr as those of CSR do.
    for name in ("atlas.h5ad", "atlas.zarr")[: 1 if layout == "csc" else 2]:
        path = saved(atlas, name)
        assert_parity(tmp_path / name[6:], path, atlas, var_quantization=None, obs_keys=[])
    assert_parity(tmp_path / "8bit", path, atlas, obs_keys=[])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_half_precision(tmp_path: Path, atlas: AnnData, saved: Save, layout: str) -> None:
    """Scipy has no float16: the oracle gets the same values as float32."""
    values = numbers("float16", atlas.shape)
    atlas.X = laid_out(values.astype(np.float32), layout)
    path = saved(atlas)
    with h5py.File(path, "r+") as file:
        key = "X" if layout == "dense" else "X/data"
        attributes, stored = dict(file[key].attrs), file[key][:].astype(np.float16)
        del file[key]
        file[key] = stored
        file[key].attrs.update(attributes)
    assert_parity(tmp_path, path, atlas, var_quantization=16)


@pytest.mark.parametrize("kind", ["dense", "csr", "csc", "matrix"])
def test_lazy_expression_in_memory(tmp_path: Path, atlas: AnnData, kind: str) -> None:
    in_memory, x = atlas.copy(), atlas.X
    blocks = {
        "dense": lambda rows: rows.toarray(),
        "csr": sparse.csr_array,
        "csc": sparse.csc_array,
        "matrix": sparse.csr_matrix,
    }[kind]
    parts = [
        da.from_array(blocks(x[i : i + 64]), chunks=-1, asarray=False) for i in range(0, 220, 64)
    ]
    atlas.X = da.concatenate(parts)
    assert_parity(tmp_path / "all", atlas, in_memory)
    assert_parity(tmp_path / "some", atlas, in_memory, genes=["gene9", "gene4"])


FILTERS: dict[str, Any] = {
    "none": {},
    "gzip": {"compression": "gzip"},
    "shuffled gzip": {"compression": "gzip", "shuffle": True},
    "lzf": {"compression": "lzf"},
    "blosc": hdf5plugin.Blosc(),
    "zstd": hdf5plugin.Zstd(),
    "lz4": hdf5plugin.LZ4(),
}


def parts_of(layout: str) -> list[str]:
    """The datasets of X."""
    return ["X"] if layout == "dense" else ["X/data", "X/indices", "X/indptr"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FILTERS)
def test_compressed_h5ad(
    tmp_path: Path, atlas: AnnData, saved: Save, name: str, layout: str
) -> None:
    atlas.X = laid_out(atlas.X, layout)
    path = saved(atlas)
    others = ["obsm/X_pca", "obsm/X_umap_2d", "obs/score", "obs/depth", "obs/group/codes"]
    store_anew(path, *parts_of(layout), *others, **FILTERS[name])
    assert_parity(tmp_path, path, atlas)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"chunks": (50, 7)},
        {"chunks": (220, 1)},
        {"chunks": (1, 30), "compression": "gzip"},
        {"chunks": (64, 11), "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": (300, 40), "maxshape": (None, None), "compression": "gzip"},
    ],
    ids=["contiguous", "tiles", "columns", "rows", "checksums", "wider"],
)
def test_dense_h5ad_in_chunks(
    tmp_path: Path, atlas: AnnData, saved: Save, how: Mapping[str, Any]
) -> None:
    atlas.X = atlas.X.toarray()
    path = saved(atlas)
    store_anew(path, "X", **how)
    assert_parity(tmp_path / "all", path, atlas)
    assert_parity(tmp_path / "some", path, atlas, genes=["gene29", "gene0", "gene7"])


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
@pytest.mark.parametrize(
    "how", [{}, {"shuffle": True}, {"fletcher32": True}, {"shuffle": True, "fletcher32": True}]
)
def test_sparse_h5ad_in_small_gzip_chunks(
    tmp_path: Path, atlas: AnnData, saved: Save, how: Mapping[str, Any], dtype: str
) -> None:
    """The last chunk is not full."""
    atlas.X = sparse.csr_matrix(numbers(dtype, atlas.shape))
    path = saved(atlas)
    store_anew(path, *parts_of("csr"), chunks=(97,), compression="gzip", **how)
    assert_parity(tmp_path, path, atlas)


def test_chunks_that_were_never_written(tmp_path: Path, atlas: AnnData, saved: Save) -> None:
    """They hold the fill value."""
    path = saved(atlas)
    x = atlas.X.copy()
    with h5py.File(path, "r+") as file:
        del file["X/data"]
        data = file.create_dataset(
            "X/data", (x.nnz,), "f4", chunks=(100,), compression="gzip", fillvalue=1.5
        )
        data[100:200] = x.data[100:200]
    x.data[:100] = x.data[200:] = 1.5
    atlas.X = x
    assert_parity(tmp_path, path, atlas)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["v2", "v3", "v3 sharded", "v3 blosc"])
def test_zarr(tmp_path: Path, atlas: AnnData, layout: str, kind: str) -> None:
    atlas.X = laid_out(atlas.X, layout)
    write_zarr(atlas, tmp_path / "atlas.zarr", kind)
    assert_parity(tmp_path / "all", tmp_path / "atlas.zarr", atlas)
    some = {"genes": ["gene20", "gene2"]}
    assert_parity(tmp_path / "some", tmp_path / "atlas.zarr", atlas, **some)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["v2", "v3 sharded"])
def test_zarr_in_a_zip(tmp_path: Path, atlas: AnnData, layout: str, kind: str) -> None:
    atlas.X = laid_out(atlas.X, layout)
    write_zarr(atlas, tmp_path / "atlas.zarr.zip", kind)
    assert_parity(tmp_path, tmp_path / "atlas.zarr.zip", atlas)


def test_an_embedding_with_a_block_of_no_rows(tmp_path: Path, atlas: AnnData) -> None:
    theirs = atlas.copy()
    points = atlas.obsm["X_umap_2d"]
    atlas.obsm["X_umap_2d"] = da.from_array(points, chunks=((100, 0, 120), (2,)))
    assert_parity(tmp_path, atlas, theirs)


# -------------------------------------------------------------------- matrices nobody tidied


def parts(matrix: Any) -> tuple[bytes, ...]:
    """The three arrays of a sparse matrix as they are."""
    indices = (np.asarray(part, np.int64).tobytes() for part in (matrix.indices, matrix.indptr))
    return matrix.data.tobytes(), *indices


@pytest.mark.parametrize("layout", ["csr", "csc"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bool"])
@pytest.mark.parametrize("where", ["h5ad", "zarr", "memory"])
def test_untidy_matrix(tmp_path: Path, saved: Save, where: str, layout: str, dtype: str) -> None:
    atlas = around(untidy(layout, dtype))
    theirs = atlas.copy()
    assert parts(theirs.X) == parts(untidy(layout, dtype))  # anndata did not tidy it
    data = atlas if where == "memory" else saved(atlas, f"atlas.{where}")
    for bits in (None, 16):
        change = {"gene_expression": untidy(layout, dtype)}
        folder = tmp_path / str(bits)
        assert_parity(folder, data, theirs, change=change, var_quantization=bits)
    genes = ["gene8", "gene29", "gene1"]
    assert_parity(
        tmp_path / "some", data, theirs, change=change, genes=genes, var_quantization=None
    )


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_negative_zero(tmp_path: Path, atlas: AnnData, saved: Save, layout: str) -> None:
    dense = atlas.X.toarray()
    dense[::4, 3] = -0.0
    dense[:, 4] = -0.0
    dense[:, 5] = np.where(np.arange(220) % 2, -0.0, 7)
    atlas.X = dense if layout == "dense" else laid_out(np.where(dense == 0, 9, dense), layout)
    if layout != "dense":
        atlas.X.data[atlas.X.data == 9] = -0.0
    for name, data in (("file", saved(atlas)), ("memory", atlas)):
        assert_parity(tmp_path / name, data, atlas, var_quantization=None)


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_the_arrays_of_the_user_stay_as_they_are(
    tmp_path: Path, atlas: AnnData, layout: str
) -> None:
    matrix = laid_out(make_atlas().X, "dense") if layout == "dense" else untidy(layout)
    atlas.X = matrix
    graph = atlas.obsp["connectivities"].copy()
    rows = np.split(graph.indices, graph.indptr[1:-1])
    graph.indices = np.concatenate([row[::-1] for row in rows])  # unsorted
    graph.has_sorted_indices = False
    atlas.obsp["connectivities"] = graph
    before = snapshot(atlas)
    export(atlas, tmp_path / "out", quiet=True, var_quantization=None)
    export(atlas, tmp_path / "some", quiet=True, genes=["gene5", "gene1"])
    after = snapshot(atlas)
    assert {key for key in before if before[key] != after[key]} == set()


def snapshot(adata: AnnData) -> dict[str, Any]:
    """The bytes of every array of an AnnData in memory."""
    matrices = {"X": adata.X, "graph": adata.obsp["connectivities"]}
    taken: dict[str, Any] = {
        key: parts(m) if sparse.issparse(m) else m.tobytes() for key, m in matrices.items()
    }
    taken |= {key: np.asarray(value).tobytes() for key, value in adata.obsm.items()}
    taken |= {
        f"obs {key}": pd.util.hash_array(s.to_numpy()).tobytes() for key, s in adata.obs.items()
    }
    return taken


# -------------------------------------------------------------------------------- obs columns


@pytest.mark.parametrize("where", ["h5ad", "zarr", "memory"])
@pytest.mark.parametrize("key", columns())
def test_obs_column(tmp_path: Path, saved: Save, key: str, where: str) -> None:
    atlas = small_with({key: columns()[key]})
    data = atlas if where == "memory" else saved(atlas, f"atlas.{where}")
    assert_parity(tmp_path / "16bit", data, atlas, obs_quantization=16, categorical_dtype="uint16")
    if where == "memory":  # what was read the same is written the same
        assert_parity(tmp_path / "8bit", data, atlas)


@pytest.mark.parametrize("kind", ["v2", "v3", "as anndata writes it"])
def test_all_obs_columns_in_a_zarr(tmp_path: Path, kind: str) -> None:
    """Each column for itself is read from shards; here they are of the other kinds of zarr."""
    atlas = small_with(columns())
    path = tmp_path / "atlas.zarr"
    with ad.settings.override(allow_write_nullable_strings=True):
        if kind in ZARR_KINDS:
            write_zarr(atlas, path, kind)
        else:
            silent(atlas.write_zarr, path)
    assert_parity(tmp_path, path, atlas, obs_quantization=None)


def small_with(table: Mapping[str, Any]) -> AnnData:
    """An atlas without genes or graph and with the given obs columns only."""
    atlas = make_atlas()
    obs = pd.DataFrame(dict(table), index=atlas.obs_names)
    obsm = {key: atlas.obsm[key] for key in ("X_pca", "X_umap_2d")}
    return AnnData(obs=obs, obsm=obsm)


@pytest.mark.parametrize(
    ("where", "dtype"),
    [
        *((where, n) for where in ("h5ad", "zarr", "memory") for n in ("Int64", "Int8", "UInt16")),
        *(("memory", n) for n in ("Float32", "Float64")),  # anndata cannot write these
    ],
)
def test_nullable_numbers(tmp_path: Path, saved: Save, where: str, dtype: str) -> None:
    """The oracle may not take pd.NA: it gets NaN."""
    values = np.arange(220.0) % 120
    values[::9] = np.nan
    atlas = small_with({"n": pd.Series(values).astype(dtype).array})
    data = atlas if where == "memory" else saved(atlas, f"atlas.{where}")
    assert_parity(tmp_path, data, atlas, change={"obs": pd.DataFrame({"n": values})})


@pytest.mark.parametrize("where", ["h5ad", "memory"])
def test_large_nullable_integers_are_rounded_once(tmp_path: Path, saved: Save, where: str) -> None:
    """Through float64, 2**60 + 2**36 + 1 would become an even tie."""
    values = np.full(220, 2**60 + 2**36 + 1)
    atlas = small_with({"n": pd.array(values, "Int64")})
    data = atlas if where == "memory" else saved(atlas)
    change = {"obs": pd.DataFrame({"n": values})}
    assert_parity(tmp_path, data, atlas, change=change, obs_quantization=None)


@pytest.mark.parametrize(
    "column",
    [
        pd.date_range("2020-01-01", periods=220, freq="h").to_series().dt.floor("D"),
        pd.date_range("2020-01-01", periods=220, freq="D", tz="Europe/Paris").to_series(),
        pd.Series(pd.to_timedelta(np.arange(220) % 3, "h")),
        pd.Series([None, "b", 3, 2.5] * 55, dtype=object),
        pd.Series([None] * 220, dtype=object),
        pd.Series([np.nan, True] * 110, dtype=object),
        pd.Series(pd.arrays.SparseArray(np.arange(220.0) % 7, fill_value=0)),
        pd.Series(pd.arrays.IntervalArray.from_breaks(np.arange(221))),
        pd.Series(pd.period_range("2020-01", periods=220, freq="M")),
        pd.Series(pd.Categorical(pd.date_range("2020-01-01", periods=220, freq="D"))),
    ],
    ids=[
        "datetime",
        "time zone",
        "timedelta",
        "mixed objects",
        "no objects",
        "bool objects",
        "sparse",
        "interval",
        "period",
        "dates as categories",
    ],
)
def test_obs_column_that_only_memory_holds(tmp_path: Path, column: pd.Series) -> None:
    atlas = small_with({"column": column.to_numpy() if column.dtype == object else column.array})
    assert_parity(tmp_path, atlas)


def test_column_names_that_are_no_text(tmp_path: Path, atlas: AnnData) -> None:
    atlas.obs["n"] = 1.5
    frame = atlas.obs.rename(columns={"n": 7})
    change = {"obs": frame.rename(columns=str)}
    atlas = small_with({})
    atlas._obs = frame
    assert_parity(tmp_path, atlas, change=change)


@pytest.mark.parametrize("where", ["h5ad", "memory"])
def test_columns_with_slashes_in_their_names(tmp_path: Path, saved: Save, where: str) -> None:
    """In HDF5 they are groups within groups; zarr refuses them."""
    table = {"age/days": np.arange(220.0), "cell/type": pd.Categorical(["a/b", "c"] * 110)}
    atlas = small_with(table)
    with ad.settings.override(disallow_forward_slash_in_h5ad=False):  # as releases before 0.13
        data = atlas if where == "memory" else saved(atlas)
    assert_parity(tmp_path, data, atlas)


@pytest.mark.parametrize("where", ["h5ad", "memory"])
def test_sixty_thousand_categories(tmp_path: Path, saved: Save, where: str) -> None:
    n = 70_000
    rng = np.random.default_rng(8)
    codes = rng.integers(0, 60_000, n)
    codes[:9_000] %= 5
    atlas = AnnData(
        obs=pd.DataFrame(
            {"barcode": pd.Categorical.from_codes(codes, [f"b{i}" for i in range(60_000)])},
            index=np.arange(n).astype(str),
        ),
        obsm={"X_umap_2d": rng.normal(size=(n, 2)), "X_pca": rng.normal(size=(n, 3))},
    )
    data = atlas if where == "memory" else saved(atlas)
    made = assert_categories_by_hand(tmp_path, data, codes)
    kept = [c["category"] for c in made]
    assert kept == [f"b{i}" for i in range(5)]


def assert_categories_by_hand(tmp_path: Path, data: Any, codes: np.ndarray) -> list[Any]:
    """The oracle walks through all cells for each category, which would take minutes."""
    from oracle import read_export

    export(data, tmp_path / "out", quiet=True, workers=1)
    made = read_export(tmp_path / "out")
    np.testing.assert_array_equal(made.arrays["obs/barcode.codes.u16"], codes)
    outliers = made.arrays["obs/barcode.outliers.u8"]
    np.testing.assert_array_equal(outliers == 255, codes >= 5)
    return made.categorical("barcode")[4]["2"]


# -------------------------------------------------------------------------- backed, and old files


@pytest.mark.parametrize("layout", LAYOUTS)
def test_backed(tmp_path: Path, atlas: AnnData, saved: Save, layout: str) -> None:
    """X and raw are on disk; obs may have changed since."""
    atlas.X = laid_out(atlas.X, layout)
    atlas.raw = atlas.copy()
    atlas.layers["twice"] = atlas.X * 2
    backed = ad.read_h5ad(saved(atlas), backed="r")
    with closing(backed.file):
        for table in (backed.obs, atlas.obs):
            table["new"] = np.arange(220) % 3 == 0
        assert_parity(tmp_path / "X", backed, atlas)
        assert_parity(tmp_path / "raw", backed, atlas, raw=True)
        change = {"gene_expression": atlas.layers["twice"]}
        assert_parity(tmp_path / "layer", backed, atlas, change=change, layer="twice")


def test_view_in_memory(tmp_path: Path, atlas: AnnData) -> None:
    view = atlas[40:190, ::-2]
    assert_parity(tmp_path, view, view.copy())
    assert view.is_view


@pytest.mark.parametrize("where", ["h5ad", "zarr"])
def test_files_of_anndata_0_7(tmp_path: Path, atlas: AnnData, where: str) -> None:
    """Categories were in a group of their own, and codes pointed at them."""
    atlas.obs["numbers"] = pd.Categorical(np.arange(220) % 7 - 2)
    atlas.obs["gaps"] = pd.Categorical(np.where(np.arange(220) % 2, None, "x"))
    atlas.var["kind"] = pd.Categorical([f"k{j}" for j in range(30)])
    path = tmp_path / f"old.{where}"
    with ad.settings.override(allow_write_nullable_strings=False):
        if where == "zarr":
            write_zarr(atlas, path, "v2", consolidated=False)
        else:
            atlas.write_h5ad(path)
    age(path)
    theirs = read_anndata(path)
    pd.testing.assert_frame_equal(theirs.obs, atlas.obs)  # anndata reads what was made old
    assert_parity(tmp_path / "X", path, theirs)
    assert_parity(tmp_path / "kind", path, theirs, gene_id_column="kind")


def age(path: Path) -> None:
    """Turn the tables of a file into what anndata 0.7 wrote."""
    if path.suffix == ".h5ad":
        with h5py.File(path, "r+") as root:
            _age(root, lambda categories: categories.ref)
    else:
        _age(
            zarr.open_group(path, mode="r+"),
            lambda categories: "__categories/" + categories.basename,
        )


def _age(root: Any, refer: Callable[[Any], Any]) -> None:
    for table in (root["obs"], root["var"]):
        table.attrs["encoding-version"] = "0.1.0"
        for name in [n for n in table if table[n].attrs.get("encoding-type") == "categorical"]:
            codes, categories = table[name]["codes"][:], table[name]["categories"][:]
            del table[name]
            group = table.require_group("__categories")
            if isinstance(root, h5py.Group):
                group[name] = categories
                table[name] = codes
            elif categories.dtype.kind in "OT":
                texts = group.create_array(name, shape=categories.shape, dtype=str)
                silent(texts.__setitem__, slice(None), categories)
                table.create_array(name, data=codes)
            else:
                group.create_array(name, data=categories)
                table.create_array(name, data=codes)
            table[name].attrs["categories"] = refer(group[name])
            group[name].attrs["ordered"] = False
        for name in list(table):
            for attribute in ("encoding-type", "encoding-version"):
                if attribute in table[name].attrs and name != "__categories":
                    del table[name].attrs[attribute]


def test_files_of_anndata_0_6(tmp_path: Path, atlas: AnnData) -> None:
    """Tables and obsm were compound datasets, sparse matrices had other attributes."""
    path = tmp_path / "ancient.h5ad"
    obs, x, pca = atlas.obs, atlas.X, atlas.obsm["X_pca"]
    cells = np.asarray([n.encode() for n in atlas.obs_names])
    groups = obs["group"].cat
    with h5py.File(path, "w") as file:
        file["obs"] = records(
            index=cells, group=groups.codes, score=obs["score"], depth=obs["depth"]
        )
        file["var"] = records(index=atlas.var_names.to_numpy().astype("S"))
        file["uns/group_categories"] = groups.categories.to_numpy().astype("S")
        file["obsm"] = records(X_pca=pca, X_umap_2d=atlas.obsm["X_umap_2d"])
        for key, matrix in (
            ("X", x),
            ("uns/neighbors/connectivities", atlas.obsp["connectivities"]),
        ):
            group = file.create_group(key)
            group.attrs["h5sparse_format"], group.attrs["h5sparse_shape"] = "csr", matrix.shape
            for part in ("data", "indices", "indptr"):
                group[part] = getattr(matrix, part)
    theirs = read_anndata(path)
    assert list(theirs.obs["group"].cat.categories) == list("abcde")
    assert_parity(tmp_path, path, theirs)


def records(**columns: Any) -> np.ndarray:
    """A compound array, whose fields may have a second axis."""
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    fields = [(name, array.dtype, array.shape[1:]) for name, array in arrays.items()]
    made = np.zeros(len(next(iter(arrays.values()))), fields)
    for name, array in arrays.items():
        made[name] = array
    return made


def test_a_column_that_is_named_but_absent(atlas: AnnData, saved: Save) -> None:
    """The file says that obs has the column, and does not hold it: a problem, no crash."""
    path = saved(atlas)
    with h5py.File(path, "r+") as file:
        del file["obs/score"]
    assert ["score" in str(problem) for problem in check(path).problems] == [True]
    assert check(path, obs_keys=["group"]).ok
