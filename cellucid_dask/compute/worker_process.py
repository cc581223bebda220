"""The program of a local worker process: ``python -m cellucid_dask.compute.worker_process``."""

from __future__ import annotations

import os
import threading
import time

import psutil

from cellucid_dask.compute.allocator import ARENAS, EXPORT_MMAP_BYTES, EXPORT_TRIM_BYTES

PRELOAD = "cellucid_dask.compute.preload"
# Environment of a worker: one thread each, and the allocator as `allocator` sets it.
WORKER_ENVIRONMENT = {
    "MALLOC_ARENA_MAX": str(ARENAS),
    "MALLOC_MMAP_THRESHOLD_": str(EXPORT_MMAP_BYTES),
    "MALLOC_TRIM_THRESHOLD_": str(EXPORT_TRIM_BYTES),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
RUN_PID = "CELLUCID_DASK_RUN"  # variable with the process that started the worker
POLL_SECONDS = 0.5  # between two checks of a worker that its run is alive


def worker_environment() -> dict[str, str]:
    """Return the environment of a worker of this process."""
    return {**os.environ, **WORKER_ENVIRONMENT, RUN_PID: str(os.getpid())}


def run_worker() -> None:
    """Run a dask worker that ends with the run that started it, whatever it does then.

    A worker that lost its scheduler would first finish its task.
    """
    run = int(os.environ.get(RUN_PID, 0))
    if run:
        threading.Thread(target=_exit_with_run, args=(run, os.getppid()), daemon=True).start()
    from distributed.cli.dask_spec import main  # `dask spec` would load all its plugins

    main()


def _exit_with_run(run: int, parent: int) -> None:
    """End this process when the run ends, which may not be its parent and may have ended."""
    while os.getppid() == parent and _is_running(run):
        time.sleep(POLL_SECONDS)
    os._exit(1)


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    run_worker()
