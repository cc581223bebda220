"""Chunks of ready files that a journal names: kept where every byte is there, made again else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellucid_dask.exporter.ready_receipts import CHUNK_RECEIPT, ReadyWork, StoredChunks
from cellucid_dask.exporter.recovery import ready_claims
from cellucid_dask.exporter.recovery.journal import Journal, read_journal
from cellucid_dask.exporter.recovery.ready_claims import file_keys, stored_parts
from cellucid_dask.exporter.recovery.resume import batches, check_files
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, ChunkWriter, Target
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.ready.zarr_keys import chunk_key, chunk_keys

TWO_D = ArrayNode("obsm/X_pca", (50, 7), "<f4", (8, 3), shuffle=True)
SCALAR = ArrayNode("uns/x", (), "<i8", ())


def write_work(folder: Path, zarr_format: int) -> tuple[ReadyWork, dict[str, Path]]:
    """Work on two arrays with a piece, for a store and a file; and the stores."""
    stores = {"zarr": folder / "out.zarr"}
    for path in (stores["zarr"], folder / "parts", folder / "scratch"):
        path.mkdir()
    zarr = Target("zarr", "zarr3" if zarr_format == 3 else "zarr2", str(stores["zarr"]))
    targets = (zarr, Target("h5ad", "hdf5"))
    where = ChunkStores(targets, str(folder / "parts"), str(folder / "scratch"))
    values = np.random.default_rng(0).random(TWO_D.shape).astype("f4")
    with ChunkWriter(where) as writer:
        for chunk in range(TWO_D.n_chunks):
            writer.write(TWO_D, chunk, values[TWO_D.region(chunk)])
        writer.write(SCALAR, 0, np.array(7))
        writer.write_piece("X/data", 5, np.arange(9, dtype="f4"))
        return writer.work("obsm/X_pca", note=1), stores


def is_intact(work: ReadyWork, stores: dict[str, Path]) -> bool:
    claims = list(stored_parts(work, stores))
    return all(good for batch in batches(claims) for good in check_files(batch))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_every_file_of_a_store_is_found_by_the_journal(tmp_path: Path, zarr_format: int) -> None:
    work, stores = write_work(tmp_path, zarr_format)
    journal = Journal(tmp_path / "journal.jsonl")
    journal.begin({"input": "x"})
    journal.ready(ReadyWork(work.key, ()))  # replaced by the later one
    journal.ready(work)
    entries = read_journal(tmp_path / "journal.jsonl")
    assert entries is not None
    done = entries.finished_work()
    (read,) = done.ready
    assert (read.key, read.facts) == (work.key, work.facts)
    there = {path for path in stores["zarr"].rglob("*") if path.is_file()}
    assert {stores["zarr"] / key for stored in read.chunks for key in file_keys(stored)} == there
    assert done.spill_files == set(map(str, (tmp_path / "scratch").iterdir()))
    assert done.n == 1
    assert is_intact(read, stores)


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize("spoil", [_flip, _cut, Path.unlink, _lengthen])
@pytest.mark.parametrize("where", ["out.zarr/obsm/X_pca/3.1", "out.zarr/uns/x/0", "scratch"])
def test_a_changed_byte_costs_the_whole_work(
    tmp_path: Path, spoil: Callable[[Path], None], where: str
) -> None:
    work, stores = write_work(tmp_path, 2)
    path = tmp_path / where
    if where == "scratch":
        (path,) = path.iterdir()
    spoil(path)
    # Others may have added to a pack after what the work names.
    assert is_intact(work, stores) == (where == "scratch" and spoil is _lengthen)


def test_a_store_that_the_run_does_not_make_is_no_place(tmp_path: Path) -> None:
    work, _ = write_work(tmp_path, 2)
    assert not is_intact(work, {})


def test_large_work_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, stores = write_work(tmp_path, 2)
    monkeypatch.setattr(ready_claims, "PART_CHUNKS", 4)
    parts = list(stored_parts(work, stores))
    assert max(part.n for part in parts) == 4
    assert sum(part.n for part in parts) == 2 * (TWO_D.n_chunks + 1) + 1
    assert is_intact(work, stores)
    _flip(stores["zarr"] / "obsm/X_pca/6.2")
    assert [part.holds() for part in parts].count(False) == 1


@pytest.mark.parametrize("array", ["../mine", "a/../../mine", "", "/etc", "a//b", "."])
def test_paths_that_lead_out_of_the_store_are_refused(tmp_path: Path, array: str) -> None:
    """In a journal that only a person can have made."""
    chunks = np.zeros(1, CHUNK_RECEIPT)
    journal = Journal(tmp_path / "journal.jsonl")
    journal.begin({"input": "x"})
    journal.ready(ReadyWork("x", (StoredChunks("zarr", array, "", chunks, (1,), 2),)))
    entries = read_journal(tmp_path / "journal.jsonl")
    assert entries is not None
    assert entries.finished_work().ready == []


@pytest.mark.parametrize(
    "spoiled", [{"grid": "x"}, {"size": [1, 2]}, {"crc32": [-1]}, {"zarr_format": None}]
)
def test_records_that_no_run_wrote_are_left_out(tmp_path: Path, spoiled: dict[str, object]) -> None:
    chunks = np.zeros(1, CHUNK_RECEIPT)
    record = ReadyWork("x", (StoredChunks("zarr", "a", "", chunks, (1,), 2),)).as_dict()
    record["chunks"][0].update(spoiled)
    with pytest.raises((LookupError, TypeError, ValueError, OverflowError)):
        ReadyWork.of(json.loads(json.dumps(record)))


def test_chunks_outside_of_the_grid_are_not_intact(tmp_path: Path) -> None:
    chunks = np.zeros(1, CHUNK_RECEIPT)
    chunks["chunk"] = 9
    work = ReadyWork("x", (StoredChunks("zarr", "a", "", chunks, (2, 2), 2),))
    assert not is_intact(work, {"zarr": tmp_path})


@given(st.lists(st.integers(1, 40), min_size=0, max_size=3), st.sampled_from([2, 3]), st.data())
def test_keys_of_many_chunks_are_those_of_each(
    grid: list[int], zarr_format: int, data: st.DataObject
) -> None:
    node = ArrayNode("a/b", tuple(grid), "<f4", (1,) * len(grid))
    chunks = data.draw(st.lists(st.integers(0, node.n_chunks - 1), max_size=5))
    expected = [chunk_key(node, chunk, zarr_format) for chunk in chunks]  # type: ignore[arg-type]
    assert chunk_keys("a/b", grid, chunks, zarr_format) == expected  # type: ignore[arg-type]
