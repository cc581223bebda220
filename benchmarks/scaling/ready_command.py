"""Commands of the benchmark ``scaling`` for ready files: rates, the model, and a check of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
from dask.utils import parse_bytes

from benchmarks.scaling.hollow_atlas import ATLASES, HollowAtlas
from benchmarks.scaling.model import Machine
from benchmarks.scaling.rates import load_rates, save_rates
from benchmarks.scaling.ready_counts import FORMATS, ReadyPlanner
from benchmarks.scaling.ready_model import predict_ready
from benchmarks.scaling.ready_rates import export_ready, measure_ready_rates
from benchmarks.scaling.ready_tables import format_check, format_ready_tables
from benchmarks.scaling.runs import FIXED_MB, WORKER_MB
from benchmarks.scaling.stores import (
    count_entries,
    find_or_make_hollow_atlas,
    find_or_make_store,
    work,
)
from benchmarks.shared.machine import describe_machine
from cellucid_dask.synthetic import AtlasSpec

stream = click.option(
    "--stream", default="1GB", show_default=True, help="Bytes a second of one process."
)
formats = click.option(
    "--format",
    "names",
    type=click.Choice(tuple(FORMATS)),
    multiple=True,
    default=tuple(FORMATS),
    show_default=True,
)


@click.command()
@work
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True)
def ready_rates(work: Path, repeat: int) -> None:
    """Measure what one core does in a second for ready files, and save it with the other rates."""
    work.mkdir(parents=True, exist_ok=True)
    found = measure_ready_rates(work, find_or_make_store, repeat)
    save_rates({**load_rates(), "ready": found})
    click.echo(json.dumps(found, indent=2))


@click.command()
@work
@formats
@stream
@click.option("--memory", default="8GB", show_default=True, help="Memory of a worker.")
@click.option("--bandwidth", default="20GB", show_default=True, help="Bytes a second of the files.")
@click.option("--opens", default=20_000, show_default=True, help="Files opened in a second.")
@click.option(
    "--workers", "counts", type=int, multiple=True, default=(32, 64, 128), show_default=True
)
def ready_model(
    work: Path,
    names: tuple[str, ...],
    stream: str,
    memory: str,
    bandwidth: str,
    opens: int,
    counts: tuple[int, ...],
) -> None:
    """Print the tables of docs/explanation/scaling.md for ready files."""
    machine = Machine(parse_bytes(memory), parse_bytes(bandwidth), opens)
    for atlas, spec in ATLASES.items():
        planner = ReadyPlanner(find_or_make_hollow_atlas(atlas, work), spec, machine)
        models = [
            predict_ready(planner.plan(n, name), load_rates(), parse_bytes(stream))
            for name in names
            for n in counts
        ]
        click.echo("\n".join([f"#### {atlas}", "", *format_ready_tables(models), ""]))


@click.command()
@work
@formats
@click.option("--cells", default=300_000, show_default=True)
@click.option("--genes", default=8_000, show_default=True)
@click.option("--density", default=0.05, show_default=True)
@click.option("--workers", default=2, show_default=True)
def ready_check(
    work: Path, names: tuple[str, ...], cells: int, genes: int, density: float, workers: int
) -> None:
    """Export an atlas, and print what the model predicts beside what was measured."""
    spec = AtlasSpec(cells, genes, density, neighbors=10, categoricals=(100,) * 4)
    data = find_or_make_store(spec, "h5ad", work)
    nnz = count_entries(data, "X")
    described = HollowAtlas(
        cells,
        genes,
        nnz // cells,
        categorical=len(spec.categoricals),
        continuous=spec.continuous,
        latent=spec.latent + sum(spec.dimensions) - 2,  # the model counts 2 for the points
        neighbors=count_entries(data, "obsp/connectivities") // cells,
    )
    # Nothing but processors limits this machine, where the files are in the page cache.
    limit = 1 << 60
    planner = ReadyPlanner(data, described, Machine(WORKER_MB * 10**6, limit, limit))
    for name in names:
        predicted = predict_ready(planner.plan(workers, name), load_rates(), limit)
        measured = export_ready(data, work, name, workers=workers)
        click.echo("\n".join([f"{name}, {nnz:,} values", "", *format_check(predicted, measured)]))
    memory = f"{FIXED_MB + WORKER_MB * workers} MB"
    load = f"load {os.getloadavg()[1]:.1f}"
    click.echo(f"measured on: {describe_machine()}; {workers} workers, {memory}; {load}")
