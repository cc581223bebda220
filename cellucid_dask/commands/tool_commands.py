"""The commands for finished exports, and for batch scripts: `verify`, `preview`, `slurm-script`."""

from __future__ import annotations

from typing import Any

import click

from cellucid_dask import format as fmt
from cellucid_dask.commands.help_pages import SectionedCommand
from cellucid_dask.commands.imports import import_modules, input_modules
from cellucid_dask.commands.output import format_verification, print_lines
from cellucid_dask.commands.shared_options import Suggestions, debug
from cellucid_dask.commands.tool_options import preview_options, script_options, verify_options
from cellucid_dask.commands.values import parse_embeddings
from cellucid_dask.errors import CellucidDaskError, Problem


@click.command(cls=SectionedCommand, short_help="Check an export, or compare it with a file")
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


@click.command(cls=SectionedCommand, short_help="Draw an export as a picture")
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


@click.command("slurm-script", cls=SectionedCommand, short_help="Print a batch script for SLURM")
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
