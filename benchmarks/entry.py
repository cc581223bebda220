"""The entry command: it lists the benchmarks and imports only the one that runs."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {  # name: module of its command below `benchmarks`, line of the list
    "export": ("export.command", "Time exports and compare them with cellucid 0.0.9."),
    "native": ("native.command", "Time the native gene path beside the numpy path."),
    "deflate": ("deflate.command", "Time compressors of the chunks of ready files."),
    "serve": ("serve.command", "Load the server and time its first responses."),
    "page": ("page.command", "Time the viewer page in a real Chromium."),
    "page-changes": ("page.changes", "Time filters, and genes and drags beside another checkout."),
    "page-pictures": ("page.pictures", "Take the pictures of the page for README and docs."),
    "page-libraries": ("page.libraries", "Compare rendering libraries with the viewer page."),
    "recovery": ("recovery.command", "Kill exports at random moments, resume and compare them."),
    "scaling": ("scaling.command", "Measure and model how an export scales."),
    "compare-versions": (
        "compare_versions.command",
        "Compare every file that two versions of the package write.",
    ),
}


class LazyGroup(click.Group):
    """A group that imports a command when it runs, and lists all commands without importing."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names of all commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command; None if no command has this name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"benchmarks.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write one line for each command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def benchmarks() -> None:
    """Run a benchmark of cellucid-dask; `NAME --help` lists its options."""
