"""Files of anndata 0.6, HDF5 and zarr: obs and var are records, categories lie in uns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pytest
import zarr
from comparing import assert_alike
from oracle import assert_parity, file_bytes, read_export, silent

from cellucid_dask import CellucidDaskError, check, export
from cellucid_dask.verify import verify

FIXED = {"quiet": True, "created_at": "2026-01-31T12:00:00Z", "dataset_name": "a"}


def tables(n_cells: int = 60, n_genes: int = 12) -> dict[str, Any]:
    """What is in the file, by its key, but for the categories."""
    rng = np.random.default_rng(0)
    fields = [("index", "S8"), ("two", "i1"), ("one", "i1"), ("depth", "f4"), ("site", "S8")]
    obs = np.zeros(n_cells, fields)
    obs["index"] = [b"c%d" % i for i in range(n_cells)]
    obs["two"], obs["depth"] = np.arange(n_cells) % 3 - 1, np.arange(n_cells)
    obs["site"] = np.array([b"Kiel", b"Bonn"] * (n_cells // 2))
    var = np.zeros(n_genes, [("index", "S8"), ("symbol", "S8")])
    var["index"] = [b"G%d" % i for i in range(n_genes)]
    var["symbol"] = [b"S%d" % i for i in range(n_genes)]
    return {
        "X": rng.poisson(1, (n_cells, n_genes)).astype("f4"),
        "raw.X": rng.poisson(2, (n_cells, n_genes)).astype("f4"),
        "obs": obs,
        "var": var,
        "raw.var": var,
        "obsm/X_umap": rng.normal(size=(n_cells, 2)).astype("f4"),
        "obsm/X_pca": rng.normal(size=(n_cells, 5)).astype("f4"),
        "uns/two_categories": np.array([b"ctrl", b"stim"]),
    }


def write(path: Path, single: Any, **change: Any) -> Path:
    """Write the file, with `single` as the category of the column that has one."""
    found = {**tables(), **change}
    if path.suffix == ".h5ad":
        with h5py.File(path, "w") as file:
            obsm = {key[5:]: found.pop(key) for key in list(found) if key.startswith("obsm/")}
            records = np.zeros(60, [(k, v.dtype, v.shape[1:]) for k, v in obsm.items()])
            for key, values in obsm.items():
                records[key] = values
            for key, values in {**found, "obsm": records, "uns/one_categories": single}.items():
                file[key] = values
        return path
    root = zarr.open_group(path, mode="w", zarr_format=2)
    single = np.asarray(single)
    for key, values in {**found, "uns/one_categories": single.astype(single.dtype)}.items():
        array = silent(
            root.create_array, key, shape=values.shape, dtype=values.dtype, fill_value=None
        )
        array[...] = values
    return path


def labels(path: Path, out: Path) -> dict[str, list[str]]:
    """Categories of an export of the file."""
    export(path, out, **FIXED)
    manifest = read_export(out).manifests["obs_manifest.json"]
    return {entry[0]: entry[1] for entry in manifest["_categoricalFields"]}


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.parametrize(
    ("single", "label"),
    [
        (np.bytes_(b"only"), "only"),
        (np.int64(3), "3"),
        (np.float64(0.5), "0.5"),
        (np.array([b"only"]), "only"),
    ],
    ids=["text", "integer", "float", "list"],
)
def test_a_single_category(tmp_path: Path, suffix: str, single: Any, label: str) -> None:
    found = labels(write(tmp_path / f"a{suffix}", single), tmp_path / "out")
    assert found == {"two": ["ctrl", "stim"], "one": [label], "site": ["Bonn", "Kiel"]}


def test_a_single_category_as_anndata_reads_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", "only")
    theirs = silent(ad.read_h5ad, path)
    assert list(theirs.obs["one"].cat.categories) == ["only"]
    assert_parity(tmp_path / "X", path, theirs)
    assert verify(tmp_path / "X" / "ours" / "atlas", path).problems == ()
    theirs.X = theirs.raw.X
    assert_parity(tmp_path / "raw", path, theirs, raw=True)


def test_zarr_and_hdf5_give_the_same_bytes_and_are_served(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"a{suffix}", np.array([b"only"])) for suffix in (".h5ad", ".zarr")]
    for path in paths:
        export(path, tmp_path / path.suffix, **FIXED, workers=2, dataset_id="a")
    assert file_bytes(tmp_path / ".h5ad") == file_bytes(tmp_path / ".zarr")
    report = verify(tmp_path / ".zarr", paths[1])
    assert (report.problems, report.not_compared, report.genes_compared) == ((), (), 12)
    assert_alike(paths[1], tmp_path, {"gene_id_column": "symbol"})


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    obs = tables()["obs"]
    obs["site"][3] = "K\u00f6ln".encode("latin1")
    path = write(tmp_path / "a.h5ad", np.array([b"\xff"]), obs=obs)
    found = [(problem.where, problem.what) for problem in check(path).problems]
    assert [where for where, _ in found] == ["obs['one']", "obs['site']"]
    assert all("not UTF-8" in what for _, what in found)
    assert check(path, obs_keys=["two", "depth"]).ok


def test_an_array_that_is_no_table(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", "only", obs=np.zeros((60, 2)))
    with pytest.raises(CellucidDaskError, match="obs: is no table of AnnData"):
        check(path)


@pytest.mark.parametrize(
    ("key", "chunk", "told"),
    [
        ("obs", 1, "obs: missing chunks: 1 of 4 (first: 1); 15 rows read as (b'"),
        ("var", 3, "var: missing chunks: 1 of 4 (first: 3); 3 rows read as (b'"),
        ("raw.var", 0, "raw.var: missing chunks: 1 of 4 (first: 0); 3 rows read as (b'"),
        ("uns/two_categories", 0, "uns/two_categories: missing chunks: 1 of 4 (first: 0)"),
    ],
)
def test_rows_that_are_missing(tmp_path: Path, key: str, chunk: int, told: str) -> None:
    """They would read as rows of zeros."""
    names = np.array([b"ctrl", b"stim", b"rest", b"more"])
    path = write(tmp_path / "atlas.zarr", b"all", **{"uns/two_categories": names})
    assert not check(path).problems
    root = zarr.open_group(path, mode="r+")
    values = root[key][...]
    made = root.create_array(
        key, shape=values.shape, dtype=values.dtype, chunks=(len(values) // 4,), overwrite=True
    )
    made[...] = values
    assert not check(path, raw=key.startswith("raw")).problems
    (path / key / str(chunk)).unlink()
    found = check(path, raw=key.startswith("raw"), rename_duplicates=True)
    assert told in "\n".join(map(str, (*found.problems, *found.warnings)))
    assert found.problems or key.startswith("uns")
    if key == "raw.var":
        assert not check(path).problems, "nobody asks for it"
