"""The same bytes from threads and processes, any number of workers, and any memory."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import psutil
import pytest
from anndata import AnnData
from distributed import Client
from forks import fork_dask
from oracle import CHECKSUMS, CREATED, file_bytes, make_atlas, make_graph, silent
from scipy import sparse
from versions import write_zarr

from cellucid_dask import ExportResult, export
from cellucid_dask.errors import PlanError

# As a module, for setattr.
cuts = import_module("cellucid_dask.exporter.planning.cuts")

N_CELLS, N_GENES = 70_000, 260  # more cells than a row chunk or a span of a reduction holds
SETTINGS: dict[str, Any] = {
    "quiet": True,
    "created_at": CREATED,
    "compression": 1,
    "embeddings": {2: ["X_umap_2d", "spatial"]},
}
Run = Callable[..., tuple[ExportResult, dict[str, bytes]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An atlas of some millions of values, as h5ad and as zarr."""
    folder = tmp_path_factory.mktemp("inputs")
    adata = wide_atlas()
    silent(adata.write_h5ad, folder / "csr.h5ad", compression="lzf")
    write_zarr(adata, folder / "csr.zarr")
    part = adata[:20_000, :40].copy()
    for layout in ("csc", "dense"):
        part.X = part.X.toarray() if layout == "dense" else part.X.tocsc()
        silent(part.write_h5ad, folder / f"{layout}.h5ad")
        part.X = sparse.csr_matrix(part.X)
    return folder


def wide_atlas() -> AnnData:
    """Cells by genes with 40% stored, in a few categories, with a graph."""
    rng = np.random.default_rng(9)
    nnz = N_CELLS * N_GENES * 4 // 10
    counts = rng.multinomial(nnz, np.full(N_CELLS, 1 / N_CELLS)).clip(max=N_GENES)
    indptr = np.r_[0, np.cumsum(counts)]
    starts = np.repeat(rng.integers(0, N_GENES, N_CELLS), counts)
    indices = (starts + np.arange(indptr[-1]) - np.repeat(indptr[:-1], counts)) % N_GENES
    values = rng.integers(1, 40, indptr[-1]).astype(np.float32) / 8
    expression = sparse.csr_matrix((values, indices, indptr), shape=(N_CELLS, N_GENES))
    expression.sort_indices()
    codes = rng.integers(0, 30, N_CELLS)
    pca = (rng.normal(size=(30, 8))[codes] + rng.normal(size=(N_CELLS, 8))).astype(np.float32)
    return AnnData(
        expression,
        obs=pd.DataFrame(
            {"type": pd.Categorical(codes), "depth": rng.normal(size=N_CELLS)},
            index=np.arange(N_CELLS).astype(str),
        ),
        obsm={
            "X_pca": pca,
            "X_umap_2d": pca[:, :2].copy(),
            "X_umap_3d": pca[:, 2:5].copy(),
            "spatial": pca[:, 5:7].copy(),
        },
        obsp={"connectivities": make_graph(N_CELLS)},
    )


def every_file(out: Path) -> dict[str, bytes]:
    """What is in an export, its checksums among it."""
    return {**file_bytes(out), CHECKSUMS: (out / CHECKSUMS).read_bytes()}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Export to a folder of one name, and return what is in it."""
    done = []

    def work(data: Any, **options: Any) -> tuple[ExportResult, dict[str, bytes]]:
        out = tmp_path / str(len(done)) / "atlas"
        done.append(out)
        result = export(data, out, **SETTINGS | options)
        return result, every_file(out)

    return work


@pytest.fixture(scope="module")
def expected(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one worker writes of the CSR h5ad."""
    out = tmp_path_factory.mktemp("expected") / "atlas"
    result = export(folder / "csr.h5ad", out, workers=1, **SETTINGS)
    assert int(result.plan["row chunks"]) >= 2
    return every_file(out)


def assert_same_bytes(ours: dict[str, bytes], expected: dict[str, bytes]) -> None:
    assert list(ours) == list(expected)
    assert [name for name in ours if ours[name] != expected[name]] == []


@pytest.mark.parametrize("workers", [3])  # two are on the scheduler below
def test_worker_processes(folder: Path, expected: dict[str, bytes], run: Run, workers: int) -> None:
    result, made = run(folder / "csr.h5ad", workers=workers)
    assert f"{workers} worker processes" in result.plan["runs on"]
    assert_same_bytes(made, expected)


def test_threads(folder: Path, expected: dict[str, bytes], run: Run) -> None:
    result, made = run(folder / "csr.zarr")
    assert "in this process" in result.plan["runs on"]
    assert_same_bytes(made, expected)


def test_a_second_run(folder: Path, expected: dict[str, bytes], run: Run) -> None:
    assert_same_bytes(run(folder / "csr.h5ad", workers=1)[1], expected)


def test_zarr_in_place_of_h5ad(folder: Path, expected: dict[str, bytes], run: Run) -> None:
    assert_same_bytes(run(folder / "csr.zarr", workers=1)[1], expected)


def test_in_memory(folder: Path, expected: dict[str, bytes], run: Run) -> None:
    assert_same_bytes(run(silent(ad.read_h5ad, folder / "csr.h5ad"))[1], expected)


@pytest.mark.parametrize("name", ["csr.h5ad", "csr.zarr"])
def test_little_memory(
    folder: Path,
    expected: dict[str, bytes],
    run: Run,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The least memory that a plan accepts cuts the work into more pieces."""
    monkeypatch.setattr(cuts, "cut_bytes_per_value", lambda *_, **__: 100)  # or a larger atlas
    roomy = export(folder / name, tmp_path / "plan", quiet=True, memory="8GB", dry_run=True)
    result, made = run_in_little(run, folder / name)
    few, many = (int(r.plan["row chunks"]) for r in (roomy, result))
    assert many > few
    assert_same_bytes(made, expected)


def run_in_little(run: Run, data: Path) -> Any:
    """Run with as much memory as is asked for at least, a little at a time."""
    least = psutil.Process().memory_info().rss
    for more in range(150, 600, 15):
        with suppress(PlanError):
            return run(data, workers=1, memory=least + more * 10**6)
    raise AssertionError("no plan fits")


@pytest.fixture(scope="module")
def scheduler_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A dask scheduler and two workers, started as programs of their own."""
    folder = tmp_path_factory.mktemp("cluster")
    file = folder / "scheduler.json"
    where = ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = ("scheduler", *where, "--host", "127.0.0.1", "--port", 0)
    worker = ("worker", *where, "--nthreads", 1, "--no-nanny", "--local-directory", folder)
    with ExitStack() as stack:
        for arguments in (scheduler, worker, worker):
            program = fork_dask(*arguments, cwd=folder, log=folder / "log")
            stack.callback(program.wait)
            stack.callback(program.send_signal, signal.SIGTERM)
        deadline = time.monotonic() + 240
        while not file.exists():
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(2, timeout=240)
        yield file


def test_joined_scheduler(
    folder: Path, expected: dict[str, bytes], run: Run, scheduler_file: Path
) -> None:
    address = json.loads(scheduler_file.read_text())["address"]
    with Client(address, set_as_default=False) as client:
        for scheduler in (address, scheduler_file, client):
            result, made = run(folder / "csr.h5ad", scheduler=scheduler)
            assert address in result.plan["runs on"]
            assert_same_bytes(made, expected)
        assert client.nthreads()  # a client that was given is still open


@pytest.mark.parametrize("name", ["csr.zarr", "csc.h5ad", "dense.h5ad"])
def test_processes_read_every_layout(
    folder: Path, run: Run, scheduler_file: Path, name: str
) -> None:
    _, here = run(folder / name, workers=1)
    _, there = run(folder / name, scheduler=scheduler_file)
    assert_same_bytes(there, here)


def test_data_in_memory_beside_a_scheduler(run: Run, scheduler_file: Path) -> None:
    """What lives in this process is read by this process."""
    atlas = make_atlas()
    _, here = run(atlas, workers=1, embeddings={})
    assert_same_bytes(run(atlas, scheduler=scheduler_file, embeddings={})[1], here)
