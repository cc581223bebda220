"""The command line: parses, calls one function per command, prints what it returns."""

from __future__ import annotations

import errno
import logging
import os
import queue
import signal
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cellucid_dask import format as fmt
from cellucid_dask.arguments.boundary import command_line
from cellucid_dask.commands.options import (
    accept_missing_chunks,
    cache_dir,
    debug,
    export_options,
    input_options,
    modality,
    preview_options,
    script_options,
    serve_options,
    verify_options,
    worker_options,
)
from cellucid_dask.commands.output import print_lines, told, verdict
from cellucid_dask.commands.signals import (
    ENDING,
    INTERRUPTED,
    die_at_signals,
    handle,
    unwind_at_signals,
)
from cellucid_dask.commands.values import named, read_embeddings
from cellucid_dask.errors import CellucidDaskError, Problem, machine_error

if TYPE_CHECKING:
    from cellucid_dask.server.lifetime import CellucidServer


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cellucid-dask")
def cli() -> None:
    """Export single-cell atlases to the Cellucid viewer, out of core and in parallel."""


@cli.command()
@click.argument("data", type=click.Path())
@export_options
@input_options
@debug
def export(data: str, out: str | None, **given: Any) -> None:
    """Export DATA: an .h5ad file, a .zarr folder or a .zarr.zip."""
    _load(*_READING, "rich.progress", "distributed", "cellucid_dask.exporter.run")
    from cellucid_dask import api

    dry_run, quiet = given.pop("dry_run"), given.pop("quiet")
    values, problems = named(given)
    result = api.run_export_command(data, out, values, problems, dry_run=dry_run, quiet=quiet)
    if dry_run or not quiet:
        print_lines(told(result))


@cli.command()
@click.argument("data", type=click.Path())
@input_options
@debug
def check(data: str, **given: Any) -> None:
    """List every problem and warning of DATA at once; write nothing."""
    _load(*_READING, "cellucid_dask.exporter.checks.survey")
    from cellucid_dask import api

    found = api.run_check(data, *named(given))
    for line in found.discovered:
        click.echo(f"  {line}")
    for line in found.warnings:
        click.echo(f"warning: {line}")
    if not found.ok:
        raise CellucidDaskError.of(found.problems)
    click.echo(f"{data} can be exported (warnings: {len(found.warnings)})")


@cli.command()
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
@debug
def demo(cells: int, genes: int, out: str) -> None:
    """Make a synthetic atlas, export it, and verify what was written."""
    _load(*_READING, "rich.progress", "distributed", "cellucid_dask.exporter.run")
    from cellucid_dask.commands.demo import run_demo

    result, checked = run_demo(Path(out), cells, genes, click.echo)
    print_lines(told(result))
    click.echo(checked)


@cli.command()
@click.argument("out", type=click.Path())
@debug
def clean(out: str) -> None:
    """Remove what a run that died or failed left for the next to go on with; OUT itself stays."""
    _load("cellucid_dask.exporter.recovery.staging")
    from rich.filesize import decimal

    from cellucid_dask import clean as remove

    done = remove(out)
    click.echo(f"removed {decimal(done.bytes)}" if done.bytes else "there is nothing to remove")
    if done.aside is not None:
        click.echo(f"warning: what was there before held other files and is now {done.aside}")


@cli.command()
@click.argument("root", type=click.Path())
@click.option("--default", metavar="ID", help="Dataset that is shown first. [default: the first]")
@debug
def catalog(root: str, default: str | None) -> None:
    """Write datasets.json for the exports in the folders of ROOT."""
    _load("cellucid_dask.datasets")
    from cellucid_dask import catalog as write_catalog

    payload = write_catalog(root, default=default)
    for entry in payload["datasets"]:
        mark = " (default)" if entry["id"] == payload["default"] else ""
        click.echo(f"  {entry['id']}: {entry['name']}, {entry.get('n_cells', 0):,} cells{mark}")
    click.echo(f"wrote {Path(root) / 'datasets.json'} (datasets: {len(payload['datasets'])})")


@cli.command()
@click.argument("path", type=click.Path())
@serve_options
@input_options
@debug
def serve(path: str, **given: Any) -> None:
    """Serve PATH: an export, a folder of exports, an .h5ad file, a .zarr folder or a .zarr.zip."""
    from cellucid_dask.server.datasets.opening import holds_exports

    reading = (
        () if holds_exports(path) else (*_READING, "cellucid_dask.server.datasets.auto_reload")
    )
    _load(
        *reading,
        "dask.utils",
        "cellucid_dask.server.http.allocator",
        "cellucid_dask.server.lifetime",
    )
    from cellucid_dask import CellucidServer
    from cellucid_dask.server.http.allocator import return_freed_memory

    return_freed_memory()
    values, problems = named(given)
    server = CellucidServer(path, problems=problems, **values)
    _until_stopped(server)


@cli.command()
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
    """Build the gene index that `serve` uses for DATA whose matrix lies cell by cell (CSR)."""
    _load(*_READING, "rich.progress", "distributed", "cellucid_dask.server.build_index")
    from cellucid_dask.options.run import read
    from cellucid_dask.server.build_index import build_index

    _, run, problems = read({"workers": workers, "memory": memory})
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
        click.echo(f"{'wrote' if result.made else 'is there already:'} {result.folder}")


@cli.command()
@click.argument("export", type=click.Path())
@verify_options
@debug
def verify(export: str, against: str | None, **given: Any) -> int:
    """Say everything that is wrong with EXPORT; with --against, also what differs from DATA.

    Exit code 0 when nothing is wrong, 1 when something is.
    """
    reading = (*_READING, "cellucid_dask.verify.compare") if against is not None else ()
    _load(*reading, "rich.progress", "cellucid_dask.verify")
    from cellucid_dask.compute.progress import Reporter
    from cellucid_dask.verify import verify as verify_export

    as_json, quiet = given.pop("as_json"), given.pop("quiet")
    problems: list[Problem] = []
    given["embeddings"] = read_embeddings(given["embeddings"], problems)
    if problems:
        raise CellucidDaskError.of(problems)
    progress = Reporter(quiet=quiet).stage
    report = verify_export(export, against, progress=progress, **given)
    if as_json:
        said = {"export": export, "against": against, **report.as_dict()}
        print_lines([fmt.dumps(said, pretty=True)])
    else:
        lines = [*report.problems, *(f"not compared: {text}" for text in report.not_compared)]
        print_lines([*(f"  {line}" for line in lines), verdict(export, against, report)])
    return 0 if report.ok else 1


@cli.command()
@click.argument("export", type=click.Path())
@preview_options
@debug
def preview(export: str, **given: Any) -> None:
    """Draw EXPORT on a sheet of thumbnails, for a log or a mail."""
    from cellucid_dask.previewer.matplotlib_setup import require_matplotlib

    require_matplotlib()
    _load("scipy.ndimage", "cellucid_dask.previewer.sheet", "cellucid_dask.files")
    from rich.filesize import decimal

    from cellucid_dask import preview as draw

    written = draw(export, **given)
    print_lines([f"wrote {written}: {decimal(written.stat().st_size)}"])


@cli.command("slurm-script")
@click.argument("kind")
@script_options
@click.argument("more", nargs=-1, metavar="[-- OPTIONS]")
@debug
def slurm_script(kind: str, **given: Any) -> None:
    """Print a batch script: export-node, export-nodes, export-array or serve-node.

    OPTIONS after -- are passed on to the command of the script.
    """
    from cellucid_dask.compute.slurm.script import Choices, write_script

    click.echo(write_script(kind, Choices(**given)), nl=False)


def _until_stopped(server: CellucidServer) -> None:
    """Serve until a signal; answers under way have a second, then the process ends regardless.

    From here on signals are noted, not raised: one that came in the middle of starting or stopping
    would leave threads behind that serve on and keep the process.
    """
    received: queue.SimpleQueue[int] = queue.SimpleQueue()
    handle(lambda number, _: received.put(number), signal.SIGINT, *ENDING)
    server.start_background()
    number = None
    while number is None:
        # Not without end: a signal that comes just before the wait begins does not end it.
        with suppress(queue.Empty):
            number = received.get(timeout=0.2)
    code = 0 if number == signal.SIGINT else 128 + number  # Ctrl-C is the usual way to stop it
    if not server.stop():
        sys.stdout.flush()
        os._exit(code)  # a thread that still answers would keep the process
    sys.exit(code)


_READING = ("anndata", "dask.array", "h5py", "zarr", "cellucid_dask.source.inputs.anndata_file")


def _load(*modules: str) -> None:
    """Import what a command needs; from then on a signal unwinds it."""
    for name in modules:
        import_module(name)
    unwind_at_signals()


def _say_stopped(how: str, given: list[str], ending: BaseException) -> None:
    """Say that a signal ended the command, and what is left of its work."""
    if given[:1] == ["serve"] and how == "terminated":
        return
    half = ": no export is left half made" if given[:1] in (["export"], ["demo"]) else ""
    with suppress(OSError):  # the terminal is gone
        click.echo("\n".join([how + half, *_notes(ending)]), err=True)


def _unforeseen(error: Exception) -> int:
    """Say what nobody saw to, and give the exit code."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:  # of any path given
        what, fix = "is longer than a path may be", "name it shorter"
        click.echo(f"error: {Problem(what, str(error.filename), fix)}", err=True)
        return 2
    if (fault := machine_error(error)) is not None:
        click.echo("\n".join([f"error: {fault}", *_notes(error)]), err=True)
        return fault.exit_code
    told = f"internal error: {type(error).__name__}: {error}"
    fix = "this is a bug: run again with --debug and report what it prints"
    click.echo(f"{told}\n    {fix}", err=True)
    return 1


def _notes(error: BaseException | None) -> list[str]:
    """Lines that were added to an error, or to one that it came after."""
    found: list[str] = []
    while error is not None:
        found += [f"    {note}" for note in getattr(error, "__notes__", ())]
        error = error.__cause__ or error.__context__
    return list(dict.fromkeys(found))


def _check_environment() -> None:
    """See to a variable that numpy, when it is imported, takes for a number whatever it holds."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch == "":
        del os.environ["SOURCE_DATE_EPOCH"]
    elif epoch is not None and not (epoch.isascii() and epoch.isdigit()):
        fix = "set it to seconds since 1970, or use --created-at"
        problem = Problem(f"{epoch!r} is not a time in seconds", "SOURCE_DATE_EPOCH", fix)
        click.echo(f"error: {problem}", err=True)
        sys.exit(2)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 refused, 128 and a signal, 1 our fault.

    `verify` exits with 1 as well when an export is not whole.
    """
    given = sys.argv[1:] if arguments is None else arguments
    debugging = "--debug" in given
    if debugging:
        logging.getLogger("cellucid_dask").setLevel(logging.DEBUG)
    die_at_signals()
    _check_environment()
    try:
        with command_line():
            status = cli.main(given, prog_name="cellucid-dask", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort) as ending:
        _say_stopped("interrupted", given, ending)
        sys.exit(INTERRUPTED)
    except SystemExit as ending:
        if isinstance(ending.code, int) and ending.code > 128:
            _say_stopped("terminated", given, ending)
        raise
    except CellucidDaskError as error:
        if debugging:
            traceback.print_exc()
        click.echo("\n".join([f"error: {error}", *_notes(error)]), err=True)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001  the last line between a bug and its user
        if debugging:
            traceback.print_exc()
        sys.exit(_unforeseen(error))
    sys.exit(status or 0)
