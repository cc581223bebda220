"""The commands that write exports, and tidy up around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cellucid_dask.commands.export_options import export_options
from cellucid_dask.commands.help_pages import SectionedCommand
from cellucid_dask.commands.imports import cluster_modules, import_modules, input_modules
from cellucid_dask.commands.output import format_result, print_lines
from cellucid_dask.commands.serve_commands import serve_until_signal
from cellucid_dask.commands.serve_options import no_browser, port
from cellucid_dask.commands.shared_options import debug, format_options, input_options
from cellucid_dask.commands.values import keep_given, parse_arguments
from cellucid_dask.errors import CellucidDaskError


@click.command(cls=SectionedCommand, short_help="Write an atlas for the viewer")
@click.argument("data", type=click.Path())
@export_options
@input_options
@debug
def export(data: str, out: str | None, **given: Any) -> None:
    """Export DATA, an .h5ad file, a .zarr folder or a .zarr.zip.

    It makes a folder for the page of this package or, with --format, ready files for cellucid.com.
    """
    import_modules(*input_modules(data), *cluster_modules(given), "cellucid_dask.exporter.run")
    from cellucid_dask import api
    from cellucid_dask.compute.allocator import reuse_freed_memory

    reuse_freed_memory()
    dry_run, quiet = given.pop("dry_run"), given.pop("quiet")
    values, problems = parse_arguments(keep_given(given))
    result = api.run_export_command(data, out, values, problems, dry_run=dry_run, quiet=quiet)
    if dry_run or not quiet:
        print_lines(format_result(result))


@click.command(cls=SectionedCommand, short_help="Find all problems of a file")
@click.argument("data", type=click.Path())
@format_options
@input_options
@debug
def check(data: str, **given: Any) -> None:
    """List every problem of DATA at once, and what an export would warn of; write nothing.

    What only a pass over all values shows, such as NaN in a column, is said by the export.
    """
    import_modules(*input_modules(data), "cellucid_dask.exporter.checks.survey")
    from cellucid_dask import api

    result = api.run_check(data, *parse_arguments(keep_given(given)))
    for line in result.discovered:
        click.echo(f"  {line}")
    for line in result.warnings:
        click.echo(f"warning: {line}")
    if not result.ok:
        raise CellucidDaskError.of(result.problems)
    click.echo(f"{data} can be exported (warnings: {len(result.warnings)})")


@click.command(cls=SectionedCommand, short_help="Make, export and verify an example")
@click.option(
    "--cells", type=click.IntRange(50), default=5000, show_default=True, help="Number of cells."
)
@click.option(
    "--genes", type=click.IntRange(10), default=1000, show_default=True, help="Number of genes."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(),
    default="cellucid-demo",
    show_default=True,
    metavar="DIR",
    help="Folder to work in.",
)
@click.option("--serve", "serves", is_flag=True, help="Then serve the export, and open the page.")
@port
@no_browser
@debug
def demo(*, cells: int, genes: int, out: str, serves: bool, port: int, no_browser: bool) -> None:
    """Make a synthetic atlas, export it, and verify what was written.

    --port and --no-browser are of --serve.
    """
    import_modules("anndata", "cellucid_dask.exporter.run")
    from cellucid_dask.commands.demo import run_demo

    result, checked = run_demo(Path(out), cells, genes, click.echo)
    print_lines(format_result(result))
    click.echo(checked)
    if serves:
        from cellucid_dask import CellucidServer

        serve_until_signal(CellucidServer(result.out, port=port, open_browser=not no_browser))


@click.command(cls=SectionedCommand, short_help="Remove what an interrupted run left")
@click.argument("out", type=click.Path())
@debug
def clean(out: str) -> None:
    """Remove what an interrupted run left for resuming; OUT itself stays."""
    import_modules("cellucid_dask.exporter.recovery.clean")
    from rich.filesize import decimal

    from cellucid_dask import clean as remove

    done = remove(out)
    click.echo(f"removed {decimal(done.bytes)}" if done.bytes else "there is nothing to remove")
    if done.aside is not None:
        click.echo(
            f"warning: what was there before was not only an export, and is now {done.aside}"
        )


@click.command(cls=SectionedCommand, short_help="List exports in datasets.json")
@click.argument("root", type=click.Path())
@click.option("--default", metavar="ID", help="Dataset that is shown first. [default: the first]")
@debug
def catalog(root: str, default: str | None) -> None:
    """Write datasets.json for the exports in the folders of ROOT."""
    import_modules("cellucid_dask.datasets")
    from cellucid_dask import catalog as write_catalog
    from cellucid_dask.datasets import find_data_files

    payload = write_catalog(root, default=default)
    for entry in payload["datasets"]:
        mark = " (default)" if entry["id"] == payload["default"] else ""
        click.echo(f"  {entry['id']}: {entry['name']}, {entry.get('n_cells', 0):,} cells{mark}")
    others = find_data_files(Path(root))
    if others:
        click.echo(f"  not listed: {', '.join(others)} (a viewer finds only export folders here)")
    click.echo(f"wrote {Path(root) / 'datasets.json'} (datasets: {len(payload['datasets'])})")
