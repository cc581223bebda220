"""The benchmark of servers of ready files: the clients, the requests and the table."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.serve import clients
from benchmarks.serve.clients import Expected, Tally, run_clients
from benchmarks.serve.ready_first import HEADER, format_row, measure_ready_first
from benchmarks.serve.ready_load import (
    DATASETS,
    OURS,
    REFERENCE,
    SENDFILE,
    Load,
    choose_programs,
    format_rows,
    measure,
)
from benchmarks.serve.ready_requests import CASES
from benchmarks.serve.servers import find_free_port, running_server
from cellucid_dask import export
from cellucid_dask.synthetic import AtlasSpec, write_h5ad

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the clients use epoll")

PROGRAMS = choose_programs(None)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Ready files with two chunks of each array of the matrix, by their ending."""
    folder = tmp_path_factory.mktemp("ready-load")
    atlas = folder / "atlas.h5ad"
    write_h5ad(AtlasSpec(2_000, 600, density=0.1), atlas)
    paths = {name: folder / f"ready.{name}" for name in ("zarr", "h5ad")}
    for name, path in paths.items():
        export(atlas, path, format=name, quiet=True)
    return paths


@pytest.fixture(scope="module")
def port(files: dict[str, Path]) -> Iterator[int]:
    """Port of a server of the zarr folder, which has no checks of its own."""
    number = find_free_port()
    with running_server(PROGRAMS[SENDFILE](files["zarr"], number), number, DATASETS):
        yield number


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("case", CASES)
def test_every_case_is_answered_without_errors(
    case: str, program: str, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "CHECK_EVERY", 1)  # a busy machine has time for few
    path = files[CASES[case][0]]
    load = measure(case, path, PROGRAMS[program], n_clients=4, seconds=0.5, warm_up=0.1)
    assert load.tally.errors == 0
    assert load.tally.checked > 0
    assert load.tally.n_bytes > 0


def test_all_chunks_of_the_matrix_are_requested(files: dict[str, Path], port: int) -> None:
    expected = CASES["zarr chunks"][1](files["zarr"], port)
    folders = [files["zarr"] / name for name in ("X/data", "X/indices")]
    chunks = [path for folder in folders for path in folder.iterdir() if path.name[0] != "."]
    assert len(chunks) == len(expected) > 2
    assert sum(each.n_bytes for each in expected) == sum(path.stat().st_size for path in chunks)


@pytest.mark.parametrize(
    "changes",
    [
        {"checksum": 1},
        {"n_bytes": 1},
        {"status": b"HTTP/1.1 206"},
    ],
)
def test_a_response_that_is_not_the_expected_one_is_an_error(
    changes: dict[str, object],
    files: dict[str, Path],
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "CHECK_EVERY", 1)
    first: Expected = CASES["zarr chunks"][1](files["zarr"], port)[0]
    wrong = replace(first, **changes)  # type: ignore[arg-type]
    assert run_clients(port, [wrong], 0.3, 2).errors > 0


@pytest.mark.parametrize("kind", ["zarr", "h5ad"])
def test_genes_are_requested_as_the_app_does(
    kind: str, files: dict[str, Path], tmp_path: Path
) -> None:
    run = measure_ready_first(files[kind], tmp_path, 20)
    assert 0 < run.datasets < run.indptr
    assert run.requests >= 2  # at least a chunk of the values and one of the cells
    assert 0 < run.median_ms <= run.p95_ms
    assert format_row(kind, [run]).count("|") == HEADER.splitlines()[-1].count("|")


def load_of(rate: int, errors: int = 0, end: int = 100) -> Load:
    """A run of a second, whose memory was 100 MB after the warm-up."""
    tally = Tally(seconds=1, n_bytes=10**9, errors=errors, latencies=[0.001] * rate)
    return Load(tally, 50, 20, (90 * 10**6, 100 * 10**6, end * 10**6), end * 10**6)


def test_the_ratio_is_that_of_the_rounds() -> None:
    runs = {
        REFERENCE: [load_of(100), load_of(200), load_of(100)],
        OURS: [load_of(490), load_of(1020), load_of(600)],
    }
    row = next(iter(format_rows("zarr chunks", runs)))
    assert [cell.strip() for cell in row.split("|")[2:8]] == [
        *("responses per second", "100", "600", "5.1x", "at least 5x: reached"),
        "",
    ]


@pytest.mark.parametrize(
    ("load", "verdict"),
    [
        (load_of(100), "flat: reached"),
        (load_of(100, end=115), "flat: **missed**"),
        (load_of(100, errors=1), "0: **missed**"),
    ],
)
def test_errors_and_memory_have_targets(load: Load, verdict: str) -> None:
    assert any(f"| {verdict} |" in row for row in format_rows("case", {OURS: [load]}))
