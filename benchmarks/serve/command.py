"""The commands ``serve load`` and ``serve first``."""

from __future__ import annotations

import statistics
import subprocess
import time
from pathlib import Path

import click

from benchmarks.serve.datasets import (
    FIRST_ATLAS,
    LOAD_ATLAS,
    find_or_write_csc_zarr,
    read_gene_ids,
    require_wrk,
)
from benchmarks.serve.first import measure_first_responses
from benchmarks.serve.http_servers import http_servers
from benchmarks.serve.load import HEADER, format_rows, format_runs, measure_servers
from benchmarks.serve.servers import PROGRAM
from benchmarks.shared.atlases import find_or_make_atlas
from cellucid_dask import export

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
@click.option("--genes", default=300, show_default=True, help="Genes that are requested.")
@repeat_option
def first(work: Path, genes: int, repeat: int) -> None:
    """Measure the first response, uncached genes and memory.

    The atlas has 1,000,000 cells x 10,000 genes. To make its CSC store takes 14 GB of memory.
    """
    work.mkdir(parents=True, exist_ok=True)
    atlas = find_or_make_atlas("first", FIRST_ATLAS, work)
    store, cache = work / "first-csc.zarr", work / "cache"
    find_or_write_csc_zarr(atlas, store)
    start = time.perf_counter()
    subprocess.run([PROGRAM, "index", str(atlas), "-q", "--cache-dir", str(cache)], check=True)
    click.echo(f"build or find the gene index: {time.perf_counter() - start:.1f} s", err=True)
    click.echo("| data | first identity, s | uncached gene, median ms | p95 ms | most memory, MB |")
    click.echo("|---|---:|---:|---:|---:|")
    for name, path in (("CSC zarr", store), ("CSR h5ad, indexed", atlas)):
        runs = [measure_first_responses(path, cache, genes) for _ in range(repeat)]
        seconds, middle, high, peak = (statistics.median(each) for each in zip(*runs, strict=True))
        click.echo(f"| {name} | {seconds:.2f} | {middle:.1f} | {high:.1f} | {peak:,.0f} |")
