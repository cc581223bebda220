"""The benchmark of scaling: atlases without values have plans, and the model goes by them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scaling import hollow_atlas, model, runs, tables
from benchmarks.scaling import rates as scaling_rates
from cellucid_dask import export

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hollow(tmp_path: Path) -> tuple[Any, Path]:
    """A hollow atlas of 210 million stored values, in a few hundred kB."""
    path = tmp_path / "hollow.zarr"
    spec = hollow_atlas.HollowAtlas(300_000, 2000, 700, categorical=2, continuous=1, latent=4)
    hollow_atlas.write_hollow_atlas(spec, path)
    assert sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) < 1_000_000
    return spec, path


def planner(hollow: tuple[Any, Path], memory: int = 2 * 10**9) -> Any:
    return model.Planner(hollow[1], hollow[0], model.Machine(memory, 10**10, 10_000))


def test_a_hollow_atlas_has_the_plan_of_a_real_one(
    hollow: tuple[Any, Path], tmp_path: Path
) -> None:
    chosen = {"workers": 4, "memory": "8GB", "accept_missing_chunks": True}
    plan = export(hollow[1], tmp_path / "out", dry_run=True, **chosen).plan
    assert plan["cells"] == "300,000"
    assert plan["genes"] == "2,000 of 2,000"
    assert plan["non-zeros"] == "210,000,000 stored"
    assert int(plan["row chunks"]) >= 9
    assert not (tmp_path / "out").exists()


def test_the_model_counts_what_the_plan_does(hollow: tuple[Any, Path], tmp_path: Path) -> None:
    counts = planner(hollow).plan(4)
    assert counts.tasks["transpose"] == counts.chunks == len(counts.plan.row_chunks)
    assert counts.tasks["genes"] == counts.strips == counts.plan.n_strips
    assert counts.segments == counts.strips * counts.chunks
    assert counts.opens == counts.strips * 4 < counts.segments  # a worker has one spill file
    assert counts.plan.n_files == 2000 + (1 + 3 + 2) + 2 + 5  # genes, cells, edges, manifests
    assert counts.spilled > 6 * hollow[0].nnz
    assert counts.read == 12 * hollow[0].nnz
    more = planner(hollow, memory=3 * 10**8).plan(4)
    assert more.tasks["genes"] > counts.tasks["genes"]


def test_the_model_takes_the_longest_of_what_bounds_a_stage(hollow: tuple[Any, Path]) -> None:
    rates = scaling_rates.load_rates()
    counts = planner(hollow).plan(4)
    found = model.predict(counts, rates)
    assert set(counts.tasks) <= {*found.stages, "obs means"}
    assert found.stages["transpose"].bound == "workers"
    assert found.total >= max(stage.seconds for stage in found.stages.values())
    slow = replace(counts, machine=model.Machine(2 * 10**9, 10**6, 10_000))
    assert model.predict(slow, rates).stages["transpose"].bound == "bandwidth"
    many = replace(counts, machine=model.Machine(2 * 10**9, 10**12, 1))
    assert model.predict(many, rates).stages["genes"].bound == "opens"
    text = "\n".join(tables.format_tables([found]))
    assert f"| {counts.chunks:,} |" in text


@pytest.mark.parametrize(("tasks", "workers", "share"), [(8, 4, 0.25), (9, 4, 1 / 3), (1, 4, 1)])
def test_tasks_run_in_waves(tasks: int, workers: int, share: float) -> None:
    assert model.share_of_busiest_worker(tasks, workers) == pytest.approx(share)


def test_the_fit_finds_what_it_was_given() -> None:
    rows = [(1e8, 1e9), (4e8, 1e9), (1e8, 5e9)]
    found, error = scaling_rates.fit_rates(rows, [2e-8 * a + 1e-9 * b for a, b in rows])
    assert found == pytest.approx([2e-8, 1e-9])
    assert error < 1e-9


def test_efficiency() -> None:
    assert runs.compute_efficiency(10, 5) == 1
    assert runs.compute_efficiency(10, 10) == 0.5


def test_rates_say_where_and_when() -> None:
    rates = json.loads((ROOT / "benchmarks" / "scaling" / "rates.json").read_text())
    assert rates == scaling_rates.load_rates()
    assert "cores" in rates["machine"]
    assert rates["scheduler"]["tasks"] == 20_000
