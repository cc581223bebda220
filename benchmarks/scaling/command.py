"""How the export scales: with workers, with tasks, and to atlases that nobody here can hold.

    python -m benchmarks scaling workers --work FOLDER

`workers` compares one and two worker processes, `scheduler` measures what tasks cost, `rates` what
one core does in a second, kept as JSON; `hollow` makes atlases without values for ``--dry-run``,
and `model` prints the tables of docs/scaling.md from their plans and the rates.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
from dask.utils import parse_bytes

from benchmarks.scaling.cluster import by_dask, by_slurm
from benchmarks.scaling.hollow_atlas import ATLASES, write_hollow
from benchmarks.scaling.model import Machine, Planner, predicted, tables
from benchmarks.scaling.rates import all_rates, plan_rate, save, saved
from benchmarks.scaling.runs import rounds, table
from benchmarks.scaling.tasks import load
from benchmarks.shared.machine import describe_machine
from cellucid_dask.synthetic import AtlasSpec, write_h5ad

work = click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("benchmark-work"),
    show_default=True,
    help="Where atlases are kept and exports written.",
)


@click.group("scaling", help=__doc__.split("\n")[0])
def command() -> None:
    """Run one of the benchmarks."""


def made(spec: AtlasSpec, ending: str, work: Path) -> Path:
    """Make a synthetic atlas as .h5ad or .zarr, or find the one made before."""
    work.mkdir(parents=True, exist_ok=True)
    path = work / f"scaling-{spec.cells}x{spec.genes}.h5ad"
    if not path.exists():
        click.echo(f"making {path}", err=True)
        write_h5ad(spec, path)
    if ending == "h5ad":
        return path
    other = path.with_suffix(".zarr")
    if not other.exists():
        import anndata

        click.echo(f"making {other}", err=True)
        anndata.read_h5ad(path).write_zarr(other)
    return other


@command.command()
@work
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True)
@click.option("--cells", default=600_000, show_default=True)
@click.option("--genes", default=7_000, show_default=True)
@click.option("--format", "formats", multiple=True, default=("h5ad", "zarr"), show_default=True)
@click.option("--slurm", is_flag=True, help="Start the workers as SLURM jobs.")
def workers(
    work: Path, repeat: int, cells: int, genes: int, formats: tuple[str, ...], slurm: bool
) -> None:
    """Time the gene stages with one and with two worker processes."""
    start = by_slurm if slurm else by_dask
    found = [
        "| file | stage | 1 worker, s | 2 workers, s | efficiency | lowest, highest | target |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for ending in formats:
        data = made(AtlasSpec(cells, genes, neighbors=0), ending, work)
        found += table(ending, rounds(data, work, start, repeat))
    click.echo("\n".join([*found, "", f"measured on: {describe_machine()}"]))


@command.command()
@click.option("--tasks", default=20_000, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--genes", default=9, show_default=True, help="Genes of a task.")
@click.option(
    "--spills", default=0, show_default=True, help="Spill files listed in a task; 0: by a path."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write it here.")
def scheduler(tasks: int, workers: int, genes: int, spills: int, json_path: Path | None) -> None:
    """Run tasks that do nothing, and watch the scheduler."""
    found = load(tasks, genes, spills, workers).as_dict()
    for name, value in found.items():
        click.echo(f"{name:>24}  {value:,.6g}" if value < 1 else f"{name:>24}  {value:,.0f}")
    click.echo(f"measured on: {describe_machine()}")
    if json_path is not None:
        json_path.write_text(json.dumps(found, indent=2), encoding="utf-8")


@command.command()
@work
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True)
@click.option("--tasks", default=20_000, show_default=True, help="Tasks for the scheduler.")
def rates(work: Path, repeat: int, tasks: int) -> None:
    """Measure what one core does in a second, and keep it beside this file."""
    work.mkdir(parents=True, exist_ok=True)
    largest = list(ATLASES)[-1]
    found = {
        "machine": describe_machine(),
        "scheduler": load(tasks, 9, 0, 2).as_dict(),
        **plan_rate(found_or_made(largest, work), ATLASES[largest].cells),
        **all_rates(work, made, repeat),
    }
    save(found)
    click.echo(json.dumps(found, indent=2))


@command.command()
@work
def hollow(work: Path) -> None:
    """Make the atlases of which there is nothing but shapes and pointers."""
    for name in ATLASES:
        click.echo(str(found_or_made(name, work)))


def found_or_made(name: str, work: Path) -> Path:
    """Make a hollow atlas, or find the one made before."""
    path = work / f"hollow-{name.replace(' ', '')}.zarr"
    if not (path / "var").exists():  # which is written last
        work.mkdir(parents=True, exist_ok=True)
        write_hollow(ATLASES[name], path)
    return path


@command.command()
@work
@click.option("--memory", default="8GB", show_default=True, help="Of a worker.")
@click.option("--bandwidth", default="20GB", show_default=True, help="Of the files, in a second.")
@click.option("--opens", default=20_000, show_default=True, help="Of files, in a second.")
@click.option(
    "--workers", "counts", multiple=True, default=(32, 64, 128, 256, 512, 1024), show_default=True
)
def model(work: Path, memory: str, bandwidth: str, opens: int, counts: tuple[int, ...]) -> None:
    """Print the tables of docs/scaling.md."""
    there = Machine(parse_bytes(memory), parse_bytes(bandwidth), opens)
    for name, spec in ATLASES.items():
        planner = Planner(found_or_made(name, work), spec, there)
        models = [predicted(planner.plan(n), saved()) for n in counts]
        click.echo("\n".join([f"### {name}", "", *tables(models), ""]))
