"""``python -m cellucid_dask`` is ``cellucid-dask``."""

import atexit
import signal


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; Ctrl-C during its import exits without a message."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cellucid_dask.commands import signals

    signals.open_streams()
    atexit.register(signals.exit_now)  # registered first, so it runs last
    from cellucid_dask.commands.main import main as run_command

    try:
        run_command(arguments)
    except SystemExit as ending:
        signals.exit_process(ending)


if __name__ == "__main__":
    main()
