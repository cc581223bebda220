"""Time changes of what the page shows: genes and drags beside another checkout, and filters.

    python -m benchmarks page-changes --work FOLDER --baseline CHECKOUT --repeat 5
    python -m benchmarks page-changes --work FOLDER --quick       # 50,000 cells, once

It opens an export of `--cells` cells in 2D and 3D, with the page of this checkout and with that of
`--baseline`, in turns: their times are compared as ratios of one run. Filters and groups are of
this checkout alone. A change is shown when WebGL has drawn the first frame with it, which has an
even sample of the cells or the topmost ones, and complete when nothing more is drawn.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks.page.browser import Page, running_browser
from benchmarks.page.command import (
    choose_genes,
    format_machine,
    format_spread,
    make_cases,
)
from benchmarks.serve.servers import find_free_port, running_server, serve_command

ROOT = Path(__file__).parents[2]
MAX_SHOWN_MS = 200
THIS, BASELINE = "this page", "baseline"
LASSO = {
    "embedding": "",
    "yaw": 0.5,
    "pitch": 0.4,
    "outline": [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]],
}


def filters(dimension: int, genes: list[str]) -> dict[str, dict[str, Any]]:
    """Changes of the view, each of which changes which cells are visible, by their names."""
    some = {"kind": "categories", "column": "obs:cell_type", "codes": [0, 1, 2], "on": True}
    other = {**some, "column": "obs:sample", "codes": [*range(50)]}
    value = {"kind": "range", "column": "obs:pct_mito", "from": 2, "to": 5, "on": True}
    gene = {**value, "column": f"gene:{genes[0]}", "from": 0.5, "to": None}
    selected = {"kind": "selection", "lassos": [{**LASSO, "d": dimension}], "on": True}
    group = {"id": "g1", "name": "group", "color": "#cc3311", "cells": other | {"keep": True}}
    in_group = {"kind": "group", "group": "g1", "keep": True, "on": True}
    return {
        "hide categories of the colored column": {"filters": [some | {"keep": False}]},
        "keep categories of another column": {"filters": [other | {"keep": True}]},
        "a range of values": {"filters": [value]},
        "a range of a gene": {"filters": [gene]},
        "keep a selection": {"filters": [selected | {"keep": True}]},
        "all of these": {
            "filters": [
                *(some | {"keep": False}, other | {"keep": True}, value),
                *(gene, selected | {"keep": True}),
            ]
        },
        "the others are not drawn": {"filters": [value], "context": "hide"},
        "keep a group": {"groups": [group], "filters": [in_group]},
        "all but the group": {"filters": [in_group | {"keep": False}]},
    }


def measure_genes_and_drag(
    export: Path, checkout: Path | None, dimension: int, switches: int
) -> dict[str, Any]:
    """Open the page of a checkout, and return times in ms."""
    with opened(export, checkout, dimension) as (page, url, browser):
        found: dict[str, Any] = {"load_average": os.getloadavg()[0], "genes": []}
        for gene in choose_genes(url, switches):
            before = cpu_ms(browser)
            found["genes"].append(page.switch(gene))
            found["genes"][-1]["cpu"] = cpu_ms(browser) - before
        before = cpu_ms(browser)
        found["drag"] = page.drag()
        found["drag"]["cpu"] = (cpu_ms(browser) - before) / (len(found["drag"]["gaps"]) + 1)
    return found


def cpu_ms(browser: psutil.Process) -> float:
    """Processor time of all processes of the browser; busy neighbors change it little."""
    total = 0.0
    for process in browser.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return 1e3 * total


def measure_filters(export: Path, dimension: int) -> dict[str, dict[str, float]]:
    """Make each change of `filters`, after its column was read; times in ms."""
    found: dict[str, dict[str, float]] = {}
    with opened(export, None, dimension) as (page, url, browser):
        for name, change in filters(dimension, choose_genes(url, 1)).items():
            for _ in range(2):  # the first one loads the column
                before = cpu_ms(browser)
                found[name] = {"shown": page.change(change)}
                found[name]["cpu"] = cpu_ms(browser) - before
                found[name]["whole"] = page.complete()
                page.change({"filters": [], "context": "grey"})
                page.complete()
    return found


@contextmanager
def opened(
    export: Path, checkout: Path | None, dimension: int
) -> Iterator[tuple[Page, str, psutil.Process]]:
    """Open the page of a checkout, of this one without, in a browser with an empty profile."""
    port = find_free_port()
    words = serve_command(export.resolve(), port)[1:]
    command = [sys.executable, "-m", "cellucid_dask", *words]  # that of the folder where it runs
    with (
        running_server(command, port, folder=checkout or ROOT),
        running_browser() as (driver, browser),
    ):
        page, url = Page(driver), f"http://127.0.0.1:{port}/"
        page.load(url, dimension)
        yield page, url, browser


def gather(rounds: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """Times of all rounds, by the name of the row."""
    genes = [gene for each in rounds for gene in each["genes"]]
    return {
        "gene: first cells given to WebGL": [gene["first"] for gene in genes],
        "gene: the picture is there": [gene["took"] for gene in genes],
        "gene: nothing more is drawn": [gene["whole"] for gene in genes],
        "gene: processor time": [gene["cpu"] for gene in genes],
        "frame while dragging": [gap for each in rounds for gap in each["drag"]["gaps"]],
        "the same, processor time": [each["drag"]["cpu"] for each in rounds],
        "last frame after dragging": [each["drag"]["settled"] for each in rounds],
    }


def format_comparison(runs: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Format medians of both pages, and their ratio: below 1 this page is faster."""
    own, baseline = gather(runs[THIS]), gather(runs.get(BASELINE, []))
    yield f"| ms (95% within) | {THIS} | {BASELINE} | ratio |"
    yield "|---|---:|---:|---:|"
    for row, values in own.items():
        other = baseline[row]
        ratio = f"{statistics.median(values) / statistics.median(other):.2f}" if other else "-"
        beside = format_spread(other) if other else "-"
        yield f"| {row} | {format_spread(values)} | {beside} | {ratio} |"


def format_filters(rounds: Sequence[dict[str, dict[str, float]]]) -> Iterator[str]:
    """Format medians of changes of filters and groups."""
    yield f"| ms (95% within) | shown; at most {MAX_SHOWN_MS} | processor time | complete |"
    yield "|---|---:|---:|---:|"
    for name in rounds[0]:
        columns = ([each[name][what] for each in rounds] for what in ("shown", "cpu", "whole"))
        yield f"| {name} | {' | '.join(map(format_spread, columns))} |"


@click.command("page-changes", help=__doc__.split("\n")[0])
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder for the data.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Checkout of the package whose page is measured as well.",
)
@click.option("--cells", type=click.IntRange(1000), default=1_000_000, show_default=True)
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True, help="Rounds.")
@click.option(
    "--genes", type=click.IntRange(1), default=5, show_default=True, help="Genes a round."
)
@click.option("--quick", is_flag=True, help="50,000 cells, one round, to try it.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all runs here.")
def command(
    work: Path,
    baseline: Path | None,
    cells: int,
    repeat: int,
    genes: int,
    quick: bool,
    json_path: Path | None,
) -> None:
    """Measure both pages in turns, and print the tables."""
    if quick:
        cells, repeat, genes = 50_000, 1, 2
    work.mkdir(parents=True, exist_ok=True)
    runs: dict[str, Any] = {}
    pages = {THIS: None} if baseline is None else {THIS: None, BASELINE: baseline.resolve()}
    for case in make_cases(work, cells, many=0):
        if case.kind != "export":
            continue
        timed: dict[str, Any] = {name: [] for name in pages}
        filtered = []
        for turn in range(repeat):
            for name in [*pages][:: -1 if turn % 2 else 1]:
                measured = measure_genes_and_drag(case.path, pages[name], case.dimension, genes)
                timed[name].append(measured)
            filtered.append(measure_filters(case.path, case.dimension))
            click.echo(f"round {turn + 1} of {repeat}: {case.name}", err=True)
        click.echo(f"\n{case.name}\n")
        click.echo("\n".join([*format_comparison(timed), "", *format_filters(filtered)]))
        runs[case.name] = {**timed, "filters": filtered}
    loads = [each["load_average"] for run in runs.values() for each in run[THIS]]
    click.echo("\n" + "\n".join(format_machine(loads)))
    if json_path:
        json_path.write_text(json.dumps(runs, indent=2), encoding="utf-8")
