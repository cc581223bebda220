"""The entry point: runs a command, and turns each error into a message and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import traceback
from contextlib import suppress

import click

from cellucid_dask.arguments.boundary import keep_option_names
from cellucid_dask.commands.cli import cli
from cellucid_dask.commands.signals import die_at_signals, ignore_signals, received_signal
from cellucid_dask.errors import CellucidDaskError, Problem, machine_error


def _report_interruption(verb: str, arguments: list[str], ending: BaseException) -> None:
    """Print that a signal ended the command, and what is left of its work."""
    if arguments[:1] == ["serve"] and verb == "terminated":
        return
    exports = arguments[:1] in (["export"], ["demo"])
    state = ": no export is left half made" if exports else ""
    with suppress(OSError):  # the terminal is gone
        click.echo("\n".join([verb + state, *_notes(ending)]), err=True)


def _report_unexpected(error: BaseException) -> int:
    """Print an error that no code expected; return the exit code."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:  # of any path given
        what, fix = "is longer than a path may be", "name it shorter"
        click.echo(f"error: {Problem(what, str(error.filename), fix)}", err=True)
        return 2
    if (fault := machine_error(error)) is not None:
        click.echo("\n".join([f"error: {fault}", *_notes(error)]), err=True)
        return fault.exit_code
    message = f"internal error: {type(error).__name__}: {error}"
    fix = "this is a bug: run again with --debug and report what it prints"
    click.echo(f"{message}\n    {fix}", err=True)
    return 1


def _notes(error: BaseException | None) -> list[str]:
    """Lines of the notes of an error and of the errors that led to it."""
    lines: list[str] = []
    while error is not None:
        lines += [f"    {note}" for note in getattr(error, "__notes__", ())]
        error = error.__cause__ or error.__context__
    return list(dict.fromkeys(lines))


def _check_environment() -> None:
    """Refuse an environment variable that numpy would parse as a number when it is imported."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch == "":
        del os.environ["SOURCE_DATE_EPOCH"]
    elif epoch is not None and not (epoch.isascii() and epoch.isdigit()):
        fix = "set it to seconds since 1970, or use --created-at"
        problem = Problem(f"{epoch!r} is not a time in seconds", "SOURCE_DATE_EPOCH", fix)
        click.echo(f"error: {problem}", err=True)
        sys.exit(2)


def _run(arguments: list[str]) -> int | None:
    """Run the command; from its end on, no signal disturbs the report and the exit."""
    try:
        with keep_option_names():
            return cli.main(arguments, prog_name="cellucid-dask", standalone_mode=False)
    finally:
        ignore_signals()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 refused, 128 + signal, 1 a bug of this package.

    `verify` exits with 1 as well when an export has problems.
    """
    given = sys.argv[1:] if arguments is None else arguments
    debugging = "--debug" in given
    if debugging:
        logging.getLogger("cellucid_dask").setLevel(logging.DEBUG)
    die_at_signals()
    _check_environment()
    try:
        status = _run(given)
    except SystemExit as ending:
        if isinstance(ending.code, int) and ending.code > 128:
            _report_interruption("terminated", given, ending)
        raise
    except BaseException as error:  # noqa: BLE001  the last line between a bug and its user
        sys.exit(_report(error, given, debugging=debugging))
    sys.exit(status or 0)


def _report(error: BaseException, arguments: list[str], *, debugging: bool) -> int:
    """Print how the command ended; return the exit code.

    After a signal any error counts as its end: code of libraries, a cleanup, or Python itself may
    have put it in the place of the exception of the signal.
    """
    is_ctrl_c = isinstance(error, KeyboardInterrupt | click.Abort)
    number = signal.SIGINT if is_ctrl_c else received_signal()
    if number is not None:
        verb = "interrupted" if number == signal.SIGINT else "terminated"
        _report_interruption(verb, arguments, error)
        return 128 + number
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if debugging:
        traceback.print_exc()
    if isinstance(error, CellucidDaskError):
        click.echo("\n".join([f"error: {error}", *_notes(error)]), err=True)
        return error.exit_code
    return _report_unexpected(error)
