"""Export single-cell atlases to the Cellucid viewer, out of core and in parallel."""

from importlib.metadata import version

from cellucid_dask.api import CheckResult, check, export
from cellucid_dask.datasets import catalog
from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.prepare_arrays import prepare

__version__ = version("cellucid-dask")

__all__ = [
    "CellucidDaskError",
    "CheckResult",
    "ExportResult",
    "__version__",
    "catalog",
    "check",
    "export",
    "prepare",
]
