"""Time the page that `cellucid-dask serve` shows, in a real Chromium, and print a table.

    python -m benchmarks page --work FOLDER --repeat 5 --json FILE
    python -m benchmarks page --work FOLDER --quick        # 50,000 cells, once, under a minute

It opens an export and live data (a CSC h5ad) of `--cells` cells and an export of `--many`, in 2D
and 3D. Every round has a fresh server and a fresh browser with an empty profile; files are in the
page cache. There is no graphics card: SwiftShader draws on the processor, which server and
benchmark share. With a card, drawing takes a fraction of it, all else the same.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.page.browser import Page, describe_browser, measure_memory, running_browser
from benchmarks.serve.servers import find_free_port, running_server, serve_command
from benchmarks.shared.atlases import find_or_make_atlas
from benchmarks.shared.machine import count_cores, describe_command
from cellucid_dask import export
from cellucid_dask.synthetic import AtlasSpec

Runs = list[dict[str, Any]]
MAX_LOAD_MS, MAX_SWITCH_MS = 3000, 300  # ms, at 1,000,000 cells


@dataclass(frozen=True, slots=True)
class Case:
    """What the page shows."""

    kind: str
    cells: int
    path: Path
    dimension: int

    @property
    def name(self) -> str:
        """Name of the column in the table."""
        return f"{self.kind}, {self.cells:,} cells, {self.dimension}D"


def make_cases(work: Path, cells: int, many: int) -> Iterator[Case]:
    """Make the data, unless an earlier run made it."""
    for n, genes, kinds in ((cells, 2_000, ("export", "live")), (many, 50, ("export",))):
        if not n:
            continue
        spec = AtlasSpec(n, genes, density=0.03, latent=2, neighbors=0, layout="csc")
        atlas = find_or_make_atlas("page", spec, work)
        exported = atlas.with_suffix("")
        if not (exported / "dataset_identity.json").exists():
            export(atlas, exported, quiet=True)
        for kind in kinds:
            path = exported if kind == "export" else atlas
            yield from (Case(kind, n, path, dimension) for dimension in (2, 3))


def measure_round(case: Case, switches: int) -> dict[str, Any]:
    """Run one round of a case and return its figures: times in ms, memory in MB."""
    port = find_free_port()
    with (
        running_server(serve_command(case.path, port), port),
        running_browser() as (driver, parent),
    ):
        page, url = Page(driver), f"http://127.0.0.1:{port}/"
        figures: dict[str, Any] = {
            "load_average": os.getloadavg()[0],
            "empty": measure_memory(parent),
        }
        figures["load"] = page.load(url, case.dimension)
        figures["memory"] = measure_memory(parent)
        figures["genes"] = [page.switch(gene) for gene in choose_genes(url, switches)]
        figures["drag"] = page.drag()
        figures["still"] = page.rest()
        figures["memory_used"] = measure_memory(parent)
        figures["again"] = page.load(url, case.dimension)
    return figures


def choose_genes(url: str, n: int) -> list[str]:
    """Choose genes that are evenly spaced in the manifest."""
    with urllib.request.urlopen(f"{url}var_manifest.json") as response:
        names = [name for name, *_ in json.load(response)["fields"]]
    return [names[(i + 1) * len(names) // (n + 1)] for i in range(n)]


def format_median(values: Sequence[float | None]) -> str:
    """Format the median; a dash if a value is not known."""
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):,.0f}" if values and len(known) == len(values) else "-"


def format_percentile(values: list[float]) -> str:
    """Format the 95th percentile."""
    return f"{statistics.quantiles(values, n=20)[-1]:,.0f}" if len(values) > 1 else "-"


def format_spread(values: list[float]) -> str:
    """Format the median and the 95th percentile."""
    return f"{format_median(values)} ({format_percentile(values)})"


def format_figures(runs: Runs) -> dict[str, str]:
    """Format the figures of one case, by the name of the row."""

    def load(name: str, what: str) -> str:
        return format_median([run[name][what] for run in runs])

    def resident(process: str) -> str:
        now, peak = (load("memory_used", process + end) for end in ("", "_peak"))
        return f"{now} ({peak}; {load('empty', process)})"

    genes = [gene for run in runs for gene in run["genes"]]
    took = [gene["took"] for gene in genes]
    gaps = [gap for run in runs for gap in run["drag"]["gaps"]]
    ticks = [gap for run in runs for gap in run["still"]["gaps"]]
    return {
        "first cells given to WebGL, ms": load("load", "first"),
        "the picture is there, ms": load("load", "drawn"),
        "the same, the server's second page": load("again", "drawn"),
        "nothing more is drawn, ms": load("load", "whole"),
        "longest task until then, ms": load("load", "longest"),
        "gene: first cells given to WebGL, ms": format_median([gene["first"] for gene in genes]),
        "gene: the picture is there, ms (95% within)": format_spread(took),
        "gene: nothing more is drawn, ms": format_median([gene["whole"] for gene in genes]),
        "gene: requests": ", ".join(map(str, sorted({gene["requests"] for gene in genes}))),
        "frame while dragging, ms (95% within)": format_spread(gaps),
        "last frame after dragging, ms": load("drag", "settled"),
        "still: frames in a second": load("still", "drawn"),
        "still: time between ticks, ms": format_median(ticks),
        "renderer process, MB (at most; empty)": resident("renderer"),
        "GPU process, MB (at most; empty)": resident("gpu"),
    }


TARGETS = {
    "the picture is there, ms": f"{MAX_LOAD_MS:,} at 1,000,000 cells",
    "gene: the picture is there, ms (95% within)": f"{MAX_SWITCH_MS:,} at 1,000,000 cells",
    "gene: requests": "1",
}


def format_table(runs: dict[str, Runs]) -> Iterator[str]:
    """Format the table, with a column for every case."""
    columns = {name: format_figures(each) for name, each in runs.items()}
    yield f"| | {' | '.join(columns)} | at most |"
    yield f"|---|{'---:|' * len(columns)}---|"
    for row in next(iter(columns.values())):
        values = " | ".join(column[row] for column in columns.values())
        yield f"| {row} | {values} | {TARGETS.get(row, '')} |"


def format_machine(loads: Sequence[float]) -> Iterator[str]:
    """Format how and on which machine the figures were measured."""
    yield (
        f"- {count_cores()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"{describe_browser()}, SwiftShader (no graphics card), window 1280 x 720"
    )
    yield f"- load average before each run: {min(loads):.1f} to {max(loads):.1f}"
    yield f"- command: `{describe_command()}`"


@click.command("page", help=__doc__.split("\n")[0])
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the data.",
)
@click.option("--cells", type=click.IntRange(1000), default=1_000_000, show_default=True)
@click.option("--many", type=click.IntRange(0), default=5_000_000, show_default=True)
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True, help="Rounds.")
@click.option(
    "--genes", type=click.IntRange(1), default=5, show_default=True, help="Genes a round."
)
@click.option("--quick", is_flag=True, help="50,000 cells, one round, to try it.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all runs here.")
def command(
    work: Path,
    cells: int,
    many: int,
    repeat: int,
    genes: int,
    quick: bool,
    json_path: Path | None,
) -> None:
    """Run the cases in turn, and print the table."""
    if quick:
        cells, many, repeat, genes = 50_000, 0, 1, 2
    work.mkdir(parents=True, exist_ok=True)
    cases = list(make_cases(work, cells, many))
    runs: dict[str, Runs] = {case.name: [] for case in cases}
    for turn in range(repeat):
        for case in cases[:: -1 if turn % 2 else 1]:
            runs[case.name].append(measure_round(case, genes))
            click.echo(f"round {turn + 1} of {repeat}: {case.name}", err=True)
    click.echo("\n".join(format_table(runs)))
    loads = [run["load_average"] for each in runs.values() for run in each]
    click.echo("\n" + "\n".join(format_machine(loads)))
    if json_path:
        json_path.write_text(json.dumps(runs, indent=2), encoding="utf-8")
