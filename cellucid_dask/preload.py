"""What tasks need: imported by a worker as it starts, not by its first task."""

import os
import threading
import time
from typing import Any

import h5py  # noqa: F401
import hdf5plugin  # noqa: F401
import zarr  # noqa: F401

import cellucid_dask.exporter.edges
import cellucid_dask.exporter.embeddings
import cellucid_dask.exporter.genes
import cellucid_dask.exporter.obs
import cellucid_dask.exporter.transpose  # noqa: F401
from cellucid_dask.local_workers import RUN

LOOK = 0.5  # seconds between two looks whether it is there


def dask_setup(_worker: Any) -> None:
    """End this worker with the run that started it, whatever it is doing; dask calls this.

    A worker that lost its scheduler first waits for the task that it works on.
    """
    run = int(os.environ.get(RUN, 0))
    if os.getppid() == run:  # not so where Python itself is started by a script
        threading.Thread(target=_end_with, args=(run,), daemon=True).start()


def _end_with(run: int) -> None:
    while os.getppid() == run:
        time.sleep(LOOK)
    os._exit(1)
