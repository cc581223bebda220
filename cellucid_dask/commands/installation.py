"""What ``--version`` prints: with ``--verbose`` also what else bytes and speed depend on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

LIBRARIES = ("numpy", "scipy", "h5py", "zarr", "dask", "anndata", "zlib-ng")


def version_options(command: Any) -> Any:
    """Add ``--version`` and ``--verbose`` to the group of commands."""
    verbose = click.option(
        "--verbose",
        is_flag=True,
        is_eager=True,  # read before --version, which ends the program
        help="With --version: also the versions of libraries, and how genes are encoded.",
    )
    show = click.option(
        "--version",
        is_flag=True,
        expose_value=False,
        callback=_print_version,
        help="Show the version and exit.",
    )
    return show(verbose(command))


def _print_version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from importlib.metadata import version  # not imported for every command

        click.echo(f"cellucid-dask, version {version('cellucid-dask')}")
        if context.params["verbose"]:
            click.echo("\n".join(_describe_installation()))
        context.exit()


def _describe_installation() -> Iterator[str]:
    import platform

    from cellucid_dask.native import library

    yield f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield ", ".join(f"{name} {_version(name)}" for name in LIBRARIES)
    yield f"gene path: {library.describe()}"


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
