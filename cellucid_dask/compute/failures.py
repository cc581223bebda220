"""Errors of dask about lost workers and connections, translated into errors of this package."""

from __future__ import annotations

from pathlib import Path

from cellucid_dask.compute.cluster import Cluster
from cellucid_dask.compute.worker_logs import find_last_cause
from cellucid_dask.errors import EngineError

# Names of exceptions, so that dask is not imported for threads.
LOST_WORKERS = ("KilledWorker", "NoWorkerError", "NoValidWorkerError")
LOST_CONNECTION = (
    "CancelledError",
    "FutureCancelledError",
    "FuturesCancelledError",
    "CommClosedError",
)


def translate_dask_error(error: BaseException, cluster: Cluster, logs: Path) -> BaseException:
    """Return an `EngineError` for what dask raises about lost workers; any other error as it is.

    Parameters
    ----------
    logs
        Folder with the logs of the workers.
    """
    name = type(error).__name__
    if name in LOST_WORKERS:
        cause = find_last_cause(logs)
        return EngineError(
            f"the workers died while working ({str(error).partition('. ')[0]})",
            where=f"last line of their log: {cause}" if cause else "",
            fix=cluster.lost_worker_fix,
        )
    if cluster.is_remote and name in LOST_CONNECTION:
        return EngineError(
            f"the connection to the scheduler was lost ({str(error) or name})",
            where=cluster.option,
            fix=cluster.lost_connection_fix,
        )
    return error
