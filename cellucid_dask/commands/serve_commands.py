"""The commands around the server: `serve`, and `index` for the gene index that it uses."""

from __future__ import annotations

import os
import queue
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from cellucid_dask.commands.help_pages import SectionedCommand
from cellucid_dask.commands.imports import cluster_modules, import_modules, input_modules
from cellucid_dask.commands.output import print_lines
from cellucid_dask.commands.serve_options import serve_options
from cellucid_dask.commands.shared_options import (
    accept_missing_chunks,
    cache_dir,
    debug,
    input_options,
    modality,
    worker_options,
)
from cellucid_dask.commands.signals import ENDING, handle
from cellucid_dask.commands.values import parse_arguments
from cellucid_dask.errors import Problem

if TYPE_CHECKING:
    from cellucid_dask.server.lifetime import CellucidServer


@click.command(cls=SectionedCommand, short_help="Show a file or an export in the browser")
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
    serve_until_signal(server)


@click.command(cls=SectionedCommand, short_help="Build the gene index that serve uses")
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


def serve_until_signal(server: CellucidServer) -> None:
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
