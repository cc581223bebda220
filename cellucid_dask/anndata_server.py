"""The server of live data under the import path of the reference, ``cellucid.anndata_server``."""

from __future__ import annotations

from typing import Any

from cellucid_dask.options.serve import HOST as DEFAULT_HOST
from cellucid_dask.options.serve import PORT as DEFAULT_PORT
from cellucid_dask.server.blocking import serve_anndata
from cellucid_dask.server.lifetime import AnnDataServer

__all__ = [
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "AnnDataRequestHandler",
    "AnnDataServer",
    "serve_anndata",
]


class AnnDataRequestHandler:
    """Not available: a WSGI application responds to requests.

    Raises
    ------
    NotImplementedError
        Always.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError(
            "AnnDataRequestHandler belongs to the server of cellucid: "
            "cellucid_dask.create_app makes the application that answers requests here"
        )
