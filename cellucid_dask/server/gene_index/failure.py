"""Why a server has no gene index: for its log, and for its clients."""

from __future__ import annotations

from typing import Final

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.server.gene_index.lock import GeneIndexError

COST_WITHOUT_INDEX: Final = "the first request for each gene reads the complete matrix"


def is_shutdown_error(error: Exception) -> bool:
    """Whether a thread pool refused work because the program ends; only its message shows this.

    Thread pools, such as zarr's, are closed before the main thread counts as ended, and so before
    servers in the background are stopped.
    """
    return isinstance(error, RuntimeError) and "cannot schedule new futures" in str(error)


def format_log_line(error: Exception) -> str:
    """Format one line for the log: the reason, what it costs, and what to do."""
    reason, fix = f"{type(error).__name__}: {error}", ""
    if isinstance(error, CellucidDaskError):
        problem = error.problems[0]
        reason = f"{problem.where}: {problem.what}" if problem.where else problem.what
        fix = f"; {problem.fix}" if problem.fix else ""
    return f"there is no gene index, so {COST_WITHOUT_INDEX} ({' '.join(reason.split())}){fix}"


def describe_for_clients(error: Exception) -> str:
    """Describe why there is no index, without paths of this machine."""
    if isinstance(error, GeneIndexError):
        return error.problems[0].what
    if isinstance(error, CellucidDaskError):
        return "the data cannot be read, or changed while they were being read"
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    return f"an unexpected error ({type(error).__name__})"
