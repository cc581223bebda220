"""The gene index: the same genes as plain scipy finds, whatever happens while it is built."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
import zarr
from atlas import tree
from forks import Forked, can_mount, fork, forks, run_forked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.compute.choose_cluster import choose_cluster
from cellucid_dask.compute.engine import Engine
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.encode import encode_gene, value_range
from cellucid_dask.errors import CellucidDaskError, OutputError, PlanError, ReadError
from cellucid_dask.options.run import RunOptions
from cellucid_dask.server.cache_folder import default_cache_dir, index_folder
from cellucid_dask.server.datasets.gene_ranges import gene_ranges
from cellucid_dask.server.gene_index.background import BackgroundBuild
from cellucid_dask.server.gene_index.lock import BuildStopped, try_lock
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.server.gene_index.scan import SharedScans, plan_row_chunks
from cellucid_dask.server.gene_index.store import IndexStore
from cellucid_dask.source.arrays.matrix import Matrix, open_matrix, wrap_matrix
from cellucid_dask.source.storage.fingerprint import take_fingerprint
from cellucid_dask.source.storage.store import locate_store

MiB = 1 << 20
# As modules, for setattr.
index, index_build = (
    import_module(f"cellucid_dask.server.gene_index.{name}") for name in ("lookup", "build")
)
needs_mount = pytest.mark.skipif(not can_mount(), reason="only root may mount a small disk")


@dataclass
class Entries:
    """A CSR matrix as it lies in a file, with whatever a file may hold."""

    data: NDArray[Any]
    indices: NDArray[Any]
    indptr: NDArray[Any]
    n_genes: int
    known: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        return self.indptr.size - 1, self.n_genes

    def plain(self, column: int) -> NDArray[np.float32]:
        """The gene, entry by entry in the order of the file and in the type on disk."""
        if column not in self.known:
            self.known[column] = self._plain(column)
        return self.known[column]

    def _plain(self, column: int) -> NDArray[np.float32]:
        kind = np.float32 if self.data.dtype == np.float16 else self.data.dtype
        cells = np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))
        out = np.zeros(self.shape[0], kind)
        with np.errstate(all="ignore"):
            at = self.indices == column
            np.add.at(out, cells[at], self.data[at].astype(kind))
            return out.astype(np.float32)

    def matrix(self) -> Matrix:
        """The matrix in memory, as it is."""
        parts = (self.data, self.indices, self.indptr)
        return wrap_matrix(sparse.csr_array(parts, shape=self.shape), "X")


def messy(dtype: str = "f4", n_cells: int = 300, n_genes: int = 40, seed: int = 0) -> Entries:
    """Duplicates, unsorted indices, explicit zeros, -0.0, NaN, Inf; an empty and a full gene."""
    rng = np.random.default_rng(seed)
    per_cell = []
    for _ in range(n_cells):
        genes = rng.integers(0, n_genes, rng.integers(0, n_genes))  # some of them twice
        genes = genes[genes != 3 % n_genes]
        per_cell.append(np.append(genes, 5 % n_genes))
    indices = np.concatenate(per_cell)
    indptr = np.concatenate([[0], np.cumsum([genes.size for genes in per_cell])])
    kind = np.dtype(dtype)
    if kind.kind == "b":
        data = rng.random(indices.size) < 0.7
    elif kind.kind in "iu":
        top = min(np.iinfo(kind).max, 2**60)
        data = rng.integers(0 if kind.kind == "u" else -5, 9, indices.size).astype(kind)
        data[rng.random(indices.size) < 0.01] = top
    else:
        data = rng.lognormal(0, 1, indices.size).astype(kind)
        for value in (0.0, -0.0, np.nan, np.inf, -np.inf, -3.5, np.finfo(kind).max):
            data[rng.random(indices.size) < 0.01] = value
        data[indices == 7 % n_genes] = -0.0
    return Entries(data, indices.astype(np.int32), indptr.astype(np.int64), n_genes)


def large(n_cells: int = 300_000, n_genes: int = 30, seed: int = 0) -> Entries:
    """Several row chunks, since a chunk has 65,536 cells at most."""
    rng = np.random.default_rng(seed)
    part = sparse.random_array((n_cells, n_genes), density=0.15, format="csr", rng=rng, dtype="f4")
    return Entries(part.data, part.indices, part.indptr, n_genes)


def save_h5(entries: Entries, path: Path, **options: Any) -> Path:
    """Write `entries` as X of an HDF5 file."""
    with h5py.File(path, "w") as file:
        _fill(file.create_group("X"), entries, **options)
    return path


def _fill(group: Any, entries: Entries, **options: Any) -> None:
    facts = {"encoding-type": "csr_matrix", "encoding-version": "0.1.0"}
    group.attrs.update({**facts, "shape": [int(n) for n in entries.shape]})
    create = group.create_dataset if isinstance(group, h5py.Group) else group.create_array
    for name in ("data", "indices", "indptr"):
        values = getattr(entries, name)
        create(name, data=values, **(options if values.size else {}))


def opened(path: Path) -> Matrix:
    """X of a file."""
    store = locate_store(path)
    with store.open() as root:
        return open_matrix(store, "X", root["X"])


def assert_genes(found: GeneIndex, entries: Entries, columns: Any = None) -> None:
    """Every gene is, byte for byte, what `entries` say."""
    n_cells, n_genes = entries.shape
    for column in range(n_genes) if columns is None else columns:
        plain = entries.plain(column)
        pieces = found.pieces(column)
        raw = encode_gene(pieces, n_cells, None, 0)
        assert raw.payload == plain.tobytes(), column
        coded = encode_gene(pieces, n_cells, 8, 0)
        expected = encode_gene([(0, slice(None), plain)], n_cells, 8, 0)
        assert coded == expected, column
        cells = [np.arange(n_cells)[first:][where] for first, where, _ in pieces]
        assert np.unique(np.concatenate(cells)).size == sum(map(len, cells)), "a cell stands twice"


def finished(found: GeneIndex) -> str:
    """State in which a build has ended."""
    while found.progress()["state"] in ("waiting", "building"):
        time.sleep(0.002)
    return str(found.progress()["state"])


def built(matrix: Matrix, folder: Path, room: int = 64 * MiB, threads: int = 2) -> GeneIndex:
    """Index that is complete."""
    found = GeneIndex(matrix, folder, memory_bytes=room, threads=threads)
    found.start()
    assert finished(found) == "ready", found.error
    return found


def leftovers(folder: Path) -> list[str]:
    """What is not part of a complete index."""
    return [name for name in tree(folder) if "spill" in name or ".unfinished" in name]


def blocks(folder: Path) -> list[Path]:
    """Blocks that are there."""
    return sorted((folder / "index.zarr" / "blocks").glob("[0-9]*"))


# ----------------------------------------------------------------------- what genes hold


DTYPES = ["f4", "f8", "f2", ">f4", "i1", "u1", "u2", "i4", "i8", "u8", "?"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type(dtype: str, tmp_path: Path) -> None:
    entries = messy(dtype)
    matrix = opened(save_h5(entries, tmp_path / "a.h5ad"))
    assert_genes(GeneIndex(matrix, None, memory_bytes=16 * MiB, threads=2), entries)
    found = GeneIndex(matrix, tmp_path / "index", memory_bytes=16 * MiB, threads=2)
    assert_genes(found, entries, [0, 3, 5, 7])  # before it is started
    found.start()
    assert_genes(found, entries)
    assert finished(found) == "ready"
    assert_genes(found, entries)
    assert leftovers(tmp_path) == []


def _stores() -> dict[str, Callable[[Path, Entries], Path]]:
    def hdf5(**options: Any) -> Callable[[Path, Entries], Path]:
        return lambda folder, entries: save_h5(entries, folder / "a.h5ad", **options)

    def group(
        zarr_format: Any, consolidated: bool = False, **options: Any
    ) -> Callable[[Path, Entries], Path]:
        def save(folder: Path, entries: Entries) -> Path:
            root = zarr.create_group(folder / "a.zarr", zarr_format=zarr_format)
            _fill(root.create_group("X"), entries, **options)
            if consolidated:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # format 3 does not have it yet
                    zarr.consolidate_metadata(folder / "a.zarr")
            return folder / "a.zarr"

        return save

    def archive(folder: Path, entries: Entries) -> Path:
        made = group(3, chunks=(256,))(folder, entries)
        with zipfile.ZipFile(folder / "a.zarr.zip", "w") as packed:
            for path in sorted(made.rglob("*")):
                packed.write(path, path.relative_to(made))
        return folder / "a.zarr.zip"

    return {
        "h5ad": hdf5(),
        "h5ad gzip": hdf5(compression="gzip", chunks=(256,)),
        "h5ad shuffle": hdf5(compression="gzip", shuffle=True, chunks=(256,)),
        "v2": group(2, chunks=(256,)),
        "v2 consolidated": group(2, consolidated=True, chunks=(256,)),
        "v3": group(3, chunks=(256,)),
        "v3 consolidated": group(3, consolidated=True, chunks=(256,)),
        "v3 sharded": group(3, chunks=(64,), shards=(512,)),
        "zip": archive,
    }


@pytest.mark.parametrize("kind", _stores())
def test_every_store(kind: str, tmp_path: Path) -> None:
    entries = messy()
    matrix = opened(_stores()[kind](tmp_path, entries))
    assert_genes(GeneIndex(matrix, None, memory_bytes=16 * MiB, threads=2), entries, [0, 3, 5, 7])
    folder = index_folder(tmp_path / "cache", take_fingerprint(matrix.data.store.path, "X"))
    assert_genes(built(matrix, folder), entries)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (70, 0), (3, 1)])
def test_tiny_matrices(shape: tuple[int, int], tmp_path: Path) -> None:
    n_cells, n_genes = shape
    if n_genes:
        entries = messy(n_cells=n_cells, n_genes=n_genes)
    else:
        none = np.zeros(0, np.float32)
        entries = Entries(none, none.astype("i4"), np.zeros(n_cells + 1, np.int64), 0)
    matrix = opened(save_h5(entries, tmp_path / "a.h5ad"))
    assert_genes(built(matrix, tmp_path / "index"), entries)
    assert_genes(GeneIndex(matrix, None, memory_bytes=MiB, threads=2), entries)


def test_indices_of_64_bits(tmp_path: Path) -> None:
    entries = messy()
    entries.indices = entries.indices.astype(np.int64)
    assert_genes(built(opened(save_h5(entries, tmp_path / "a.h5ad")), tmp_path / "i"), entries)


def test_there_is_no_such_gene(tmp_path: Path) -> None:
    found = GeneIndex(messy().matrix(), None, memory_bytes=MiB, threads=1)
    for column in (-1, 40):
        with pytest.raises(IndexError):
            found.pieces(column)


def _dask_rows(kind: str) -> tuple[Matrix, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(500, 30)).astype("f4")
    if kind == "whole":
        dense = rng.integers(0, 9, dense.shape).astype("f4")
    dense[rng.random(dense.shape) < 0.4] = 0
    dense[250:][rng.random((250, 30)) < 0.9] = 0  # dense or not, as the rows are cut
    dense[:, 4] = 0
    if kind != "whole":
        dense[7, :], dense[9, 9] = np.nan, np.inf
    if kind != "sparse":
        dense[rng.random(dense.shape) < 0.1] = -0.0
    lazy = da.from_array(dense, chunks=(170, 11))
    if kind == "sparse":
        lazy = lazy.rechunk((170, 30)).map_blocks(sparse.csr_matrix, dtype="f4")
    return wrap_matrix(lazy, "X"), dense


@pytest.mark.parametrize("kind", ["dense", "whole", "sparse"])
def test_dask_arrays(kind: str, tmp_path: Path) -> None:
    matrix, dense = _dask_rows(kind)
    assert matrix.layout == "rows"
    kept = built(matrix, tmp_path / "index")
    for found in (kept, GeneIndex(matrix, None, memory_bytes=MiB, threads=2)):
        for column in range(30):
            raw = encode_gene(found.pieces(column), 500, None, 0).payload
            assert raw == dense[:, column].tobytes()


@st.composite
def entries_of(draw: st.DrawFn) -> Entries:
    """Small matrices, with values that add up to something else in another order."""
    n_cells, n_genes = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    dtype = draw(st.sampled_from(["f4", "f8", "f2", "i2", "u1", "?"]))
    cells = [
        draw(st.lists(st.integers(0, n_genes - 1), max_size=2 * n_genes)) for _ in range(n_cells)
    ]
    values = {"f": [0.0, -0.0, 1.5, 255.0, 1e8, -1e8, 3e38, 1e-45, np.nan, np.inf]}
    pool = values.get(np.dtype(dtype).kind, [0, 1, 2, 200])
    size = sum(map(len, cells))
    with np.errstate(all="ignore"):
        data = np.array([draw(st.sampled_from(pool)) for _ in range(size)], float).astype(dtype)
    indptr = np.concatenate([[0], np.cumsum([len(genes) for genes in cells])])
    return Entries(data, np.array([*chain(*cells)], np.int32), indptr.astype(np.int64), n_genes)


@settings(
    deadline=None,
    max_examples=30,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(entries=entries_of(), share=st.integers(1, 400), block=st.integers(1, 30))
def test_index_scan_and_plain_agree(
    monkeypatch: pytest.MonkeyPatch, entries: Entries, share: int, block: int
) -> None:
    monkeypatch.setattr(index, "MIN_TASK_BYTES", share)  # a cell or a few for each chunk
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", block)
    monkeypatch.setattr(index_build, "MAX_BLOCK_GENES", 4)
    with tempfile.TemporaryDirectory() as folder:
        found = GeneIndex(entries.matrix(), Path(folder, "i"), memory_bytes=0, threads=2)
        assert_genes(found, entries)
        found.start()
        assert finished(found) == "ready", found.error
        assert_genes(found, entries)


# ----------------------------------------------------------------------- while it is built


def test_genes_are_right_at_every_moment_of_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", 50_000)
    entries = large()
    matrix = opened(save_h5(entries, tmp_path / "a.h5ad", compression="gzip"))
    found = GeneIndex(matrix, tmp_path / "index", memory_bytes=32 * MiB, threads=2)
    states = set()

    def ask(seed: int) -> None:
        rng = random.Random(seed)
        while (state := found.progress()["state"]) != "ready":
            states.add(state)
            assert_genes(found, entries, [rng.randrange(entries.n_genes)])

    found.start()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(ask, range(3)))
    assert states & {"waiting", "building"}
    assert found.progress() == {
        "state": "ready",
        "rows_done": 300_000,
        "rows": 300_000,
        "blocks_done": len(blocks(tmp_path / "index")),
        "blocks": len(blocks(tmp_path / "index")),
    }
    assert len(blocks(tmp_path / "index")) > 5
    assert_genes(found, entries)
    assert leftovers(tmp_path) == []


def test_what_is_asked_for_is_built_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", 100)
    matrix = messy().matrix()
    tmp_path.joinpath("index").mkdir()
    store = IndexStore(tmp_path / "index", matrix.shape)
    build = BackgroundBuild(matrix, store, plan_row_chunks(matrix, MiB), 1, MiB, threading.Event())
    build.prioritize(20)
    build.prioritize(33)
    build.run(lambda: None)
    made = sorted(blocks(tmp_path / "index"), key=lambda path: path.stat().st_mtime_ns)
    order = [int(path.name) for path in made]
    asked = [store.block_of(33), store.block_of(20)]
    assert order == [*asked, *(i for i in range(store.n_blocks) if i not in asked)]


def test_a_spill_that_is_taken_away(tmp_path: Path) -> None:
    """As `stop` does when a task goes on for long, and as every build does at its end."""
    entries = messy()
    matrix = entries.matrix()
    tmp_path.joinpath("index").mkdir()
    store, stopped = IndexStore(tmp_path / "index", matrix.shape), threading.Event()
    build = BackgroundBuild(matrix, store, plan_row_chunks(matrix, MiB), 1, MiB, stopped)
    found = GeneIndex(matrix, tmp_path / "index", memory_bytes=16 * MiB, threads=1)

    chunks = plan_row_chunks(matrix, MiB)

    def check() -> None:
        if len(build.spills()) < len(chunks):
            return  # it is asked after each of them
        found._background = build
        assert_genes(found, entries, [2, 3])
        build.remove_spill()
        assert_genes(found, entries, [2, 3])
        stopped.set()

    with pytest.raises(BuildStopped):
        build.run(check)
    assert leftovers(tmp_path) == []


def test_the_same_bytes_whatever_the_memory_and_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", 1000)
    monkeypatch.setattr(index, "MIN_TASK_BYTES", 1)
    for name, matrix in (("csr", messy().matrix()), ("dask", _dask_rows("whole")[0])):
        trees: list[dict[str, str]] = []
        for room, threads in ((0, 1), (50_000, 1), (200 * MiB, 2)):
            folder = tmp_path / f"{name}-{room}" / "index"  # its name is in the index
            built(matrix, folder, room, threads)
            trees.append(tree(folder))
        assert len(trees[0]) > 20
        assert trees[0] == trees[1] == trees[2]


def test_requests_that_wait_share_one_scan() -> None:
    batches: list[list[int]] = []
    begun, go = threading.Event(), threading.Event()

    def find(columns: list[int]) -> list[Any]:
        batches.append(columns)
        begun.set()
        assert go.wait(30)
        return [[column] for column in columns]

    scans = SharedScans(find, max_genes=3)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(scans.get, 0)
        assert begun.wait(30)
        rest = [pool.submit(scans.get, column) for column in (0, 1, 2, 1, 3, 4, 0)]
        while len(scans._waiting) < 4:
            time.sleep(0.001)
        go.set()
        assert [future.result() for future in (first, *rest)] == [
            [column] for column in (0, 0, 1, 2, 1, 3, 4, 0)
        ]
    assert batches[0] == [0]
    assert [len(batch) for batch in batches] in ([1, 3, 1], [1, 3, 1, 1])
    assert sorted({column for batch in batches for column in batch}) == [0, 1, 2, 3, 4]


def test_an_error_reaches_all_who_wait() -> None:
    def find(columns: list[int]) -> list[Any]:
        raise ReadError("no")

    scans = SharedScans(find, max_genes=3)
    for _ in range(2):
        with pytest.raises(ReadError):
            scans.get(1)


# ----------------------------------------------------------------------- interruptions


def test_stop_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", 20_000)
    entries = large()
    matrix = opened(save_h5(entries, tmp_path / "a.h5ad", compression="gzip"))
    folder = tmp_path / "index"
    for reached in (
        lambda facts: facts["state"] == "building",
        lambda facts: facts["rows_done"] > 0,
        lambda facts: facts["blocks_done"] > 2,
    ):
        found = GeneIndex(matrix, folder, memory_bytes=32 * MiB, threads=2)
        found.start()
        while not reached(found.progress()):
            time.sleep(0.001)
        found.stop()
        assert found.progress()["state"] in ("off", "ready")
        assert leftovers(tmp_path) == []
        n_blocks = len(blocks(folder))
        missing = next((i for i in range(30) if not found._read_block(i)), None)
        if missing is not None:
            with pytest.raises(CancelledError):
                found.pieces(missing)
    assert n_blocks > 2
    before = {path: path.stat().st_mtime_ns for path in blocks(folder)}
    again = built(matrix, folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "not built again"
    assert_genes(again, entries)


BUILD = """
import sys, time
from pathlib import Path
from cellucid_dask.server.gene_index import build as index_build
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.source.arrays.matrix import open_matrix
from cellucid_dask.source.storage.store import locate_store

index_build.MIN_BLOCK_NNZ = 20_000
store = locate_store(sys.argv[1])
with store.open() as root:
    matrix = open_matrix(store, "X", root["X"])
found = GeneIndex(matrix, Path(sys.argv[2]), memory_bytes=32 << 20, threads=2)
found.start()
while found.progress()["state"] in ("waiting", "building"):
    time.sleep(0.002)
print(found.progress())
"""


@pytest.fixture
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Start Python processes, each with a file of what it says, that are gone after the test."""
    started: list[Forked] = []

    def start(text: str, *words: object) -> tuple[Forked, Path]:
        folder = tmp_path_factory.mktemp("child")
        (folder / "run.py").write_text(text)
        said, script = folder / "said", str(folder / "run.py")
        said.touch()
        started.append(fork(*words, cwd=folder, out=said, script=script))
        return started[-1], said

    yield start
    for child in started:
        child.kill()
        child.wait()


def test_a_builder_that_is_killed_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: Callable[..., Any]
) -> None:
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", 20_000)
    entries = large(n_cells=200_000)
    path = save_h5(entries, tmp_path / "a.h5ad", compression="gzip")
    folder = tmp_path / "killed" / "index"
    for moment in (0.0, 0.15, 0.4):
        child, _ = children(BUILD, path, folder)
        while not (folder / "lock").exists():
            assert child.poll() is None
            time.sleep(0.001)
        time.sleep(moment * random.uniform(0.7, 1.3))
        child.kill()
        child.wait()
        kept = {path: path.stat().st_mtime_ns for path in blocks(folder)}
        reader = GeneIndex(opened(path), folder, memory_bytes=32 * MiB, threads=2)
        assert_genes(reader, entries, [0, 17])
    again = built(opened(path), folder)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert_genes(again, entries)
    assert leftovers(tmp_path) == []
    built(opened(path), tmp_path / "clean" / "index")
    assert tree(folder) == tree(tmp_path / "clean" / "index")


def test_two_processes_build_one_index(tmp_path: Path, children: Callable[..., Any]) -> None:
    entries = large(n_cells=150_000)
    path = save_h5(entries, tmp_path / "a.h5ad")
    both = [children(BUILD, path, tmp_path / "index") for _ in range(2)]
    for child, said in both:
        child.wait(60)
        assert "'state': 'ready'" in said.read_text()
    assert leftovers(tmp_path) == []
    assert_genes(built(opened(path), tmp_path / "index"), entries)


HOLD = """
import sys, time
from pathlib import Path
from cellucid_dask.server.gene_index.lock import BuildStopped, try_lock

Path(sys.argv[1]).mkdir()
lock = try_lock(Path(sys.argv[1]))
Path(sys.argv[1], "spill-left").mkdir()
print("held", flush=True)
time.sleep(600)
"""


def test_a_builder_that_dies_while_another_waits(
    tmp_path: Path, children: Callable[..., Any]
) -> None:
    entries = messy()
    child, said = children(HOLD, tmp_path / "index")
    while said.read_text() != "held\n":
        assert child.poll() is None
        time.sleep(0.01)
    found = GeneIndex(entries.matrix(), tmp_path / "index", memory_bytes=16 * MiB, threads=2)
    found.start()
    assert_genes(found, entries)
    assert found.progress()["state"] == "waiting"
    child.kill()
    assert finished(found) == "ready"
    assert_genes(found, entries)
    assert leftovers(tmp_path) == []


def test_blocks_of_another_builder_are_used_as_they_appear(tmp_path: Path) -> None:
    entries = messy()
    built(entries.matrix(), tmp_path / "other")
    folder = tmp_path / "index"
    folder.mkdir()
    lock = try_lock(folder)
    assert lock is not None
    found = GeneIndex(entries.matrix(), folder, memory_bytes=16 * MiB, threads=2)
    found.start()
    assert_genes(found, entries, [2])
    assert found.progress()["state"] == "waiting"
    shutil.copytree(tmp_path / "other" / "index.zarr", folder / "beside.zarr")
    facts = json.loads((folder / "beside.zarr" / "zarr.json").read_text())
    facts["attributes"]["source"] = "index"
    (folder / "beside.zarr" / "zarr.json").write_text(json.dumps(facts))
    (folder / "beside.zarr").rename(folder / "index.zarr")
    assert finished(found) == "ready"  # with the lock still held by the other
    assert_genes(found, entries)
    lock.release()


def test_waiting_can_be_stopped(tmp_path: Path) -> None:
    tmp_path.joinpath("index").mkdir()
    lock = try_lock(tmp_path / "index")
    assert lock is not None
    found = GeneIndex(messy().matrix(), tmp_path / "index", memory_bytes=16 * MiB, threads=2)
    found.start()
    found.stop()
    assert found.progress()["state"] == "off"
    lock.release()


# ----------------------------------------------------------------------- damage


@pytest.mark.parametrize("name", ["data", "indices", "indptr"])
@pytest.mark.parametrize("harm", ["removed", "cut", "spoilt"])
def test_a_damaged_block_is_noticed_and_built_again(tmp_path: Path, name: str, harm: str) -> None:
    entries = messy()
    built(entries.matrix(), tmp_path / "index")
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
    assert finished(found) == "ready"
    assert path.read_bytes() == whole
    assert_genes(found, entries)


def test_a_cache_that_is_removed_meanwhile(tmp_path: Path) -> None:
    entries = messy()
    found = built(entries.matrix(), tmp_path / "index")
    for _ in range(2):
        shutil.rmtree(tmp_path / "index")
        assert_genes(found, entries)
        finished(found)
    assert found.progress()["state"] == "failed"  # it does not go on for ever
    assert "disappear" in found.progress()["reason"]
    assert_genes(found, entries)


def _spoil(path: Path) -> None:
    with h5py.File(path) as file:
        stored = file["X/data"].id.get_chunk_info(2)
    with path.open("r+b") as raw:
        raw.seek(stored.byte_offset + 8)
        raw.write(b"\xff" * (stored.size - 16))


def test_damaged_data(tmp_path: Path) -> None:
    path = save_h5(messy(), tmp_path / "a.h5ad", compression="gzip", chunks=(256,))
    matrix = opened(path)
    _spoil(path)
    found = GeneIndex(matrix, tmp_path / "cache" / "index", memory_bytes=16 * MiB, threads=2)
    found.start()
    assert finished(found) == "failed"
    facts = found.progress()
    assert "data cannot be read" in facts["reason"]
    assert str(tmp_path) not in json.dumps(facts)
    assert list((tmp_path / "cache").iterdir()) == []
    with pytest.raises(ReadError, match="chunk 2"):
        found.pieces(0)


def test_data_that_change_while_they_are_read(tmp_path: Path) -> None:
    path = save_h5(messy(), tmp_path / "a.h5ad")
    mark = take_fingerprint(path, "X")
    os.utime(path, ns=(1, 1))
    folder = index_folder(tmp_path / "cache", mark)
    found = GeneIndex(opened(path), folder, memory_bytes=16 * MiB, threads=2, data_fingerprint=mark)
    found.start()
    assert finished(found) == "failed"
    assert "changed" in found.progress()["reason"]
    assert not folder.parent.exists()


@pytest.mark.parametrize("given", [b"", b"{", b'{"zarr_format": 3, "node_type": "group"}'])
def test_an_index_that_is_none_is_replaced(tmp_path: Path, given: bytes) -> None:
    tmp_path.joinpath("index", "index.zarr").mkdir(parents=True)
    tmp_path.joinpath("index", "index.zarr", "zarr.json").write_bytes(given)
    entries = messy()
    assert_genes(built(entries.matrix(), tmp_path / "index"), entries)


# ----------------------------------------------------------------------- disks

ON_DISK = """
import json, sys, time
from pathlib import Path
from cellucid_dask.encode import encode_gene
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.source.arrays.matrix import open_matrix
from cellucid_dask.source.storage.store import locate_store

store = locate_store("a.h5ad")
with store.open() as root:
    matrix = open_matrix(store, "X", root["X"])
found = GeneIndex(matrix, Path(sys.argv[1]).absolute(), memory_bytes=32 << 20, threads=2)
found.start()
while found.progress()["state"] in ("waiting", "building"):
    time.sleep(0.002)
n = matrix.shape[0]
genes = [encode_gene(found.pieces(i), n, None, 0).payload for i in range(matrix.shape[1])]
Path("genes").write_bytes(b"".join(genes))
print(json.dumps(found.progress()))
"""


def on_disk(cwd: Path, index: str, *mounts: str) -> dict[str, Any]:
    """What `ON_DISK` says where disks are mounted at ``disk``."""
    (cwd / "disk").mkdir(exist_ok=True)
    script = cwd / "build.py"
    script.write_text(ON_DISK)
    try:
        for mount in mounts:
            forks().shell(f"mount {mount} {cwd / 'disk'}")
        code, said, error = run_forked(index, cwd=cwd, script=str(script))
        assert code == 0, error
        assert str(cwd) not in said
        facts: dict[str, Any] = json.loads(said)
        facts["left"] = [path.name for path in forks().seen(cwd / index).parent.glob("*")]
        return facts
    finally:
        for _ in mounts:
            forks().shell(f"umount -l {cwd / 'disk'} 2>/dev/null; true")


@needs_mount
@pytest.mark.parametrize(
    ("disk", "reason"),
    [
        ("size=64k", "free"),  # found out before
        ("size=3m", "free"),  # found out by the first chunk
        ("size=64m,nr_inodes=14", "No space left"),  # which no estimate of bytes foresees
        ("size=64m,ro", "Read-only"),
    ],
)
def test_disks_that_do_not_take_it(tmp_path: Path, disk: str, reason: str) -> None:
    entries = large(n_cells=140_000, n_genes=20)
    save_h5(entries, tmp_path / "a.h5ad")
    facts = on_disk(tmp_path, "disk/deep/index", f"-t tmpfs -o {disk} tmpfs")
    assert facts["state"] == "failed"
    assert reason in facts["reason"]
    assert facts["left"] == []
    plain = b"".join(entries.plain(i).tobytes() for i in range(20))
    assert (tmp_path / "genes").read_bytes() == plain


@needs_mount
def test_a_complete_index_on_a_read_only_disk(tmp_path: Path) -> None:
    entries = messy()
    save_h5(entries, tmp_path / "a.h5ad")
    built(opened(tmp_path / "a.h5ad"), tmp_path / "disk" / "index")
    before = tree(tmp_path / "disk")
    mounts = (f"--bind {tmp_path / 'disk'}", "-o remount,ro,bind")
    assert on_disk(tmp_path, "disk/index", *mounts)["state"] == "ready"
    assert tree(tmp_path / "disk") == before


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    path = save_h5(messy(), tmp_path / "a.h5ad")
    before = tree(tmp_path)
    found = GeneIndex(opened(path), None, memory_bytes=16 * MiB, threads=2)
    found.start()
    assert found.progress()["state"] == "off"
    assert_genes(found, messy())
    found.stop()
    assert tree(tmp_path) == before


MEMORY = """
import json, re, sys, time
from pathlib import Path
from cellucid_dask.server.datasets.gene_ranges import gene_ranges
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.source.arrays.matrix import open_matrix
from cellucid_dask.source.storage.store import locate_store

def peak():  # ru_maxrss would be that of pytest, from before the exec
    return int(re.search(r"VmHWM:[^0-9]*([0-9]+)", Path("/proc/self/status").read_text())[1]) << 10

def work(path, folder, room):
    store = locate_store(path)
    with store.open() as root:
        matrix = open_matrix(store, "X", root["X"])
    found = GeneIndex(matrix, Path(folder), memory_bytes=room, threads=2)
    found.pieces(0)
    yield peak()
    gene_ranges(matrix, room, 2)
    yield peak()
    found.start()
    while found.progress()["state"] in ("waiting", "building"):
        time.sleep(0.002)
    assert found.progress()["state"] == "ready", found.error
    found.pieces(0)
    yield peak()

small, path, folder, room = sys.argv[1:]
list(work(small, folder + "-small", int(room)))  # all that is imported and started once
base = peak()
print(json.dumps([n - base for n in work(path, folder, int(room))]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_is_bounded(tmp_path: Path) -> None:
    room = 64 * MiB
    part = large(n_cells=5000, n_genes=2000)
    times = 16
    pointers = [part.indptr[1:] + i * part.data.size for i in range(times)]
    entries = Entries(
        np.tile(part.data, times),
        np.tile(part.indices, times),
        np.concatenate([[0], *pointers]).astype(np.int64),
        2000,
    )
    path = save_h5(entries, tmp_path / "a.h5ad", chunks=(1 << 16,))
    assert path.stat().st_size > 2.5 * room
    small = save_h5(messy(), tmp_path / "small.h5ad")
    command = [sys.executable, "-c", MEMORY, str(small), str(path), str(tmp_path / "i"), str(room)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    scan, ranges, build = json.loads(said)
    assert scan < room
    assert ranges < 1.25 * room
    assert build < 1.5 * room  # malloc keeps what threads have freed


# ----------------------------------------------------------------------- versions of the data


def test_a_changed_file_has_another_index_and_the_old_one_goes(tmp_path: Path) -> None:
    path, cache = tmp_path / "a.h5ad", tmp_path / "cache"
    folders = []
    for seed in (0, 1):
        entries = messy(seed=seed)
        save_h5(entries, path)
        folders.append(index_folder(cache, take_fingerprint(path, "X")))
        assert_genes(built(opened(path), folders[-1]), entries)
    assert folders[0] != folders[1]
    assert not folders[0].exists()
    layer = index_folder(cache, take_fingerprint(path, "layers/counts"))
    built(opened(path), layer)
    assert folders[1].exists(), "another element of the same file"
    assert layer.parent != folders[1].parent


def test_an_older_index_that_is_being_built_is_left_alone(tmp_path: Path) -> None:
    path = save_h5(messy(), tmp_path / "a.h5ad")
    old = index_folder(tmp_path, take_fingerprint(path))
    old.mkdir(parents=True)
    lock = try_lock(old)
    assert lock is not None
    other = old.parent / "notes"
    other.mkdir()
    os.utime(path, ns=(1, 1))
    built(opened(path), index_folder(tmp_path, take_fingerprint(path)))
    assert old.exists()
    assert other.exists()
    lock.release()


def test_a_folder_of_a_users_own_name_has_no_siblings(tmp_path: Path) -> None:
    (tmp_path / "0123456789abcdef.v1" / "mine").mkdir(parents=True)
    built(messy().matrix(), tmp_path / "index")
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


# ----------------------------------------------------------------------- the command


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_build_the_same_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    entries = large(n_cells=150_000)
    matrix = opened(save_h5(entries, tmp_path / "a.h5ad"))
    folder = tmp_path / "one" / "index"
    found = GeneIndex(matrix, folder, memory_bytes=64 * MiB, threads=2)
    run = RunOptions(workers=workers)
    with Engine(choose_cluster(run, in_memory=False, small=False), Reporter(quiet=True)) as engine:
        assert found.build(engine, 256 * MiB)
        assert not found.build(engine, 256 * MiB)
    assert found.progress()["state"] == "ready"
    assert_genes(found, entries, [0, 29])
    built(matrix, tmp_path / "two" / "index")
    assert tree(folder) == tree(tmp_path / "two" / "index")


def test_what_stops_the_command(tmp_path: Path) -> None:
    path = save_h5(messy(), tmp_path / "a.h5ad", compression="gzip", chunks=(256,))
    matrix = opened(path)
    (tmp_path / "file").touch()
    run = RunOptions(workers=1)
    with Engine(choose_cluster(run, in_memory=False, small=True), Reporter(quiet=True)) as engine:

        def build(folder: Path, share: int = 256 * MiB) -> None:
            GeneIndex(matrix, folder, memory_bytes=64 * MiB, threads=2).build(engine, share)

        with pytest.raises(PlanError, match="a task needs"):
            build(tmp_path / "index", 1000)
        with pytest.raises(OutputError, match="cannot be written"):
            build(tmp_path / "file" / "index")
        _spoil(path)
        with pytest.raises(ReadError, match="chunk 2"):
            build(tmp_path / "index")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5ad", "file"]


# ----------------------------------------------------------------------- ranges


def assert_ranges(
    matrix: Matrix, genes: list[NDArray[np.float32]], memory_bytes: int = 16 * MiB
) -> None:
    """Ranges are those of the whole genes."""
    expected = [(span.lo, span.hi) for span in map(value_range, genes)]
    assert gene_ranges(matrix, memory_bytes, 2) == expected


@pytest.mark.parametrize("room", [1, 100_000, 16 * MiB])
@pytest.mark.parametrize("dtype", DTYPES)
def test_ranges_of_sparse_matrices(dtype: str, room: int) -> None:
    entries = messy(dtype)
    genes = [entries.plain(i) for i in range(entries.n_genes)]
    assert_ranges(entries.matrix(), genes, room)
    kind = np.float32 if dtype == "f2" else entries.data.dtype.newbyteorder("=")
    parts = (entries.data.astype(kind), entries.indices, entries.indptr)
    turned = sparse.csr_array(parts, shape=entries.shape).tocsc()  # keeps duplicates
    assert_ranges(wrap_matrix(turned, "X"), genes, room)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "?"])
def test_ranges_of_dense_matrices(dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 12)) * 10
    values[:, 3], values[:, 4] = 7, 0
    if dtype.startswith("f"):
        values[5, :6], values[:, 8], values[9, 9] = np.nan, np.inf, 1e39
    with np.errstate(all="ignore"):
        dense = values.astype(dtype)
        genes = list(np.ascontiguousarray(dense.astype("f4").T))
    assert_ranges(wrap_matrix(dense, "X"), genes)
    assert_ranges(wrap_matrix(dense, "X"), genes, memory_bytes=1)
    assert_ranges(wrap_matrix(da.from_array(dense, chunks=(70, 5)), "X"), genes)
    for name, chunks in (("none", None), ("rows", (20, 12)), ("columns", (300, 2))):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("X", data=dense, chunks=chunks)
        assert_ranges(opened(tmp_path / name), genes)
        assert_ranges(opened(tmp_path / name), genes, memory_bytes=10_000)


def test_ranges_of_dask_arrays_of_sparse_blocks() -> None:
    matrix, dense = _dask_rows("sparse")
    assert_ranges(matrix, list(dense.T))


def test_ranges_of_damaged_data(tmp_path: Path) -> None:
    path = save_h5(messy(), tmp_path / "a.h5ad", compression="gzip", chunks=(256,))
    matrix = opened(path)
    _spoil(path)
    with pytest.raises(CellucidDaskError, match="chunk 2"):
        gene_ranges(matrix, 16 * MiB, 2)


@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_ranges_can_be_stopped(layout: str) -> None:
    stopped = threading.Event()
    stopped.set()
    values = sparse.random_array((50, 20), density=0.5, format=layout)
    with pytest.raises(CancelledError):
        gene_ranges(wrap_matrix(values, "X"), MiB, 2, stopped)
