"""The commands ``serve load``, ``serve ready``, ``serve first`` and ``serve colors``."""

from __future__ import annotations

import statistics
import subprocess
import time
from pathlib import Path

import click

from benchmarks.serve import ready_first, ready_load
from benchmarks.serve.datasets import (
    LOAD_ATLAS,
    find_or_write_csc_zarr,
    find_or_write_ready_files,
    read_gene_ids,
    require_wrk,
)
from benchmarks.serve.first import measure_first_responses
from benchmarks.serve.first_colors import colors
from benchmarks.serve.http_servers import http_servers
from benchmarks.serve.load import HEADER, format_rows, format_runs, measure_servers
from benchmarks.serve.ready_requests import CASES
from benchmarks.serve.servers import PROGRAM
from benchmarks.shared.atlases import find_or_make_atlas
from benchmarks.shared.processes import read_into_cache
from cellucid_dask import export
from cellucid_dask.synthetic import AtlasSpec

FIRST_HEADER = """\
| data | first identity, s | uncached gene, median ms | p95 ms | CPU, ms | most memory, MB |
|---|---:|---:|---:|---:|---:|"""

work_option = click.option(
    "--work",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the atlases and the exports, which stay.",
)
repeat_option = click.option(
    "--repeat", default=3, show_default=True, help="Runs of each server; each is a new process."
)


@click.group("serve")
def command() -> None:
    """Load the server and time its first responses."""


command.add_command(http_servers)
command.add_command(colors)


@command.command()
@work_option
@click.option("--seconds", default=20, show_default=True, help="Length of a run.")
@repeat_option
def load(work: Path, seconds: int, repeat: int) -> None:
    """Measure requests per second beside cellucid 0.0.9.

    16 clients with open connections request all genes of 100,000 cells x 2,000 genes: of an export,
    and of a zarr store with a CSC matrix. The servers take turns. It needs wrk (Debian: apt install
    wrk).
    """
    require_wrk()
    work.mkdir(parents=True, exist_ok=True)
    atlas = find_or_make_atlas("serve", LOAD_ATLAS, work)
    exported, store = work / "serve-export", work / "serve-csc.zarr"
    if not exported.exists():
        export(atlas, exported, quiet=True)
    find_or_write_csc_zarr(atlas, store)
    genes = read_gene_ids(exported)
    click.echo(HEADER)
    for kind, path, ending in (("export", exported, "u8.gz"), ("live", store, "f32")):
        paths = [f"/var/{gene}.values.{ending}" for gene in genes]
        runs = measure_servers(kind, path, paths, seconds, repeat)
        click.echo("\n".join(format_rows(kind, runs)))
        click.echo("\n" + "\n".join(format_runs(kind, runs)) + "\n", err=True)


@command.command()
@work_option
@click.option("--cells", default=200_000, show_default=True, help="Cells of the atlas.")
@click.option(
    "--case", "cases", multiple=True, type=click.Choice(list(CASES)), help="Default: all."
)
@click.option(
    "--ready-reference",
    type=click.Path(path_type=Path),
    help="Python of an environment with cellucid 0.9.5, which serves beside; else nothing does.",
)
@click.option("--clients", default=16, show_default=True, help="Connections that stay open.")
@click.option("--seconds", default=20.0, show_default=True, help="Length of a run.")
@click.option("--warm-up", default=5.0, show_default=True, help="Seconds of load before a run.")
@repeat_option
def ready(
    work: Path,
    cells: int,
    cases: tuple[str, ...],
    ready_reference: Path | None,
    clients: int,
    seconds: float,
    warm_up: float,
    repeat: int,
) -> None:
    """Measure responses per second from ready files, beside cellucid 0.9.5.

    The atlas has 10,000 genes. Clients request random chunks of the matrix of a zarr folder and of
    an h5ad, and random aligned ranges of the h5ad. A loop of sendfile without any check shows what
    the kernel and the clients take. The servers take turns.
    """
    work.mkdir(parents=True, exist_ok=True)
    files = find_or_write_ready_files(find_or_make_atlas("genes", AtlasSpec(cells, 10_000), work))
    programs = ready_load.choose_programs(ready_reference)
    click.echo(ready_load.HEADER)
    for case in cases or CASES:
        runs: dict[str, list[ready_load.Load]] = {name: [] for name in programs}
        path = files[CASES[case][0]]
        read_into_cache(path)
        for _ in range(repeat):
            for name, program in programs.items():
                load = ready_load.measure(case, path, program, clients, seconds, warm_up)
                runs[name].append(load)
                click.echo(f"{case}, {name}: {load.rate:,.0f} responses/s", err=True)
        click.echo("\n".join(ready_load.format_rows(case, runs)))


@command.command()
@work_option
@click.option("--cells", default=1_000_000, show_default=True, help="Cells of the atlas.")
@click.option("--genes", default=300, show_default=True, help="Genes that are requested.")
@repeat_option
def first(work: Path, cells: int, genes: int, repeat: int) -> None:
    """Measure the first response, uncached genes and memory.

    The atlas has 10,000 genes. It is served as it is, stored by cell, with an index, and as ready
    files: to the built-in page, and with the protocol of the public app. The servers take turns.
    """
    work.mkdir(parents=True, exist_ok=True)
    atlas = find_or_make_atlas("first", AtlasSpec(cells, 10_000), work)
    cache = work / "cache"
    served = {"CSR h5ad, indexed": atlas}
    for name, path in find_or_write_ready_files(atlas).items():
        served[f"ready {name}"] = path
    start = time.perf_counter()
    subprocess.run([PROGRAM, "index", str(atlas), "-q", "--cache-dir", str(cache)], check=True)
    click.echo(f"build or find the gene index: {time.perf_counter() - start:.1f} s", err=True)
    runs: dict[str, list[tuple[float, ...]]] = {name: [] for name in served}
    ready_runs: dict[str, list[ready_first.ReadyFirst]] = {name: [] for name in served}
    for _ in range(repeat):
        for name, path in served.items():
            runs[name].append(measure_first_responses(path, cache, genes))
            ready_runs[name].append(ready_first.measure_ready_first(path, cache, genes))
    click.echo(FIRST_HEADER)
    for name, measured in runs.items():
        middle = [statistics.median(each) for each in zip(*measured, strict=True)]
        click.echo("| {} | {:.2f} | {:.1f} | {:.1f} | {:.1f} | {:,.0f} |".format(name, *middle))
    click.echo(f"\n{ready_first.HEADER}")
    for name, each in ready_runs.items():
        click.echo(ready_first.format_row(name, each))
