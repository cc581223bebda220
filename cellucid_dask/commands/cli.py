"""The commands: each parses its options, calls one function and prints what it returns."""

from __future__ import annotations

import os
import queue
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cellucid_dask import format as fmt
from cellucid_dask.commands.export_options import export_options
from cellucid_dask.commands.help_pages import SectionedGroup
from cellucid_dask.commands.imports import cluster_modules, import_modules, input_modules
from cellucid_dask.commands.installation import version_options
from cellucid_dask.commands.output import format_result, format_verification, print_lines
from cellucid_dask.commands.serve_options import no_browser, port, serve_options
from cellucid_dask.commands.shared_options import (
    Suggestions,
    accept_missing_chunks,
    cache_dir,
    debug,
    format_options,
    input_options,
    modality,
    worker_options,
)
from cellucid_dask.commands.signals import ENDING, handle
from cellucid_dask.commands.tool_options import preview_options, script_options, verify_options
from cellucid_dask.commands.values import keep_given, parse_arguments, parse_embeddings
from cellucid_dask.commands.viewer import viewer
from cellucid_dask.errors import CellucidDaskError, Problem

COMPLETION_VARIABLE = "_CELLUCID_DASK_COMPLETE"  # that click reads

if TYPE_CHECKING:
    from cellucid_dask.server.lifetime import CellucidServer


@click.group(
    cls=SectionedGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@version_options
def cli(*, verbose: bool) -> None:
    """Export single-cell atlases to the Cellucid viewer, out of core and in parallel."""
    if verbose:
        raise click.UsageError("--verbose goes with --version")


cli.add_command(viewer)


@cli.command(short_help="Write an atlas for the viewer")
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


@cli.command(short_help="Find all problems of a file")
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


@cli.command(short_help="Make, export and verify an example")
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

        _serve_until_signal(CellucidServer(result.out, port=port, open_browser=not no_browser))


@cli.command(short_help="Remove what an interrupted run left")
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


@cli.command(short_help="List exports in datasets.json")
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


@cli.command(short_help="Show a file or an export in the browser")
@click.argument("path", type=click.Path())
@serve_options
@input_options
@debug
def serve(path: str, **given: Any) -> None:
    """Serve PATH: an export, a folder of exports, an .h5ad file, a .zarr folder or a .zarr.zip.

    The genes of a ready file, which is stored gene by gene, need no index.
    """
    from cellucid_dask.server.opening import holds_exports

    if not holds_exports(path):
        import_modules(*input_modules(path), "cellucid_dask.server.datasets.open_live")
    import_modules("cellucid_dask.compute.allocator", "cellucid_dask.server.lifetime")
    from cellucid_dask import CellucidServer
    from cellucid_dask.compute.allocator import return_freed_memory

    return_freed_memory()
    values, problems = parse_arguments(given)
    server = CellucidServer(path, problems=problems, **values)
    _serve_until_signal(server)


@cli.command(short_help="Build the gene index that serve uses")
@click.argument("data", type=click.Path())
@worker_options
@cache_dir
@modality
@click.option("--layer", metavar="NAME", help="Index this layer in place of X.")
@click.option("--raw", is_flag=True, help="Index raw in place of X.")
@accept_missing_chunks
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@debug
def index(data: str, workers: int | None, memory: str | None, **given: Any) -> None:
    """Build the gene index that `serve` uses when the matrix of DATA is stored by cell (CSR)."""
    how = {"workers": workers, "memory": memory}
    import_modules(*input_modules(data), *cluster_modules(how), "cellucid_dask.server.build_index")
    from cellucid_dask.compute.allocator import reuse_freed_memory
    from cellucid_dask.options.keywords import read_export_options
    from cellucid_dask.server.build_index import build_index

    reuse_freed_memory()
    _, run, problems = read_export_options(how)
    if given["layer"] is not None and given["raw"]:
        fix = "leave one of them out"
        problems.append(Problem("--layer and --raw cannot both be given", fix=fix))
    result = build_index(data, run, problems=problems, **given)
    if given["quiet"]:
        return
    print_lines([f"warning: {line}" for line in result.warnings])
    if result.folder is None:
        click.echo(f"{data} needs no index: its matrix is {result.layout}")
    else:
        click.echo(f"{'wrote' if result.made else 'exists already:'} {result.folder}")


@cli.command(short_help="Check an export, or compare it with a file")
@click.argument("export", type=click.Path())
@verify_options
@debug
def verify(export: str, against: str | None, **given: Any) -> int:
    """Report everything that is wrong with EXPORT; with --against, also what differs from DATA.

    Exit code 0 when nothing is wrong, 1 when something is.
    """
    reading = (
        (*input_modules(against), "anndata", "cellucid_dask.verify.comparison.compare")
        if against is not None
        else ()
    )
    import_modules(*reading, "rich.progress", "cellucid_dask.verify")
    from cellucid_dask.compute.progress import Reporter
    from cellucid_dask.verify import verify as verify_export

    as_json, quiet = given.pop("as_json"), given.pop("quiet")
    problems: list[Problem] = []
    given["embeddings"] = parse_embeddings(given["embeddings"], problems)
    if problems:
        raise CellucidDaskError.of(problems)
    progress = Reporter(quiet=quiet).stage
    report = verify_export(export, against, progress=progress, **given)
    if as_json:
        summary = {"export": export, "against": against, **report.as_dict()}
        print_lines([fmt.dumps(summary, pretty=True)])
    else:
        lines = [*report.problems, *(f"not compared: {text}" for text in report.not_compared)]
        print_lines(
            [*(f"  {line}" for line in lines), format_verification(export, against, report)]
        )
    return 0 if report.ok else 1


@cli.command(short_help="Draw an export as a picture")
@click.argument("export", type=click.Path())
@preview_options
@debug
def preview(export: str, **given: Any) -> None:
    """Draw EXPORT on a sheet of thumbnails, for a log or a mail."""
    from cellucid_dask.previewer.matplotlib_setup import require_matplotlib

    require_matplotlib()
    import_modules("scipy.ndimage", "cellucid_dask.previewer.sheet", "cellucid_dask.files")
    from rich.filesize import decimal

    from cellucid_dask import preview as draw

    written = draw(export, **given)
    print_lines([f"wrote {written}: {decimal(written.stat().st_size)}"])


@cli.command("slurm-script", short_help="Print a batch script for SLURM")
@click.argument(
    "kind", type=Suggestions("export-node", "export-nodes", "export-array", "serve-node")
)
@script_options
@click.argument("more", nargs=-1, metavar="[-- OPTIONS]")
@debug
def slurm_script(kind: str, **given: Any) -> None:
    """Print a batch script: export-node, export-nodes, export-array or serve-node.

    OPTIONS after -- are passed on to the command of the script.
    """
    from cellucid_dask.compute.slurm.choices import Choices
    from cellucid_dask.compute.slurm.script import write_script

    click.echo(write_script(kind, Choices(**given)), nl=False)


@cli.command(short_help="Print what completes words in a shell")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@debug
def completion(shell: str) -> None:
    """Print a script that makes SHELL complete commands, options and paths.

    Put this into ~/.bashrc: eval "$(cellucid-dask completion bash)"; into ~/.zshrc, after compinit,
    the same with zsh; and into ~/.config/fish/config.fish: cellucid-dask completion fish | source
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None, "click has these shells"
    click.echo(made(cli, {}, "cellucid-dask", COMPLETION_VARIABLE).source())


def _serve_until_signal(server: CellucidServer) -> None:
    """Serve until a signal arrives; open requests get a second, then the process ends.

    From here on signals are queued, not raised: an exception in the middle of starting or stopping
    would leave threads that keep serving and keep the process alive.
    """
    received: queue.SimpleQueue[int] = queue.SimpleQueue()
    handle(lambda number, _: received.put(number), signal.SIGINT, *ENDING)
    server.start_background()
    number = None
    while number is None:
        # With a timeout: a signal that arrives just before the wait begins does not end it.
        with suppress(queue.Empty):
            number = received.get(timeout=0.2)
    code = 0 if number == signal.SIGINT else 128 + number  # Ctrl-C is the usual way to stop it
    if not server.stop():
        sys.stdout.flush()
        os._exit(code)  # a thread that still answers would keep the process alive
    sys.exit(code)
