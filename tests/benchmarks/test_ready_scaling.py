"""The model of scaling for ready files: its counts are those of real files, and what bounds it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.scaling.hollow_atlas import HollowAtlas, write_hollow_atlas
from benchmarks.scaling.model import Machine
from benchmarks.scaling.rates import load_rates
from benchmarks.scaling.ready_command import ready_check
from benchmarks.scaling.ready_counts import FORMATS, ReadyCounts, ReadyPlanner
from benchmarks.scaling.ready_model import SERIAL, STREAM, predict_ready
from benchmarks.scaling.ready_tables import format_ready_tables
from benchmarks.scaling.stores import count_entries
from cellucid_dask import export
from cellucid_dask.synthetic import AtlasSpec, write_h5ad

FAST = Machine(2 * 10**9, 10**15, 10**12)


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> ReadyPlanner:
    path = tmp_path_factory.mktemp("hollow") / "hollow.zarr"
    spec = HollowAtlas(300_000, 2000, 700, categorical=2, continuous=1, latent=4)
    write_hollow_atlas(spec, path)
    return ReadyPlanner(path, spec, FAST)


def predict(counts: ReadyCounts, machine: Machine = FAST, stream: int = 10**15) -> Any:
    return predict_ready(replace(counts, machine=machine), load_rates(), stream)


@pytest.mark.parametrize("name", ["zarr", "zarr:shards"])
def test_counts_are_those_of_a_real_store(tmp_path: Path, name: str) -> None:
    spec = AtlasSpec(4000, 300, 0.3, neighbors=10)
    write_h5ad(spec, data := tmp_path / "atlas.h5ad")
    nnz = count_entries(data, "X")
    columns = len(spec.categoricals), spec.continuous
    described = HollowAtlas(4000, 300, nnz // 4000, columns[0], 100, columns[1], 20, 10)
    counts = ReadyPlanner(data, described, FAST).plan(1, name)
    chosen = FORMATS[name]
    options: dict[str, Any] = {"format": "zarr", "workers": 1}
    if chosen.shards:
        options |= {"zarr_format": 3, "shards": True}
    export(data, tmp_path / "out", **options)

    def count(folder: str) -> int:
        files = [path for path in (tmp_path / "out.zarr" / folder).rglob("*") if path.is_file()]
        return sum(not path.name.startswith((".z", "zarr.json")) for path in files)

    assert count("X/data") + count("X/indices") == (counts.shards or counts.x_chunks)
    assert counts.x_chunks == 2 * -(-nnz // 65_536)
    stored = sum(map(count, ("X", "obs", "var", "obsm", "obsp", "uns/cellucid/outlierQuantiles")))
    assert counts.files == pytest.approx(stored, abs=12)  # what the record says beside them


def test_tasks_are_those_of_the_stages(planner: ReadyPlanner) -> None:
    counts = planner.plan(4, "zarr:shards")
    assert counts.tasks["matrix"] == counts.plan.n_strips
    assert counts.tasks["transpose"] == counts.row_chunks
    assert counts.tasks["shards"] == counts.shards > 0
    assert "shards" not in planner.plan(4, "zarr").tasks
    assert counts.files < planner.plan(4, "zarr").files // 20
    assert planner.plan(4, "h5ad").files == 1


def test_what_bounds_a_ready_file(planner: ReadyPlanner) -> None:
    store, shards, h5ad = (planner.plan(4, name) for name in ("zarr", "zarr:shards", "h5ad"))
    assert predict(store).stages["matrix"].bound == "workers"
    slow = replace(FAST, bandwidth=10**6)
    assert predict(store, slow).stages["matrix"].bound == "bandwidth"
    few = replace(FAST, opens=10)
    assert predict(store, few).stages["matrix"].bound == "opens"
    assert predict(store, few).total > 5 * predict(shards, few).total
    one = predict(h5ad, stream=10**7)
    assert one.stages["assemble"].bound == STREAM
    assert (
        one.stages["assemble"] == predict(planner.plan(64, "h5ad"), stream=10**7).stages["assemble"]
    )
    assert predict(h5ad).stages["assemble"].bound == SERIAL
    assert predict(h5ad).cpu_seconds["assemble"] > predict(store).cpu_seconds["assemble"]
    text = "\n".join(format_ready_tables([predict(store), predict(shards)]))
    assert f"| {store.files:,} |" in text
    assert f"| {shards.shards:,} |" in text


def test_the_check_runs_exports_and_prints_both(tmp_path: Path) -> None:
    words = ["--work", str(tmp_path), "--cells", "3000", "--genes", "200", "--workers", "1"]
    ended = CliRunner().invoke(ready_check, [*words, "--format", "zarr"], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    assert "| matrix |" in ended.output
    assert "strips: 1 predicted, 1 made" in ended.output


def test_rates_of_ready_files_say_where_and_on_what_load() -> None:
    rates = load_rates()["ready"]
    assert "cores" in rates["machine"]
    assert len(rates["load"]) == 2
    assert all(value >= 0 for value in rates.values() if isinstance(value, float))
