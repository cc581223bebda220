"""``python -m cellucid_dask`` is ``cellucid-dask``."""

import atexit
import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Run the command line; a Ctrl-C while it is being imported ends the process without a word."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    atexit.register(_end)  # the first to be registered is the last to run
    from cellucid_dask import cli

    cli.main()


def _end() -> None:
    """End the process here after a signal.

    A finalizer of what a library was making when the signal came could wait for ever.
    """
    from cellucid_dask import cli

    if cli.LEFT:
        with suppress(OSError):  # nobody reads them any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(cli.LEFT[0])


if __name__ == "__main__":
    main()
