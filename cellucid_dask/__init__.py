"""Export single-cell atlases to the Cellucid viewer, out of core and in parallel."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellucid_dask.api import CheckResult, check, export
    from cellucid_dask.datasets import catalog
    from cellucid_dask.errors import CellucidDaskError, DataWarning
    from cellucid_dask.exporter.recovery.clean import clean
    from cellucid_dask.exporter.result import ExportResult
    from cellucid_dask.notebook.show import show, show_anndata
    from cellucid_dask.prepare_arrays.prepare import prepare
    from cellucid_dask.previewer.draw import preview
    from cellucid_dask.server.blocking import serve, serve_anndata
    from cellucid_dask.server.lifetime import AnnDataServer, CellucidServer
    from cellucid_dask.server.wsgi import create_app

    __version__: str

__all__ = [
    "AnnDataServer",
    "CellucidDaskError",
    "CellucidServer",
    "CheckResult",
    "DataWarning",
    "ExportResult",
    "__version__",
    "catalog",
    "check",
    "clean",
    "create_app",
    "export",
    "prepare",
    "preview",
    "serve",
    "serve_anndata",
    "show",
    "show_anndata",
]

# Imported when asked for, so that the command answers, and takes a Ctrl-C, at once.
_HOMES = {
    "AnnDataServer": "server.lifetime",
    "CellucidDaskError": "errors",
    "CellucidServer": "server.lifetime",
    "CheckResult": "api",
    "DataWarning": "errors",
    "ExportResult": "exporter.result",
    "catalog": "datasets",
    "check": "api",
    "clean": "exporter.recovery.clean",
    "create_app": "server.wsgi",
    "export": "api",
    "prepare": "prepare_arrays.prepare",
    "preview": "previewer.draw",
    "serve": "server.blocking",
    "serve_anndata": "server.blocking",
    "show": "notebook.show",
    "show_anndata": "notebook.show",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("cellucid-dask")
    if name in _HOMES:
        return getattr(import_module(f"cellucid_dask.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'cellucid_dask' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
