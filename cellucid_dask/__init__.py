"""Export single-cell atlases to the Cellucid viewer, out of core and in parallel."""

from importlib.metadata import version

# The package of that name comes first, so that the function keeps the name ever after.
import cellucid_dask.export  # noqa: F401
from cellucid_dask.api import CheckResult, check, export
from cellucid_dask.datasets import catalog
from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.export.result import ExportResult
from cellucid_dask.prepare import prepare

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
