"""Ready files from the command line to the disk: every format, alone and together."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from atlas import atlas, save
from scipy import sparse

from cellucid_dask import CellucidDaskError, export
from cellucid_dask.ready import layout, shards
from cellucid_dask.verify import verify

FORMATS = ("zarr", "zarr.zip", "h5ad")
EVERY = ",".join(("folder", *FORMATS))


def read(path: Path) -> anndata.AnnData:
    """Read a ready file with anndata; a warning would be an error, as in all tests."""
    if path.name.endswith(".zip"):
        from zarr.storage import ZipStore

        with ZipStore(path, mode="r") as store:
            return anndata.read_zarr(store)
    return anndata.read_zarr(path) if path.suffix == ".zarr" else anndata.read_h5ad(path)


def dense(matrix: Any) -> Any:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def assert_same(one: anndata.AnnData, other: anndata.AnnData) -> None:
    assert one.obs.equals(other.obs)
    assert one.var.equals(other.var)
    assert np.array_equal(dense(one.X), dense(other.X))
    assert one.obsm.keys() == other.obsm.keys()
    for key, array in one.obsm.items():
        assert np.array_equal(array, other.obsm[key]), key
    assert one.uns["cellucid"]["id"] == other.uns["cellucid"]["id"]


@pytest.mark.parametrize("kind", ["h5ad", "zarr", "memory"])
@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
def test_all_formats_of_one_run_hold_the_same(tmp_path: Path, kind: str, make: Any) -> None:
    data = atlas()
    data.X = make(dense(data.X))
    given = data if kind == "memory" else save(data, tmp_path / f"a.{kind}")
    result = export(given, tmp_path / "out", format=EVERY, verify=True, quiet=True)
    assert list(result.outputs) == ["folder", *FORMATS]
    assert result.verified is not None
    assert result.verified["ok"]
    files = [read(tmp_path / f"out.{name}") for name in FORMATS]
    for one, other in pairwise(files):
        assert_same(one, other)
    assert np.array_equal(dense(files[0].X), dense(data.X).astype("f4"))
    assert list(files[0].obs_names) == list(data.obs_names)
    alone = export(given, tmp_path / "alone", quiet=True)
    assert alone.files == len(list((tmp_path / "alone").rglob("*.*")))
    theirs, ours = tmp_path / "alone", tmp_path / "out"
    for path in theirs.rglob("*.gz"):
        assert path.read_bytes() == (ours / path.relative_to(theirs)).read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_alone_has_the_bytes_of_a_run_of_several(tmp_path: Path, name: str) -> None:
    data = save(atlas(), tmp_path / "a.h5ad")
    export(data, tmp_path / "one", format=name, dataset_name="a", quiet=True)
    export(data, tmp_path / "many", format=EVERY, dataset_name="a", quiet=True)
    one, other = tmp_path / f"one.{name}", tmp_path / f"many.{name}"
    if name == "zarr":
        found = {p.relative_to(one): p.read_bytes() for p in one.rglob("*") if p.is_file()}
        also = {p.relative_to(other): p.read_bytes() for p in other.rglob("*") if p.is_file()}
        assert found == also
    else:
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("make", [sparse.csr_matrix, np.asarray])
def test_shards_hold_what_chunks_hold(
    tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SLICED", 16)
    monkeypatch.setattr(layout, "WHOLE", 64)
    monkeypatch.setattr(shards, "SHARD_CHUNKS", 3)
    data = atlas()
    data.X = make(dense(data.X))
    for out, more in (("plain", False), ("sharded", True)):
        export(
            data,
            tmp_path / out,
            format="zarr,zarr.zip",
            zarr_format=3,
            shards=more,
            connectivity=False,
            dataset_name="a",
            quiet=True,
        )
    plain = read(tmp_path / "plain.zarr")
    for path in ("sharded.zarr", "sharded.zarr.zip", "plain.zarr.zip"):
        assert_same(plain, read(tmp_path / path))
    chunks = [
        len(list((tmp_path / f"{out}.zarr" / "X").rglob("*"))) for out in ("plain", "sharded")
    ]
    assert chunks[1] < chunks[0]


def test_a_value_that_is_not_finite_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    data = atlas()
    values = dense(data.X).astype("f4")
    values[3, 2] = np.nan
    data.X = sparse.csr_matrix(values)
    path = save(data, tmp_path / "a.h5ad")
    with pytest.raises(CellucidDaskError, match="NaN"):
        export(path, tmp_path / "out", format="folder,zarr", quiet=True)
    assert {p.name for p in tmp_path.iterdir() if not p.name.startswith(".")} == {"a.h5ad"}


def test_a_ready_file_can_be_exported_again(tmp_path: Path) -> None:
    data = save(atlas(), tmp_path / "a.h5ad")
    export(data, tmp_path / "one", format="h5ad", dataset_name="My atlas", quiet=True)
    export(tmp_path / "one.h5ad", tmp_path / "two", format="zarr", quiet=True)
    one, two = read(tmp_path / "one.h5ad"), read(tmp_path / "two.zarr")
    assert_same(one, two)
    assert two.uns["cellucid"]["name"] == "My atlas"
    assert verify(tmp_path / "two.zarr", tmp_path / "one.h5ad").ok


def test_a_column_may_have_a_long_name(tmp_path: Path) -> None:
    data = atlas()
    name = "a long name of a score " * 8 + "in cells"
    data.obs[name] = 1.5
    export(save(data, tmp_path / "a.h5ad"), tmp_path / "out.zarr", format="zarr", quiet=True)
    assert name in read(tmp_path / "out.zarr").obs


def test_verify_knows_when_cells_were_dropped(tmp_path: Path) -> None:
    data = atlas()
    key = next(iter(data.obsm))
    data.obsm[key][3] = np.nan
    path, out = save(data, tmp_path / "a.h5ad"), tmp_path / "out.zarr"
    export(path, out, format="zarr", drop_cells_without_embedding=True, quiet=True)
    (problem,) = verify(out, path).problems
    assert "the others have no coordinates: add drop_cells_without_embedding=True" in problem
    assert verify(out, path, drop_cells_without_embedding=True).ok
