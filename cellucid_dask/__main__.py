"""``python -m cellucid_dask`` is ``cellucid-dask``."""

import signal


def main() -> None:
    """Run the command line; a Ctrl-C while it is being imported ends the process without a word."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cellucid_dask import cli

    cli.main()


if __name__ == "__main__":
    main()
