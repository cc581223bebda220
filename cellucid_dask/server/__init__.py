"""The HTTP server: serves the paths of an export, from an export or live from an AnnData file.

It also has the public names of ``cellucid.server``, imported at their first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellucid_dask.options.serve import HOST as DEFAULT_HOST
    from cellucid_dask.options.serve import PORT as DEFAULT_PORT
    from cellucid_dask.server.blocking import serve
    from cellucid_dask.server.lifetime import CellucidServer

__all__ = ["DEFAULT_HOST", "DEFAULT_PORT", "CORSRequestHandler", "CellucidServer", "serve"]

_HOMES = {
    "CellucidServer": ("server.lifetime", "CellucidServer"),
    "DEFAULT_HOST": ("options.serve", "HOST"),
    "DEFAULT_PORT": ("options.serve", "PORT"),
    "serve": ("server.blocking", "serve"),
}


class CORSRequestHandler:
    """Not available: a WSGI application responds to requests.

    Raises
    ------
    NotImplementedError
        Always.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError(
            "CORSRequestHandler belongs to the server of cellucid: "
            "cellucid_dask.create_app makes the application that answers requests here"
        )


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, known = _HOMES[name]
        return getattr(import_module(f"cellucid_dask.{module}"), known)
    raise AttributeError(f"module 'cellucid_dask.server' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
