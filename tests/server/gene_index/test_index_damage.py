"""Damaged blocks, damaged data and lost files of a gene index."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from gene_index_data import (
    MiB,
    assert_genes,
    build_complete_index,
    damage_data_chunk,
    make_messy_entries,
    open_x,
    save_h5,
    wait_for_end,
)

from cellucid_dask.errors import ReadError
from cellucid_dask.server.cache_folder import index_folder
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.source.storage.fingerprint import take_fingerprint


@pytest.mark.parametrize("name", ["data", "indices", "indptr"])
@pytest.mark.parametrize("harm", ["removed", "cut", "spoilt"])
def test_a_damaged_block_is_noticed_and_built_again(tmp_path: Path, name: str, harm: str) -> None:
    entries = make_messy_entries()
    build_complete_index(entries.matrix(), tmp_path / "index")
    path = tmp_path / "index" / "index.zarr" / "blocks" / "0" / name / "c" / "0"
    whole = path.read_bytes()
    if harm == "removed":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 16]) + whole[middle + 1 :])
    found = GeneIndex(entries.matrix(), tmp_path / "index", memory_bytes=16 * MiB, threads=2)
    found.start()
    assert_genes(found, entries)
    assert wait_for_end(found) == "ready"
    assert path.read_bytes() == whole
    assert_genes(found, entries)


def test_a_removed_index_is_rebuilt_once(tmp_path: Path) -> None:
    entries = make_messy_entries()
    found = build_complete_index(entries.matrix(), tmp_path / "index")
    for _ in range(2):
        shutil.rmtree(tmp_path / "index")
        assert_genes(found, entries)
        wait_for_end(found)
    assert found.progress()["state"] == "failed"  # it does not go on for ever
    assert "disappear" in found.progress()["reason"]
    assert_genes(found, entries)


def test_damaged_data_fail_the_build_and_leave_no_files(tmp_path: Path) -> None:
    path = save_h5(make_messy_entries(), tmp_path / "a.h5ad", compression="gzip", chunks=(256,))
    matrix = open_x(path)
    damage_data_chunk(path)
    found = GeneIndex(matrix, tmp_path / "cache" / "index", memory_bytes=16 * MiB, threads=2)
    found.start()
    assert wait_for_end(found) == "failed"
    facts = found.progress()
    assert "data cannot be read" in facts["reason"]
    assert str(tmp_path) not in json.dumps(facts)
    assert list((tmp_path / "cache").iterdir()) == []
    with pytest.raises(ReadError, match="chunk 2"):
        found.pieces(0)


def test_data_that_change_during_the_build_give_no_index(tmp_path: Path) -> None:
    path = save_h5(make_messy_entries(), tmp_path / "a.h5ad")
    mark = take_fingerprint(path, "X")
    os.utime(path, ns=(1, 1))
    folder = index_folder(tmp_path / "cache", mark)
    found = GeneIndex(open_x(path), folder, memory_bytes=16 * MiB, threads=2, data_fingerprint=mark)
    found.start()
    assert wait_for_end(found) == "failed"
    assert "changed" in found.progress()["reason"]
    assert not folder.parent.exists()


@pytest.mark.parametrize("given", [b"", b"{", b'{"zarr_format": 3, "node_type": "group"}'])
def test_an_invalid_index_is_replaced(tmp_path: Path, given: bytes) -> None:
    tmp_path.joinpath("index", "index.zarr").mkdir(parents=True)
    tmp_path.joinpath("index", "index.zarr", "zarr.json").write_bytes(given)
    entries = make_messy_entries()
    assert_genes(build_complete_index(entries.matrix(), tmp_path / "index"), entries)
