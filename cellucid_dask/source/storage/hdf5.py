"""HDF5 files, opened without locks."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import h5py

from cellucid_dask.hdf5_filters import register_filters


def open_file(path: str) -> AbstractContextManager[Any]:
    """Open a file for reading; without a lock, as many NFS and Lustre mounts refuse them.

    HDF5 wants one way of locking per file and process: one that is open already, as behind a
    backed AnnData, decides.
    """
    register_filters()
    try:
        file: AbstractContextManager[Any] = h5py.File(path, "r", locking=False)
    except OSError as error:
        if "locking flag" not in str(error):
            raise
        file = h5py.File(path, "r")
    return file
