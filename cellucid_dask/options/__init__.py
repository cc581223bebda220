"""What a user may choose, checked once: of an export, of a run, and of a server."""

from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.run import RunOptions, SlurmOptions
from cellucid_dask.options.serve import ServeOptions

__all__ = ["ExportOptions", "RunOptions", "ServeOptions", "SlurmOptions"]
