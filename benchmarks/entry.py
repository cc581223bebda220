"""The entry command: it lists the benchmarks and imports only the one that runs."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {  # name: the module with its command
    "compare-versions": "benchmarks.compare_versions.command",
}


class LazyGroup(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names of all commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command; None if there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name]).command
        return command


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def benchmarks() -> None:
    """Run a benchmark of cellucid-dask; `NAME --help` lists the options of one."""
