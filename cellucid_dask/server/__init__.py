"""The same paths as an export has, answered live from AnnData files or from exports.

It has the public names of ``cellucid.server`` as well, which are imported when they are asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellucid_dask.options.serve import HOST as DEFAULT_HOST
    from cellucid_dask.options.serve import PORT as DEFAULT_PORT
    from cellucid_dask.server.lifetime import CellucidServer, serve

__all__ = ["DEFAULT_HOST", "DEFAULT_PORT", "CORSRequestHandler", "CellucidServer", "serve"]

_HOMES = {
    "CellucidServer": ("server.lifetime", "CellucidServer"),
    "DEFAULT_HOST": ("options.serve", "HOST"),
    "DEFAULT_PORT": ("options.serve", "PORT"),
    "serve": ("server.lifetime", "serve"),
}


class CORSRequestHandler:
    """Not here: requests are answered by a WSGI application.

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
