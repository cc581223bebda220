"""Fingerprints of data, and the folders of their gene indexes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import zarr
from gene_index_data import assert_genes, build_complete_index, make_messy_entries, open_x, save_h5

from cellucid_dask.server.cache_folder import default_cache_dir, index_folder
from cellucid_dask.server.gene_index.lock import try_lock
from cellucid_dask.source.storage.fingerprint import take_fingerprint


def test_a_changed_file_has_another_index_and_the_old_one_goes(tmp_path: Path) -> None:
    path, cache = tmp_path / "a.h5ad", tmp_path / "cache"
    folders = []
    for seed in (0, 1):
        entries = make_messy_entries(seed=seed)
        save_h5(entries, path)
        folders.append(index_folder(cache, take_fingerprint(path, "X")))
        assert_genes(build_complete_index(open_x(path), folders[-1]), entries)
    assert folders[0] != folders[1]
    assert not folders[0].exists()
    layer = index_folder(cache, take_fingerprint(path, "layers/counts"))
    build_complete_index(open_x(path), layer)
    assert folders[1].exists(), "another element of the same file"
    assert layer.parent != folders[1].parent


def test_an_older_index_that_is_being_built_is_left_alone(tmp_path: Path) -> None:
    path = save_h5(make_messy_entries(), tmp_path / "a.h5ad")
    old = index_folder(tmp_path, take_fingerprint(path))
    old.mkdir(parents=True)
    lock = try_lock(old)
    assert lock is not None
    other = old.parent / "notes"
    other.mkdir()
    os.utime(path, ns=(1, 1))
    build_complete_index(open_x(path), index_folder(tmp_path, take_fingerprint(path)))
    assert old.exists()
    assert other.exists()
    lock.release()


def test_a_folder_of_a_users_own_name_has_no_siblings(tmp_path: Path) -> None:
    (tmp_path / "0123456789abcdef.v1" / "mine").mkdir(parents=True)
    build_complete_index(make_messy_entries().matrix(), tmp_path / "index")
    assert (tmp_path / "0123456789abcdef.v1" / "mine").exists()


@pytest.mark.parametrize("name", ["a.h5ad", "a.zarr.zip"])
def test_fingerprint_of_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"one")
    first = take_fingerprint(path)
    assert (first.path, first.size) == (str(path), 3)
    assert take_fingerprint(path) == first
    assert take_fingerprint(path, "X") != first
    (tmp_path / "link").symlink_to(path)
    assert take_fingerprint(tmp_path / "link") == first
    os.utime(path, ns=(first.mtime_ns - 5, first.mtime_ns - 5))
    assert take_fingerprint(path).key() != first.key()
    with pytest.raises(FileNotFoundError):
        take_fingerprint(tmp_path / "none")


@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_fingerprint_of_a_zarr_folder(tmp_path: Path, zarr_format: Any, separator: Any) -> None:
    root = zarr.create_group(tmp_path / "a.zarr", zarr_format=zarr_format)
    encoding = {"name": "default" if zarr_format == 3 else "v2", "separator": separator}
    options: Any = {"dtype": "f4", "chunk_key_encoding": encoding}
    dense: Any = root.create_array("X", shape=(40, 20), chunks=(10, 10), **options)
    line: Any = root.create_array("layers/a/data", shape=(40,), chunks=(10,), **options)
    dense[:], line[:] = 1, 1

    def look() -> tuple[str, ...]:
        return tuple(
            take_fingerprint(tmp_path / "a.zarr", element).key()
            for element in (None, "X", "layers/a")
        )

    before = look()
    assert look() == before
    time.sleep(0.02)  # file systems keep time in steps
    dense[35, 15] = 2
    after = look()
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]
    time.sleep(0.02)
    line[5] = 2
    assert [a == b for a, b in zip(after, look(), strict=True)] == [False, True, False]
    after = look()
    root["layers"].attrs["note"] = 1  # not of the element itself
    assert [a == b for a, b in zip(after, look(), strict=True)] == [False, True, True]
    after = look()
    metadata = tmp_path / "a.zarr" / "X" / ("zarr.json" if zarr_format == 3 else ".zarray")
    os.utime(metadata, ns=(1, 1))  # an older file put back
    assert [a == b for a, b in zip(after, look(), strict=True)] == [False, False, True]
    with pytest.raises(FileNotFoundError):
        take_fingerprint(tmp_path / "a.zarr", "none")


def test_default_cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLUCID_DASK_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("CELLUCID_DASK_CACHE")
    assert default_cache_dir().is_absolute()
    assert default_cache_dir().name == "cellucid-dask"
