"""``python -m cellucid_dask`` is ``cellucid-dask``."""

import atexit
import signal


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a Ctrl-C while it is being imported ends the process without a word."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cellucid_dask.commands import signals

    signals.open_streams()
    atexit.register(signals.end_here)  # the first to be registered is the last to run
    from cellucid_dask.commands.main import main as run_command

    try:
        run_command(arguments)
    except SystemExit as ending:
        signals.leave(ending)


if __name__ == "__main__":
    main()
