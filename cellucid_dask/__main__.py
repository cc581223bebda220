"""``python -m cellucid_dask`` is ``cellucid-dask``."""

from cellucid_dask.cli import main

if __name__ == "__main__":
    main()
