"""The group of all commands: each parses its options, calls one function, prints the result."""

from __future__ import annotations

import click

from cellucid_dask.commands.export_commands import catalog, check, clean, demo, export
from cellucid_dask.commands.help_pages import SectionedGroup
from cellucid_dask.commands.installation import version_options
from cellucid_dask.commands.serve_commands import index, serve
from cellucid_dask.commands.shared_options import debug
from cellucid_dask.commands.tool_commands import preview, slurm_script, verify
from cellucid_dask.commands.viewer import viewer

COMPLETION_VARIABLE = "_CELLUCID_DASK_COMPLETE"  # that click reads


@click.group(
    cls=SectionedGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@version_options
def cli(*, verbose: bool) -> None:
    """Export single-cell atlases to the Cellucid viewer, out of core and in parallel."""
    if verbose:
        raise click.UsageError("--verbose goes with --version")


for command in (export, check, demo, clean, catalog, serve, index, verify, preview, slurm_script):
    cli.add_command(command)
cli.add_command(viewer)


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
