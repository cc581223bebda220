"""X of ready files over several runs and formats: one first pass, and no block is done twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ready_matrix import MatrixRun, check_csc, expected_csc, random_matrix, run_matrix, save
from scipy import sparse

from cellucid_dask.compute.engine import Engine
from cellucid_dask.exporter.planning import plan
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.genes import driver
from cellucid_dask.native.library import load
from cellucid_dask.ready import layout

pytestmark = pytest.mark.usefixtures("small_pieces")


def count_stages(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count the tasks of each stage from now on."""
    counts: dict[str, int] = {}
    finish = Engine.finish

    def counting(self: Engine, stage: str, futures: Any, **more: Any) -> Any:
        counts[stage] = counts.get(stage, 0) + len(futures)
        return finish(self, stage, futures, **more)

    monkeypatch.setattr(Engine, "finish", counting)
    return counts


def through_journal(run: MatrixRun) -> list[ReadyWork]:
    """Works as a journal gives them back."""
    return [ReadyWork.of(work.as_dict()) for work in run.written.works]


@pytest.mark.parametrize("layout_of", [sparse.csr_array, sparse.csc_array, np.asarray])
def test_finished_blocks_are_not_done_again(
    tmp_path: Path, layout_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of them, or all but the edges, or all, in which case there is no first pass either."""
    monkeypatch.setattr(layout, "WHOLE", 300)
    matrix = layout_of(random_matrix().toarray())
    path = save(matrix, tmp_path, "h5ad")
    first = run_matrix(path, tmp_path / "run")
    works = through_journal(first)
    blocks = [work for work in works if "edges" not in work.key]
    counts = count_stages(monkeypatch)
    for kept, is_left in ((blocks[::2], True), (blocks, False), (works, False)):
        counts.clear()
        times = {p: p.stat().st_mtime_ns for p in first.store.rglob("*") if p.is_file()}
        again = run_matrix(path, tmp_path / "run", finished=kept)
        assert {work.key for work in kept} <= {work.key for work in again.written.works}
        assert (counts.get("matrix", 0) > 0) == is_left
        assert counts.get("matrix edges", 0) == (kept is not works and layout_of is not np.asarray)
        assert is_left or counts.get("transpose", 0) == 0
        kept_files = {
            p
            for work in kept
            for stored in work.chunks
            for p in (first.store / stored.array).iterdir()
            if stored.target == "zarr" and int(p.name.split(".")[-1]) in stored.chunks["chunk"]
        }
        assert {p for p in kept_files if p.stat().st_mtime_ns != times[p]} == set()
        if layout_of is np.asarray:
            np.testing.assert_array_equal(again.read(), matrix)
        else:
            check_csc(again, expected_csc(matrix))


def test_blocks_of_another_cut_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another memory or number of workers cuts elsewhere."""
    matrix = sparse.csc_array(random_matrix(seed=8))
    path = save(matrix, tmp_path, "h5ad")
    works = through_journal(run_matrix(path, tmp_path / "run"))
    blocks = [work for work in works if "edges" not in work.key]
    assert len(blocks) > 4
    monkeypatch.setattr(driver, "MiB", 1 << 20)
    monkeypatch.setattr(plan, "BLOCK_BYTES", 1 << 20)
    again = run_matrix(path, tmp_path / "run", finished=[*blocks[1:3], works[-1]])
    keys = [work.key for work in again.written.works]
    assert {work.key for work in blocks[1:3]} <= set(keys)
    assert len(keys) < len(works)
    check_csc(again, expected_csc(matrix))


@pytest.mark.parametrize("way", ["native", "numpy"], indirect=True)
def test_the_first_pass_serves_both_formats(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of genes are those of a run that writes the folder alone."""
    rng = np.random.default_rng(1)
    dense = np.round(np.abs(random_matrix(seed=4).toarray()) * 3).astype("f8")
    dense[:, 9] = 3
    matrix = sparse.csr_array(dense)
    matrix.data[rng.random(matrix.nnz) < 0.2] = 0  # stored zeros, some in genes of all cells
    matrix.data[matrix.nnz // 2] = 2**24 + 1
    path = save(matrix, tmp_path, "h5ad")
    plain = run_matrix(path, tmp_path / "folder", formats="folder")
    counts = count_stages(monkeypatch)
    both = run_matrix(path, tmp_path / "both", formats="both")
    n_chunks, counts["transpose"] = counts["transpose"], 0
    assert n_chunks > 1
    run_matrix(path, tmp_path / "ready")
    assert counts["transpose"] == n_chunks
    assert len(plain.folder_files) == 37
    assert both.folder_files == plain.folder_files
    assert both.written.layout.dtype == "<f8"
    check_csc(both, expected_csc(matrix, "f8"))
    assert list((tmp_path / "both").glob("scratch-*/rows-*")) == [], way


@pytest.mark.skipif(load() is None, reason="there is no native library here")
@pytest.mark.parametrize("worker_bytes", [1 << 30, 20_000, 1])
def test_memory_changes_nothing(tmp_path: Path, worker_bytes: int) -> None:
    matrix = random_matrix(seed=6)
    path = save(matrix, tmp_path, "h5ad")
    check_csc(run_matrix(path, tmp_path / "run", task_bytes=worker_bytes), expected_csc(matrix))
