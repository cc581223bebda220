"""Options of an export, of a run and of a server, checked when they are made."""

from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.jobs import JobOptions
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.serve import ServeOptions

__all__ = ["ExportOptions", "JobOptions", "RunOptions", "ServeOptions"]
