"""The command line: parses, calls one function per command, prints what it returns."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cellucid_dask.errors import CellucidDaskError, Problem

if TYPE_CHECKING:
    from cellucid_dask.exporter.result import ExportResult

F = TypeVar("F", bound=Callable[..., Any])

INTERRUPTED = 130
BITS = "[8|16|none]"


def _together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Make one decorator of several, first on top in the help."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_input_options = _together(
    click.option(
        "--obs-key",
        "obs_keys",
        multiple=True,
        metavar="K",
        help="Export this obs column; repeat for more. [default: all]",
    ),
    click.option(
        "--gene",
        "genes",
        multiple=True,
        metavar="G",
        help="Export this gene; repeat for more. [default: all]",
    ),
    click.option(
        "--genes-file",
        type=click.Path(dir_okay=False),
        metavar="F",
        help="Export the genes of this file, one id a line, after those of --gene.",
    ),
    click.option(
        "--gene-id-column",
        default="index",
        show_default=True,
        metavar="C",
        help="Column of var with the gene ids.",
    ),
    click.option(
        "--rename-duplicates", is_flag=True, help="Append -1, -2, ... to repeated gene ids."
    ),
    click.option(
        "--layer", metavar="NAME", help="Take the expression from this layer in place of X."
    ),
    click.option("--raw", is_flag=True, help="Take the expression from raw in place of X."),
    click.option(
        "--latent-key", metavar="K", help="obsm key of the latent space. [default: found]"
    ),
    click.option(
        "--embedding",
        "embeddings",
        multiple=True,
        metavar="2d=KEY",
        help="obsm key of an embedding; repeat for more. [default: X_umap_2d and the like]",
    ),
    click.option(
        "--graph", metavar="KEY", help="obsp key of the neighbour graph. [default: connectivities]"
    ),
    click.option("--no-graph", is_flag=True, help="Export no neighbour graph."),
    click.option("--no-vectors", is_flag=True, help="Export no vector fields."),
    click.option("--no-genes", is_flag=True, help="Export no gene expression."),
    click.option(
        "--categorical-dtype",
        metavar="[auto|uint8|uint16]",
        default="auto",
        show_default=True,
        help="Type of the codes of categories.",
    ),
)

_export_options = _together(
    click.option(
        "-o",
        "--out",
        type=click.Path(),
        metavar="DIR",
        help="Folder to make. [default: exports/NAME]",
    ),
    click.option(
        "--workers",
        type=int,
        metavar="N",
        help="Processes; 1 runs threads in this one. [default: the cores this process may use]",
    ),
    click.option(
        "--memory",
        metavar="SIZE",
        help="Bound on the summed resident memory of all processes. "
        "[default: half of what is available]",
    ),
    click.option(
        "--scratch",
        type=click.Path(),
        metavar="DIR",
        help="Where the spill goes. [default: beside the output]",
    ),
    click.option(
        "--scheduler",
        metavar="ADDR",
        help="Join a running dask scheduler: tcp://host:port or a scheduler file.",
    ),
    click.option(
        "--compression",
        type=int,
        default=6,
        show_default=True,
        help="Gzip level; 0 writes plain files.",
    ),
    click.option(
        "--var-quantization",
        metavar=BITS,
        default="8",
        show_default=True,
        help="Bits of a gene value.",
    ),
    click.option(
        "--obs-quantization",
        metavar=BITS,
        default="8",
        show_default=True,
        help="Bits of a continuous obs value.",
    ),
    click.option(
        "--centroid-quantile",
        type=float,
        default=0.95,
        show_default=True,
        metavar="Q",
        help="Cells nearer than this quantile make the centroid of a category.",
    ),
    click.option(
        "--centroid-min-points",
        type=int,
        default=10,
        show_default=True,
        metavar="N",
        help="Smaller categories get no centroid.",
    ),
    click.option("--dataset-id", metavar="ID", help="Id in the identity. [default: from the name]"),
    click.option(
        "--dataset-name", metavar="NAME", help="Name in the identity. [default: that of the folder]"
    ),
    click.option("--description", default="", metavar="TEXT", help="Description in the identity."),
    click.option("--source-name", metavar="NAME", help="Who made the data."),
    click.option("--source-url", metavar="URL", help="Where the data is from."),
    click.option("--citation", metavar="TEXT", help="How to cite the data."),
    click.option(
        "--created-at",
        metavar="TIME",
        help="UTC time in the identity, 2026-01-31T12:00:00Z. "
        "[default: SOURCE_DATE_EPOCH, else now]",
    ),
    click.option(
        "--force",
        is_flag=True,
        help="Replace an export that is there, once the new one is complete.",
    ),
    click.option("--dry-run", is_flag=True, help="Check and print the plan; write nothing."),
    click.option(
        "--report",
        type=click.Path(),
        metavar="FILE.json",
        help="Write the run report here as well.",
    ),
    click.option("--quiet", is_flag=True, help="Print nothing but errors."),
)

# main() looks for it, since an error may come before a command has parsed its own options.
_debug = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show a traceback with an error."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cellucid-dask")
def cli() -> None:
    """Export single-cell atlases to the Cellucid viewer, out of core and in parallel."""


@cli.command()
@click.argument("data", type=click.Path())
@_export_options
@_input_options
@_debug
def export(data: str, out: str | None, **given: Any) -> None:
    """Export DATA: an .h5ad file, a .zarr folder or a .zarr.zip."""
    from cellucid_dask import api

    dry_run, quiet = given.pop("dry_run"), given.pop("quiet")
    values, problems = _named(given)
    result = api.start(data, out, values, problems, dry_run=dry_run, quiet=quiet)
    if dry_run or not quiet:
        _tell(result)


@cli.command()
@click.argument("data", type=click.Path())
@_input_options
@_debug
def check(data: str, **given: Any) -> None:
    """List every problem and warning of DATA at once; write nothing."""
    from cellucid_dask import api

    found = api.look(data, *_named(given))
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
@_debug
def demo(cells: int, genes: int, out: str) -> None:
    """Make a synthetic atlas, export it, and verify what was written."""
    from cellucid_dask.demo import run_demo

    result, checked = run_demo(Path(out), cells, genes, click.echo)
    _tell(result)
    click.echo(checked)


@cli.command()
@click.argument("root", type=click.Path())
@click.option("--default", metavar="ID", help="Dataset that is shown first. [default: the first]")
@_debug
def catalog(root: str, default: str | None) -> None:
    """Write datasets.json for the exports in the folders of ROOT."""
    from cellucid_dask import catalog as write_catalog

    payload = write_catalog(root, default=default)
    for entry in payload["datasets"]:
        mark = " (default)" if entry["id"] == payload["default"] else ""
        click.echo(f"  {entry['id']}: {entry['name']}, {entry.get('n_cells', 0):,} cells{mark}")
    click.echo(f"wrote {Path(root) / 'datasets.json'} (datasets: {len(payload['datasets'])})")


def _named(given: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Command line values as keyword arguments, and what is wrong with how they are written."""
    problems: list[Problem] = []
    values = {key: value for key, value in given.items() if value is not None}
    for switch, option in (
        ("no_graph", "connectivity"),
        ("no_vectors", "vectors"),
        ("no_genes", "expression"),
    ):
        values[option] = not values.pop(switch)
    if values.get("graph") and not values["connectivity"]:
        what = "--graph and --no-graph cannot both be given"
        problems.append(Problem(what, fix="leave one of them out"))
    for name in ("var_quantization", "obs_quantization"):
        bits = values.get(name)
        if bits is not None:
            values[name] = None if bits == "none" else int(bits) if bits.isdecimal() else bits
    values["embeddings"] = _embeddings(values.pop("embeddings"), problems)
    listed = _genes(values.pop("genes_file", None), problems)
    values["genes"] = (*values["genes"], *listed) or None
    values["obs_keys"] = values["obs_keys"] or None
    return values, problems


def _embeddings(texts: tuple[str, ...], problems: list[Problem]) -> dict[int, str]:
    found: dict[int, str] = {}
    for text in texts:
        dim, _, key = text.partition("=")
        if dim not in ("1d", "2d", "3d") or not key:
            problems.append(Problem(f"{text!r} cannot be read", "--embedding", "write 2d=KEY"))
        elif int(dim[0]) in found:
            problems.append(Problem(f"{dim} is given twice", "--embedding", "leave one out"))
        else:
            found[int(dim[0])] = key
    return found


def _genes(path: str | None, problems: list[Problem]) -> list[str]:
    if path is None:
        return []
    if Path(path).exists() and not Path(path).is_file():
        problems.append(
            Problem(f"{path!r} is no regular file", "--genes-file", "name another file")
        )
        return []
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(f"{path!r} cannot be read ({error})", "--genes-file"))
        return []
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        problems.append(Problem(f"{path!r} names no gene", "--genes-file", "one gene id a line"))
    return found


def _tell(result: ExportResult) -> None:
    """Print the plan of a dry run, or what a run did."""
    from rich.filesize import decimal

    if not result.written:
        for name, value in result.plan.items():
            click.echo(f"{name:>18}  {value}")
        click.echo("inputs")
        for line in result.discovered:
            click.echo(f"  {line}")
    for line in result.warnings:
        click.echo(f"warning: {line}")
    if not result.written:
        click.echo(f"dry run: nothing was written to {result.out}")
        return
    edges = "no graph" if result.n_edges is None else f"{result.n_edges:,} edges"
    click.echo(
        f"wrote {result.out}: {result.n_cells:,} cells, {result.n_genes:,} genes, "
        f"{result.n_obs_fields} obs columns, {edges}; "
        f"{result.files:,} files, {decimal(result.bytes)}"
    )
    slow = ", ".join(
        f"{name} {spent:.1f}" for name, spent in result.seconds.items() if spent >= 0.05
    )
    click.echo(f"seconds: {slow or 'none of note'}; {result.total_seconds:.1f} in all")
    click.echo(f"peak memory of {result.peak_memory_of}: {decimal(result.peak_memory_bytes)}")
    root = Path(result.out).parent
    click.echo(f"next: cellucid-dask catalog {_short(root)}")


def _short(path: Path) -> str:
    import os
    import shlex

    try:
        near = os.path.relpath(path)
    except OSError:  # the current folder was deleted
        return shlex.quote(str(path))
    return shlex.quote(str(path) if near.startswith("../..") else near)


def _terminate(number: int, _: object) -> None:
    """Unwind like an error, so that workers end and staging folders go; exit as a shell would."""
    raise SystemExit(128 + number)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 refused, 128 and a signal, 1 our fault."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    try:
        cli.main(given, prog_name="cellucid-dask", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: no export is left half made", err=True)
        sys.exit(INTERRUPTED)
    except CellucidDaskError as error:
        if debug:
            traceback.print_exc()
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001  the last line between a bug and its user
        if debug:
            traceback.print_exc()
        click.echo(
            f"internal error: {type(error).__name__}: {error}\n"
            "    this is a bug: run again with --debug and report what it prints",
            err=True,
        )
        sys.exit(1)
    sys.exit(0)
