"""Serve until Ctrl-C."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

from cellucid_dask.options.serve import HOST, PORT
from cellucid_dask.server.announce import write_lines
from cellucid_dask.server.lifetime import AnnDataServer, CellucidServer

if TYPE_CHECKING:
    from typing import Unpack

    from cellucid_dask.options.keyword_types import ServerKeywords

S = TypeVar("S", bound=CellucidServer)


def serve(
    data: Any = None,
    port: int = PORT,
    host: str = HOST,
    open_browser: bool = True,
    quiet: bool = False,
    **options: Unpack[ServerKeywords],
) -> CellucidServer:
    """Serve an export, a folder of exports or live data until Ctrl-C; opens a browser.

    Parameters
    ----------
    data, port, host, open_browser, quiet, **options
        As in `CellucidServer`.

    Returns
    -------
    CellucidServer
        It has stopped.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong with the data and the options.

    Examples
    --------
    >>> from cellucid_dask import serve
    >>> serve("exports/atlas", token="auto")  # doctest: +SKIP
    """
    return _serve_until_stopped(CellucidServer(data, port, host, open_browser, quiet, **options))


def serve_anndata(
    data: Any = None,
    port: int = PORT,
    host: str = HOST,
    open_browser: bool = True,
    quiet: bool = False,
    **options: Unpack[ServerKeywords],
) -> AnnDataServer:
    """Serve an AnnData until Ctrl-C; opens a browser.

    Parameters
    ----------
    data
        Path of an .h5ad, .zarr or .zarr.zip, or an AnnData.
    port, host, open_browser, quiet, **options
        As in `CellucidServer`.

    Returns
    -------
    AnnDataServer
        It has stopped.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong with the data and the options.
    """
    return _serve_until_stopped(AnnDataServer(data, port, host, open_browser, quiet, **options))


def _serve_until_stopped(server: S) -> S:
    try:
        server.start()
    except KeyboardInterrupt:
        if not server.app.serving.quiet:
            write_lines(sys.stdout, ["stopped"])
    return server
