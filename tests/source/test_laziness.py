"""Opening and checking read no expression, no graph and no layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
import zarr
from anndata import AnnData
from layouts import is_chunk, spoil_chunks
from oracle import make_atlas, read_export
from versions import ZARR_KINDS, write_zarr
from zarr_reads import Ranges, count_reads

from cellucid_dask import CellucidDaskError, check, export
from cellucid_dask.source.open import open_source
from cellucid_dask.source.storage.file_array import FileArray

Save = Callable[..., Path]
BIG = ("X", "layers", "raw", "obsp")


@pytest.fixture
def rich(atlas: AnnData) -> AnnData:
    """An atlas with a layer, and more genes in raw."""
    atlas.layers["counts"] = atlas.X.copy()
    atlas.raw = make_atlas(n_genes=32)
    return atlas


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts reads of datasets by key, and of the chunks of a zarr store by path."""
    counted: Counter[str] = Counter()
    get_array, get_dataset = FileArray.__getitem__, h5py.Dataset.__getitem__
    get_chunk = zarr.storage.LocalStore.get

    def array(self: FileArray, index: Any) -> Any:
        counted[self.key] += 1
        return get_array(self, index)

    def dataset(self: h5py.Dataset, *index: Any, **options: Any) -> Any:
        counted[self.name.lstrip("/")] += 1
        return get_dataset(self, *index, **options)

    async def chunk(self: Any, key: str, *args: Any, **options: Any) -> Any:
        if not key.endswith(("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")):
            counted[key] += 1
        return await get_chunk(self, key, *args, **options)

    monkeypatch.setattr(FileArray, "__getitem__", array)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", dataset)
    monkeypatch.setattr(zarr.storage.LocalStore, "get", chunk)
    return counted


def of_matrices(reads: Counter[str]) -> list[str]:
    """Those reads that are of a matrix."""
    return [key for key in reads if key.split("/")[0] in BIG and "/var/" not in key]


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_opening_reads_nothing_and_checking_no_matrix(
    rich: AnnData, saved: Save, reads: Counter[str], ending: str, layout: str
) -> None:
    rich.X = rich.X.toarray() if layout == "dense" else rich.X.asformat(layout)
    path = saved(rich, f"atlas.{ending}")
    reads.clear()  # what writing and anndata read
    source = open_source(path)
    assert source.n_cells == 220
    assert not reads
    assert check(path).ok
    assert check(path, raw=True, layer=None).ok
    assert check(path, layer="counts").ok
    assert reads  # embeddings, gene ids
    assert of_matrices(reads) == []


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_whether_x_was_scaled_is_told_from_its_first_values(
    atlas: AnnData, saved: Save, reads: Counter[str], layout: str
) -> None:
    atlas.raw = atlas.copy()
    atlas.X = atlas.X.toarray() if layout == "dense" else atlas.X.asformat(layout)
    path = saved(atlas, "atlas.zarr")
    reads.clear()
    assert check(path).ok
    key = "X" if layout == "dense" else "X/data"
    assert reads[key] == 1
    assert {name for name in of_matrices(reads) if "/".join(name.split("/")[:2]) == name} <= {key}


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_a_plan_reads_only_row_pointers(
    rich: AnnData, saved: Save, reads: Counter[str], ending: str, tmp_path: Path
) -> None:
    path = saved(rich, f"atlas.{ending}")
    reads.clear()
    export(path, tmp_path / "out", quiet=True, dry_run=True)
    assert {"/".join(key.split("/")[:2]) for key in of_matrices(reads)} <= {"X/indptr"}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", ["csr", "dense"])
@pytest.mark.parametrize("kind", ZARR_KINDS)
def test_an_export_reads_every_chunk_of_the_matrix_once(
    rich: AnnData, tmp_path: Path, ranges: Ranges, kind: str, layout: str
) -> None:
    rich.X = rich.X.toarray() if layout == "dense" else rich.X
    path = write_zarr(rich, tmp_path / "atlas.zarr", kind, chunks=(64, 8))
    ranges.clear()
    export(path, tmp_path / "out", quiet=True, workers=1, connectivity=False)
    files = {
        f.relative_to(path).as_posix(): f
        for f in (path / "X").rglob("*")
        if f.is_file() and is_chunk(f)
    }
    large = {key: file for key, file in files.items() if "indptr" not in key}
    assert large
    read = {key: {*count_reads(file, ranges.get(key, []))} for key, file in large.items()}
    assert read == {key: {1} for key in large}
    assert {key for key in ranges if key.split("/")[0] in BIG and is_chunk(Path(key))} <= {*files}


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_a_matrix_whose_values_are_gone_is_missed_only_by_an_export(
    rich: AnnData, tmp_path: Path, saved: Save, ending: str
) -> None:
    """No counting: any read of these values, by whatever way, is an error."""
    path = saved(rich, f"atlas.{ending}")
    for part in ("data", "indices"):
        if ending == "zarr":
            spoil_chunks(path / "X" / part)
        else:
            lose_values(path, f"X/{part}")
    assert open_source(path).matrices["X"].shape == (220, 30)
    assert check(path).ok
    export(path, tmp_path / "without", quiet=True, expression=False)
    with pytest.raises(CellucidDaskError, match=r"X/(data|indices)"):
        export(path, tmp_path / "with", quiet=True, workers=1)
    assert not (tmp_path / "with").exists()


def lose_values(path: Path, key: str) -> None:
    """Keep a dataset of HDF5, but not the file that its values are in."""
    with h5py.File(path, "r+") as file:
        old = file[key]
        shape, dtype = old.shape, old.dtype
        del file[key]
        size = shape[0] * dtype.itemsize
        file.create_dataset(key, shape, dtype, external=[("/nowhere/values", 0, size)])


def test_checking_computes_no_block_of_a_dask_matrix(atlas: AnnData, tmp_path: Path) -> None:
    computed: Counter[int] = Counter()
    dense = atlas.X.toarray()

    def block(rows: np.ndarray) -> np.ndarray:
        computed[int(rows[0, 0])] += 1
        return dense[rows[:, 0]]

    rows = da.arange(220, chunks=50)[:, None]
    atlas.X = rows.map_blocks(block, dtype="f4", chunks=(rows.chunks[0], (30,)), meta=dense[:0])
    assert check(atlas).ok
    assert not computed
    export(atlas, tmp_path / "out", quiet=True)
    assert computed == dict.fromkeys(range(0, 220, 50), 1)
    assert read_export(tmp_path / "out").identity["stats"]["n_genes"] == 30


def test_genes_are_read_by_the_chunks_within_shards(tmp_path: Path) -> None:
    """A shard may be of 1 GB: a strip of genes as wide as one would break the memory bound."""
    n_cells, n_genes = 20_000, 64
    adata = AnnData(
        np.ones((n_cells, n_genes), "f4"),
        obsm={"X_umap_2d": np.random.default_rng(0).normal(size=(n_cells, 2)).astype("f4")},
    )
    path = write_zarr(adata, tmp_path / "a.zarr", "v3 sharded", chunks=(n_cells // 2, n_genes // 2))
    assert zarr.open_group(path, mode="r")["X"].shards == (n_cells, n_genes)
    plan = export(path, tmp_path / "out", dry_run=True).plan
    assert plan["gene blocks"] == "2 of about 2.6 MB"
