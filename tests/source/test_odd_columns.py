"""Columns and names that are not plain numbers or text: dates, records, bytes of another coding."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from atlas import STAMP, atlas, here, save
from oracle import silent
from serving import serving

from cellucid_dask import CellucidDaskError, check, export
from cellucid_dask.errors import ReadError
from cellucid_dask.verify import verify

COLN = "K\u00f6ln".encode("latin1")
ASCII = h5py.string_dtype("ascii")
ORDER = np.array(["cell_type", "n_counts", "odd"], object)


def exported(path: Path, folder: Path, **options: Any) -> dict[str, list[Any]]:
    """Export, verify against the file, and return categorical columns of the manifest by key."""
    out = folder / "export"
    export(path, out, quiet=True, workers=1, **options)
    report = verify(out, path)
    assert (report.problems, report.not_compared) == ((), ())
    manifest = json.loads((out / "obs_manifest.json").read_text())
    return {entry[0]: entry for entry in manifest["_categoricalFields"]}


def labels(values: Any) -> list[str]:
    """Categories as pandas and the reference have them."""
    return [str(label) for label in pd.Series(values).astype("category").cat.categories]


def refusals(path: Path, **options: Any) -> list[tuple[str, str, str]]:
    """What `check` says; `export` and a server refuse with the same words."""
    problems = check(path, **options).problems
    for work in (
        lambda: export(path, path.parent / "refused", quiet=True, **options),
        lambda: serving(path, **options).__enter__(),
    ):
        with pytest.raises(CellucidDaskError) as raised:
            work()
        assert set(problems) <= set(raised.value.problems)
    assert not (path.parent / "refused").exists()
    return [(problem.where, problem.what, problem.fix) for problem in problems]


# --------------------------------------------------------------------- dates and durations


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("unit", ["ns", "s", "D"])
@pytest.mark.filterwarnings("ignore:The data type")  # no part of the zarr specification yet
def test_dates_in_zarr_have_the_labels_of_pandas(tmp_path: Path, unit: str, version: Any) -> None:
    path = tmp_path / "a.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=version)
    silent(ad.io.write_elem, root, "/", atlas())
    when = np.array(["2021-03-02", "2021-03-01", "NaT"] * 20, f"M8[{unit}]")
    lag = np.array([3, 1, 2] * 20, f"m8[{unit}]")
    for key, values in (("when", when), ("lag", lag)):
        root["obs"].create_array(key, data=values)
    root["obs"].attrs["column-order"] = ["cell_type", "when", "lag"]
    found = exported(path, tmp_path)
    assert found["when"][1] == labels(when) == ["2021-03-01 00:00:00", "2021-03-02 00:00:00"]
    assert found["lag"][1] == labels(lag)
    codes = gzip.decompress((tmp_path / "export/obs/when.codes.u8.gz").read_bytes())
    assert list(codes) == [1, 0, 255] * 20


def test_opaque_dates_in_hdf5_have_the_labels_of_pandas(tmp_path: Path) -> None:
    path = save(atlas(), tmp_path / "a.h5ad")
    when = np.array(["2021-03-02", "2021-03-01"] * 30, "M8[s]")
    with h5py.File(path, "r+") as file:
        file["obs"].create_dataset("odd", data=when.astype(h5py.opaque_dtype(when.dtype)))
        file["obs"].attrs["column-order"] = ORDER
    assert exported(path, tmp_path)["odd"][1] == labels(when)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["Int32", "UInt8", "Int64"])
def test_nullable_numbers_of_either_byte_order(tmp_path: Path, dtype: str, order: str) -> None:
    numbers = pd.array([3, None, 2] * 20, dtype)
    path = save(atlas(columns={"n": numbers}), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        values = file["obs/n/values"][:]
        del file["obs/n/values"]
        file["obs/n"]["values"] = values.astype(values.dtype.newbyteorder(order))
    export(path, tmp_path / "out", quiet=True, compression=0, obs_quantization=None)
    found = np.fromfile(tmp_path / "out/obs/n.values.f32", "<f4")
    np.testing.assert_array_equal(found, np.array([3, np.nan, 2] * 20, "f4"))
    if order == "<" or dtype == "UInt8":
        assert verify(tmp_path / "out", path).problems == ()
    else:  # of which pandas knows none
        with pytest.raises(ReadError, match="anndata cannot read the data"):
            verify(tmp_path / "out", path)


# ------------------------------------------------------------------------ what is refused


def records(file: h5py.File) -> None:
    file["obs"].create_dataset("odd", data=np.zeros(60, [("a", "i4"), ("b", "f4")]))


def references(file: h5py.File) -> None:
    file["obs"].create_dataset("odd", data=np.array([file["X"].ref] * 60, h5py.ref_dtype))


def lists(file: h5py.File) -> None:
    file["obs"].create_dataset("odd", (60,), dtype=h5py.vlen_dtype("i4"))


@pytest.mark.parametrize("make", [records, references, lists])
def test_what_is_neither_number_nor_text_is_refused_by_name(
    tmp_path: Path, make: Callable[[h5py.File], None]
) -> None:
    path = save(atlas(), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        make(file)
        file["obs"].attrs["column-order"] = ORDER
    ((where, what, fix),) = refusals(path)
    assert "odd" in where
    assert "neither numbers nor text" in what
    assert fix == 'leave it out by naming the others: obs_keys=["cell_type", "n_counts"]'
    assert set(exported(path, tmp_path, obs_keys=["cell_type"])) == {"cell_type"}


# --------------------------------------------------------------------- text that is not UTF-8


def strings(file: h5py.File) -> None:
    values = np.array([COLN, b"Bonn"] * 30, object)
    file["obs"].create_dataset("odd", data=values, dtype=ASCII)


def fixed(file: h5py.File) -> None:
    file["obs"].create_dataset("odd", data=np.array([COLN, b"Bonn"] * 30, "S4"))


def categories(file: h5py.File) -> None:
    file.copy("obs/cell_type", "obs/odd")
    attributes = dict(file["obs/odd/categories"].attrs)
    del file["obs/odd/categories"]
    values = np.array([COLN, b"NK", b"T"], object)
    made = file["obs/odd"].create_dataset("categories", data=values, dtype=ASCII)
    made.attrs.update(attributes)


@pytest.mark.parametrize("make", [strings, fixed, categories])
def test_text_of_another_coding_is_refused_by_column(
    tmp_path: Path, capfd: Any, make: Callable[[h5py.File], None]
) -> None:
    path = save(atlas(), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        make(file)
        file["obs"].attrs["column-order"] = ORDER
    others = 'obs_keys=["cell_type", "n_counts"]'
    what = r"holds text that is not UTF-8, such as b'K\xf6ln'"
    assert refusals(path) == [("obs['odd']", what, f"leave it out by naming the others: {others}")]
    ended = here(capfd, "export", path, "-o", tmp_path / "out")
    assert (ended.code, "internal error" in ended.err, "truncated" in ended.err) == (
        2,
        False,
        False,
    )
    others = "--obs-key cell_type --obs-key n_counts"
    assert others in ended.err
    ended = here(capfd, "export", path, "-o", tmp_path / "out", *others.split(), *STAMP)
    assert ended.code == 0, ended.err


def test_two_bad_columns_are_both_left_out_by_one_line(tmp_path: Path) -> None:
    path = save(atlas(), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        strings(file)
        file.copy("obs/odd", "obs/odder")
        file["obs"].attrs["column-order"] = np.array([*ORDER, "odder", "gone"], object)
    fix = 'leave it out by naming the others: obs_keys=["cell_type", "n_counts"]'
    assert [where for where, _, said in refusals(path) if said == fix] == [
        "obs['odd']",
        "obs['odder']",
        f"{path}, obs/gone",
    ]


@pytest.mark.parametrize("kind", ["ascii", "utf-8", "fixed"])
def test_a_column_whose_name_is_of_another_coding_is_refused(tmp_path: Path, kind: str) -> None:
    path, name = save(atlas(), tmp_path / "a.h5ad"), "Gr\u00f6\u00dfe".encode("latin1")
    with h5py.File(path, "r+") as file:
        file["obs"][name] = np.arange(60.0)
        order = np.array([b"cell_type", b"n_counts", name], object)
        if kind == "fixed":
            file["obs"].attrs["column-order"] = order.astype("S")
        else:
            file["obs"].attrs.create("column-order", order, dtype=h5py.string_dtype(kind))
    fix = 'leave it out by naming the others: obs_keys=["cell_type", "n_counts"]'
    ((where, what, said),) = refusals(path)
    assert (where, what, said) == (r"obs['Gr\\xf6\\xdfe']", "has a name that is not UTF-8", fix)
    export(path, tmp_path / "out", quiet=True, obs_keys=["cell_type"])


def spoil_ids(path: Path, *columns: str) -> None:
    """Give one gene an id in Latin-1; in `columns` of var as well."""
    ids = np.array([COLN, *(f"Gene{i}".encode() for i in range(1, 12))], object)
    with h5py.File(path, "r+") as file:
        for name in ("_index", *columns):
            del file["var"][name]
            file["var"].create_dataset(name, data=ids, dtype=ASCII)


def test_gene_ids_of_another_coding_name_the_column_to_use(tmp_path: Path, capfd: Any) -> None:
    adata = atlas()
    adata.var["place"] = "Bonn"
    adata.var["symbol"] = [f"S{i}" for i in range(12)]
    path = save(adata, tmp_path / "a.h5ad")
    spoil_ids(path, "place")
    what, fix = r"holds text that is not UTF-8, such as b'K\xf6ln'", 'use gene_id_column="symbol"'
    assert refusals(path) == [("var index", what, fix)]
    other = "--gene-id-column symbol"
    assert other in here(capfd, "check", path).err
    ended = here(capfd, "export", path, "-o", tmp_path / "out", *other.split())
    assert ended.code == 0, ended.err
    ((where, _, _),) = refusals(path, gene_id_column="place")
    assert where == "var['place']"


def test_gene_ids_of_another_coding_and_no_other_column(tmp_path: Path) -> None:
    path = save(atlas(), tmp_path / "a.h5ad")
    spoil_ids(path)
    ((_, _, fix),) = refusals(path)
    assert "gene_id_column" in fix
    assert "UTF-8" in fix


def test_text_of_zarr_that_its_own_codec_cannot_decode(tmp_path: Path) -> None:
    """The codec of zarr decodes it, not this program: the words are the same."""
    path = tmp_path / "a.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=2)
    silent(ad.io.write_elem, root, "/", atlas())
    site = silent(root["obs"].create_array, "site", shape=(60,), dtype=str, compressors=None)
    site[:] = np.array(["Bonn", "Kiel"] * 30)
    root["obs"].attrs["column-order"] = ["cell_type", "site"]
    (chunk,) = [file for file in (path / "obs" / "site").iterdir() if file.name[0] != "."]
    chunk.write_bytes(chunk.read_bytes().replace(b"Kiel", COLN))
    ((where, what, _),) = refusals(path)
    assert where == "obs['site']"
    assert what.startswith("holds text that is not UTF-8")
