"""Options of an export, of a run and of a server, checked when they are made."""

from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.options.slurm import SlurmOptions

__all__ = ["ExportOptions", "RunOptions", "ServeOptions", "SlurmOptions"]
