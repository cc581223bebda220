"""`verify --against` data that lost chunks reports them."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from atlas import atlas, here, save
from chunked import KINDS, remove_chunk, write_chunked, zipped

from cellucid_dask import CellucidDaskError, export
from cellucid_dask.verify import VerifyReport, verify

ACCEPT = {"accept_missing_chunks": True}
HINT = "; if its writer left them out, use accept_missing_chunks=True"


def exported(path: Path, **options: object) -> Path:
    out = path.parent / "out"
    export(path, out, quiet=True, workers=1, force=True, **options)
    return out


def lines(report: VerifyReport) -> list[str]:
    return [line for line in report.problems if "missing" in line]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of several chunks, written once."""
    return write_chunked(atlas(), tmp_path_factory.mktemp("verified") / "atlas.zarr", chunk=20)


@pytest.fixture
def store(original: Path, tmp_path: Path) -> Path:
    """A copy of it to remove chunks from."""
    return Path(shutil.copytree(original, tmp_path / "atlas.zarr"))


@pytest.mark.parametrize("kind", ["v2 .", "v3", "shards, index first"])
def test_lost_chunks_are_counted(tmp_path: Path, kind: str) -> None:
    path = write_chunked(atlas(), tmp_path / "atlas.zarr", KINDS[kind], chunk=20)
    out = exported(path)
    for pack in (Path, zipped):
        whole = verify(out, pack(path), workers=1)
        assert (whole.problems, whole.not_compared) == ((), ())
    remove_chunk(path, "X/indices", 1)
    lost = KINDS[kind].shard or 1
    for pack in (Path, zipped):
        said = f"X/indices: {lost} of 11 chunks are missing from the data, and read as 0"
        assert lines(verify(out, pack(path), workers=1)) == [said + HINT]


def test_chunks_that_a_shard_lacks_are_counted(tmp_path: Path) -> None:
    made = atlas()
    made.X.data[40:60] = 0  # zarr leaves that chunk out
    path = write_chunked(made, tmp_path / "atlas.zarr", KINDS["shards"], chunk=20)
    out = exported(path, **ACCEPT)
    said = "X/data: 1 of 11 chunks are missing from the data, and read as 0.0"
    assert verify(out, path, workers=1).problems == (said + HINT,)
    accepted = verify(out, path, workers=1, **ACCEPT)
    assert accepted.ok
    assert accepted.not_compared == (said,)


def test_what_an_export_of_the_same_store_agrees_with(
    store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for key, index in (("X/data", (1,)), ("obs/cell_type/codes", (1,)), ("obsm/X_pca", (0, 0))):
        remove_chunk(store, key, *index)
    out = exported(store, **ACCEPT)
    done = here(capfd, "verify", out, "--against", store, "--quiet")
    assert done.code == 1
    assert "X/data: 1 of 11 chunks are missing from the data" in done.out
    assert "not compared: obs/cell_type/codes: 1 of 3 chunks are missing" in done.out
    assert "not compared: obsm/X_pca: 1 of 3 chunks are missing" in done.out
    assert f"is damaged, or differs from {store}: 1 problem" in done.out
    done = here(capfd, "verify", out, "--against", store, "-q", "--accept-missing-chunks")
    assert done.code == 0
    assert "not compared: X/data: 1 of 11" in done.out


def test_lost_ids_and_most_of_an_array_are_a_problem(store: Path) -> None:
    out = exported(store)
    ids = "var/_index" if (store / "var/_index/c").exists() else "var/_index/values"
    remove_chunk(store, ids, 0)
    for number in (0, 1):
        remove_chunk(store, "obsm/X_pca", number, 0)
        remove_chunk(store, "obs/n_counts", number)
    found = verify(out, store, workers=1)
    assert {line[: line.index(" chunks")] for line in lines(found)} == {
        f"{ids}: 1 of 1",
        "obsm/X_pca: 2 of 3",
    }
    assert any(line.startswith("obs/n_counts: 2 of 3 chunks") for line in found.not_compared)


def test_columns_without_a_chunk_are_good(tmp_path: Path) -> None:
    made = atlas(columns={"zero": np.zeros(60, "f4"), "one": ["a"] * 60})
    path = write_chunked(made, tmp_path / "atlas.zarr", chunk=20)
    found = verify(exported(path), path, workers=1)
    assert found.ok
    said = "obs/zero: 3 of 3 chunks are missing from the data, and read as 0.0"
    assert found.not_compared == (said,)


def test_chunks_that_hdf5_never_wrote(tmp_path: Path) -> None:
    path = save(atlas(), tmp_path / "atlas.h5ad")
    out = exported(path)
    with h5py.File(path, "r+") as file:
        values, attrs = file["X/data"][:], dict(file["X/data"].attrs)
        del file["X/data"]
        file.create_dataset("X/data", values.shape, "f4", chunks=(20,))[20:] = values[20:]
        file["X/data"].attrs.update(attrs)
    told = lines(verify(out, path, workers=1))
    assert told == ["X/data: 1 of 11 chunks are missing from the data, and read as 0.0" + HINT]


@pytest.mark.parametrize(
    ("kind", "damage", "said"),
    [
        ("v2 .", "lost pointers", "indptr does not rise from 0"),
        ("v3", "lost pointers", "indptr does not rise from 0"),
        ("v2 .", "cut values", "gene 'Gene0' cannot be read"),
        ("v2 .", "lost attributes", "a group without the attribute encoding-type"),
    ],
)
def test_data_that_scipy_must_not_read_are_refused(
    tmp_path: Path, kind: str, damage: str, said: str
) -> None:
    """It would follow wrong pointers out of its memory, and end the process."""
    path = write_chunked(atlas(), tmp_path / "atlas.zarr", KINDS[kind], chunk=20)
    out = exported(path)
    if damage == "lost pointers":
        remove_chunk(path, "X/indptr", 1)
    elif damage == "cut values":
        group, chunk = zarr.open_group(path, mode="r+")["X"], path / "X/data/0"
        how = {"data": group["data"][:], "chunks": (20,), "overwrite": True}
        group.create_array("data", **how, compressors=numcodecs.Zlib())
        chunk.write_bytes(chunk.read_bytes()[:-9])
    else:
        (path / "obs/cell_type/.zattrs").unlink()
    with pytest.raises(CellucidDaskError, match=said):
        verify(out, path, workers=1)
