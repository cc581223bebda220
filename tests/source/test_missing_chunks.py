"""Chunks that a store lacks read as 0: refused or told by what that would mean."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from atlas import STAMP, atlas, here, save, tree
from chunked import KINDS, Kind, remove_chunk, write_chunked, zipped
from scipy import sparse

from cellucid_dask import CellucidDaskError, CheckResult, check, export

ACCEPT = {"accept_missing_chunks": True}


def richer() -> anndata.AnnData:
    """An atlas with columns and arrays of every kind."""
    made = atlas(columns={"flag": np.arange(60) % 2 == 0, "one": pd.Categorical(["a"] * 60)})
    made.obs["size"] = pd.array([None if i % 10 == 3 else i for i in range(60)], dtype="Int32")
    made.obsm["velocity_umap"] = np.ones((60, 2), "f4")
    made.raw = made
    made.layers["dense"] = np.arange(1, 721, dtype="f4").reshape(60, 12)
    made.layers["counts"] = made.X.tocsc()
    return made


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The atlas with chunks of 10 items, written once."""
    return write_chunked(richer(), tmp_path_factory.mktemp("chunked") / "atlas.zarr")


@pytest.fixture
def store(original: Path, tmp_path: Path) -> Path:
    """A copy of it to remove chunks from."""
    return Path(shutil.copytree(original, tmp_path / "atlas.zarr", copy_function=os.link))


def problems(found: CheckResult) -> list[str]:
    return [str(problem) for problem in found.problems]


def only_problem(path: Path, **options: Any) -> str:
    found = problems(check(path, **options))
    assert len(found) == 1, found
    return found[0]


def only_warning(path: Path, **options: Any) -> str:
    found = check(path, **options)
    assert found.ok, problems(found)
    assert len(found.warnings) == 1, found.warnings
    return found.warnings[0]


def refill(path: Path, key: str, fill: Any, *gone: int) -> None:
    """Write an array anew, with another fill value and without some chunks."""
    group, _, name = key.rpartition("/")
    root = zarr.open_group(path, mode="r+")
    old = root[key]
    values, attrs = old[...], dict(old.attrs)
    made = root[group].create_array(
        name, shape=old.shape, chunks=old.chunks, dtype=old.dtype, fill_value=fill, overwrite=True
    )
    made[...] = values
    made.attrs.update(attrs)
    for number in gone:
        remove_chunk(path, key, number)


# ------------------------------------------------------------------------------- sparse matrices


@pytest.mark.parametrize("kind", ["v2 .", "v3", "shards", "shards, index first"])
def test_lost_indices_are_refused(tmp_path: Path, kind: str) -> None:
    path = write_chunked(atlas(), tmp_path / "atlas.zarr", KINDS[kind], chunk=20)
    whole = check(path)
    assert (whole.problems, whole.warnings) == ((), ())
    remove_chunk(path, "X/indices", 1)
    for pack in (Path, zipped):
        told, lost = only_problem(pack(path), **ACCEPT), KINDS[kind].shard or 1
        assert f"X/indices: missing chunks: {lost} of 11 (first: " in told
        assert "stored values have index 0, which " in told
        assert "copy or write it again" in told, "nobody can know better"


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("X/data", {}),
        ("raw/X/data", {"raw": True}),
        ("layers/counts/data", {"layer": "counts"}),
        ("obsp/connectivities/data", {}),
    ],
)
def test_lost_values_are_refused_unless_accepted(
    store: Path, key: str, options: dict[str, Any]
) -> None:
    remove_chunk(store, key, 1)
    told = only_problem(store, **options)
    assert f"{key}: missing chunks: 1 of " in told
    assert "(first: c/1); 10 stored values read as 0" in told
    assert "accept_missing_chunks=True" in told
    assert "10 stored values read as 0" in only_warning(store, **options, **ACCEPT)


def test_what_is_not_asked_for_is_not_looked_at(store: Path) -> None:
    lost = "raw/X/data", "layers/counts/indices", "obs/_index/values"
    for key in (*lost, "obs/n_counts", "obsp/connectivities/data", "obsm/velocity_umap"):
        if key in zarr.open_group(store):
            shutil.rmtree(store / key / "c")
    found = check(store, obs_keys=["cell_type"], connectivity=False, vectors=False, cell_ids=False)
    assert (found.problems, found.warnings) == ((), ())


def test_one_value_a_row_may_be_index_0(tmp_path: Path) -> None:
    made = atlas()
    made.X = sparse.csr_array((np.ones(60, "f4"), np.zeros(60, "i4"), np.arange(61)), (60, 12))
    path = write_chunked(made, tmp_path / "atlas.zarr", chunk=20)
    assert "60 stored values have index 0" in only_problem(path), "all of it reads as 0"
    made.X.indices[:50] = np.arange(50) % 11 + 1
    path = write_chunked(made, tmp_path / "atlas.zarr", chunk=10)
    assert "(first: c/5); 10 stored values have index 0" in only_warning(path)


def test_a_row_may_hold_duplicates_where_others_do(tmp_path: Path) -> None:
    made = atlas()
    pointers = np.minimum(np.arange(0, 601, 10), 200)  # 20 cells hold two genes, five times each
    for kept, told in (([0] * 5, only_problem), ([2] * 5, only_warning)):
        indices = np.tile(np.repeat([1, 2], 5), 20)
        indices[100:110] = [0] * 5 + kept
        made.X = sparse.csr_array((np.ones(200, "f4"), indices, pointers), (60, 12))
        path = write_chunked(made, tmp_path / f"{kept[0]}.zarr", chunk=5)
        lost = 1 + (kept[0] == 0)
        assert f"missing chunks: {lost} of 40 (first: c/20" in told(path)


def test_an_index_outside_the_matrix_is_refused(store: Path) -> None:
    refill(store, "X/indices", -1, 3)
    assert "index -1, which lies outside the matrix" in only_problem(store)


def test_the_first_pointers_rise_and_are_wrong(store: Path) -> None:
    remove_chunk(store, "X/indptr", 0)
    told = only_problem(store)
    assert "X/indptr: missing chunks: 1 of 7" in told
    assert "where 10 rows begin is not known" in told


def test_an_empty_matrix_has_no_chunks(tmp_path: Path) -> None:
    made = atlas()
    made.X = sparse.csr_array((60, 12), dtype="f4")
    path = write_chunked(made, tmp_path / "atlas.zarr")
    assert not (path / "X/indptr/c").exists()
    assert not check(path).problems
    assert not check(path).warnings


def test_stored_values_of_another_fill_value_count_for_what_they_are(store: Path) -> None:
    refill(store, "X/data", 1.5, 0, 1, 2)
    assert "30 stored values read as 1.5" in only_warning(store)
    refill(store, "X/data", np.nan, 0)
    assert "10 stored values read as nan" in only_problem(store)


# ---------------------------------------------------------------------------------------- strings


def test_lost_ids_and_names_are_refused(store: Path) -> None:
    root = zarr.open_group(store)
    ids = "var/_index" if "var/_index/zarr.json" and hasattr(root["var/_index"], "shape") else None
    ids = ids or "var/_index/values"
    remove_chunk(store, ids, 1)
    remove_chunk(store, "obs/cell_type/categories", 0)
    told = problems(check(store))
    assert f"{ids}: missing chunks: 1 of 2 (first: c/1); 2 ids read as ''" in told[0]
    assert "3 categories read as ''" in told[1]
    assert "accept_missing_chunks=True" in told[0]
    accepted = check(store, rename_duplicates=True, **ACCEPT)
    assert "2 ids read as ''" in "\n".join(accepted.warnings)
    assert "3 categories read as ''" in problems(accepted)[0], "names are distinct"


# --------------------------------------------------------------------------- cells that show 0


@pytest.mark.parametrize(
    ("key", "index", "said"),
    [
        ("obs/cell_type/codes", (1,), "10 cells show category 'B cell'"),
        ("obs/n_counts", (5,), "10 cells show 0"),
        ("obs/flag", (0,), "10 cells show False"),
        ("obs/size/values", (3,), "10 cells show 0"),
        ("obs/size/mask", (1,), "10 values count as not missing"),
        ("obsm/X_umap_2d", (2, 0), "10 cells lie at the point 0, 0"),
        ("obsm/X_umap_3d", (2, 0), "10 cells lie at the point 0, 0, 0"),
        ("obsm/X_pca", (5, 0), "10 cells show 0"),
        ("obsm/velocity_umap", (5, 0), "10 cells show 0"),
    ],
)
def test_cells_that_show_0_are_told(
    store: Path, key: str, index: tuple[int, ...], said: str
) -> None:
    remove_chunk(store, key, *index)
    assert only_warning(store).endswith(f"; {said}")
    assert f"{key}: missing chunks: 1 of 6" in only_warning(store)


def test_dense_values_that_show_0_are_told(store: Path) -> None:
    remove_chunk(store, "layers/dense", 2, 1)
    told = only_warning(store, layer="dense")
    assert told.endswith("1 of 12 (first: c/2/1); values of 10 cells read as 0")


def test_codes_may_read_as_no_category(store: Path) -> None:
    refill(store, "obs/cell_type/codes", -1, 4)
    assert only_warning(store).endswith("10 cells show no category")


def test_cells_may_lack_the_only_category(tmp_path: Path) -> None:
    codes = np.repeat([-1, 0], [20, 40])
    made = atlas(columns={"doublet": pd.Categorical.from_codes(codes, ["yes"])})
    path = write_chunked(made, tmp_path / "atlas.zarr", KINDS["v2 ."])
    assert only_warning(path).endswith("; 40 cells show category 'yes'"), "zarr left them out"
    remove_chunk(path, "obs/doublet/codes", 1)
    assert only_warning(path).endswith("; 50 cells show category 'yes'")


def test_a_folder_is_no_chunk(store: Path) -> None:
    remove_chunk(store, "X/data", 1)
    (store / "X/data/c/1").mkdir()
    assert "X/data: missing chunks: 1 of " in only_problem(store)


@pytest.mark.parametrize(
    "key", ["obs/cell_type/codes", "obs/n_counts", "obsm/X_umap_2d", "layers/dense"]
)
def test_more_than_half_is_refused_unless_accepted(store: Path, key: str) -> None:
    layer = {"layer": "dense"} if key == "layers/dense" else {}
    for chunk in sorted((store / key / "c").iterdir())[:3]:
        shutil.rmtree(chunk) if chunk.is_dir() else chunk.unlink()
    assert only_warning(store, **layer)
    chunk = min((store / key / "c").iterdir())
    shutil.rmtree(chunk) if chunk.is_dir() else chunk.unlink()
    told = only_problem(store, **layer)
    assert "; more than half of it; " in told
    assert "accept_missing_chunks=True" in told
    assert "more than half of it" in only_warning(store, **layer, **ACCEPT)


@pytest.mark.parametrize("kind", ["v2 .", "shards"])
def test_a_store_without_chunks_of_zeros_is_good(tmp_path: Path, kind: str) -> None:
    """zarr leaves them out unless told otherwise."""
    made = richer()
    made.obs["zero"], made.obs["never"] = np.zeros(60, "f4"), np.zeros(60, bool)
    made.obs["size"] = pd.array(range(60), dtype="Int32")  # nothing is missing
    made.obs["n_counts"] = np.repeat([0, 1], [10, 50]).astype("f4")
    made.X = np.repeat([[0], [1]], [20, 40], axis=0).astype("f4") * np.ones((1, 12), "f4")
    path = write_chunked(made, tmp_path / "atlas.zarr", KINDS[kind])
    done = export(path, tmp_path / "out", quiet=True, workers=1)
    told = {text.split(", ", 1)[1].split(": missing chunks")[0]: text for text in done.warnings}
    assert set(told) == {"X", "obs/zero", "obs/never", "obs/n_counts"}
    assert told["obs/zero"].endswith("; 60 cells show 0")
    assert told["obs/never"].endswith("; 60 cells show False")
    assert "4 of 12" in told["X"]


def test_most_of_a_column_may_be_left_out_of_a_shard_that_is_there(tmp_path: Path) -> None:
    """A copy that ended early lacks whole files."""
    made = atlas(columns={"rare": np.repeat([1, 0], [5, 55]).astype("f4")})
    path = write_chunked(made, tmp_path / "atlas.zarr", Kind(shard=6))
    assert "obs/rare: missing chunks: 5 of 6 (first: c/0 chunk 1, " in only_warning(path)
    path = write_chunked(made, tmp_path / "plain.zarr")
    assert "more than half of it; 50 cells show 0" in only_problem(path)


def test_a_column_whose_only_chunk_went_is_refused(tmp_path: Path) -> None:
    """The folder that was made for the chunk shows that there was one."""
    path = write_chunked(richer(), tmp_path / "atlas.zarr", chunk=60)
    remove_chunk(path, "obs/n_counts", 0)
    assert "1 of 1 (first: c/0); more than half of it; 60 cells show 0" in only_problem(path)


# -------------------------------------------------------------------------- commands and servers


def test_nothing_is_written_and_all_is_told_at_once(
    store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    remove_chunk(store, "X/data", 1)
    remove_chunk(store, "obs/cell_type/codes", 1)
    out = tmp_path / "out"
    for command in (("check", store), ("export", store, "-o", out), ("export", store, "--dry-run")):
        done = here(capfd, *command)
        assert done.code == 2
        assert "X/data: missing chunks: 1 of" in done.err
        assert "--accept-missing-chunks" in done.err
    assert not out.exists()
    done = here(capfd, "check", store, "--accept-missing-chunks")
    assert done.code == 0
    assert done.out.count("warning: ") == 2
    done = here(capfd, "export", store, "-o", out, "--accept-missing-chunks", "--workers", "1")
    assert done.code == 0
    assert done.out.count("missing chunks: ") == 2


def test_accepting_changes_no_byte(store: Path, tmp_path: Path) -> None:
    given = {"quiet": True, "workers": 1, "created_at": STAMP[1], "dataset_id": "a"}
    given["dataset_name"] = "a"
    export(store, tmp_path / "plain", **given)
    export(store, tmp_path / "accepted", **given, **ACCEPT)
    assert tree(tmp_path / "plain") == tree(tmp_path / "accepted")


@pytest.mark.parametrize("how", [(), ("--no-backed",)])
def test_a_server_does_not_start(
    store: Path, capfd: pytest.CaptureFixture[str], how: tuple[str, ...]
) -> None:
    remove_chunk(store, "X/indices", 1)
    done = here(capfd, "serve", store, "--no-browser", "--port", "0", *how)
    assert done.code == 2
    assert "X/indices: missing chunks: 1 of" in done.err


@pytest.mark.parametrize("backed", [True, False])
def test_a_server_tells_what_cells_show(store: Path, backed: bool) -> None:
    from cellucid_dask import CellucidServer

    remove_chunk(store, "obs/cell_type/codes", 1)
    remove_chunk(store, "X/data", 1)
    with pytest.raises(CellucidDaskError, match="X/data: missing chunks"):
        CellucidServer(store, port=0, backed=backed)
    with CellucidServer(store, port=0, backed=backed, index=False, **ACCEPT) as server:
        told = "\n".join(server.opened.warnings())
    assert "10 cells show category 'B cell'" in told
    assert "10 stored values read as 0" in told


def test_no_index_is_made_of_what_was_lost(
    store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    remove_chunk(store, "X/data", 1)
    made = "index", store, "--cache-dir", tmp_path / "cache", "--workers", "1"
    done = here(capfd, *made)
    assert done.code == 2
    assert "X/data: missing chunks: 1 of" in done.err
    assert not (tmp_path / "cache").exists()
    done = here(capfd, *made, "--accept-missing-chunks")
    assert done.code == 0
    assert "warning: " in done.out
    assert "10 stored values read as 0" in done.out


# ------------------------------------------------------------------------------------------- HDF5


def test_chunks_that_hdf5_never_wrote(tmp_path: Path) -> None:
    path = save(atlas(), tmp_path / "atlas.h5ad")
    with h5py.File(path, "r+") as file:
        for key, shape in (("X/data", (10,)), ("obs/n_counts", (20,))):
            values, attrs = file[key][:], dict(file[key].attrs)
            del file[key]
            made = file.create_dataset(key, values.shape, values.dtype, chunks=shape)
            made[shape[0] :] = values[shape[0] :]
            made.attrs.update(attrs)
    assert "X/data: missing chunks: 1 of 22 (first: 0); 10 stored" in only_problem(path)
    told = check(path, **ACCEPT).warnings
    assert [text.rsplit("; ")[1] for text in told] == [
        "10 stored values read as 0",
        "20 cells show 0",
    ]
    assert not check(save(atlas(), tmp_path / "whole.h5ad", compression="gzip")).warnings
