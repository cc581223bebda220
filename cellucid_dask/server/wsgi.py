"""The WSGI application, for the servers of this package and for any other WSGI server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cellucid_dask.arguments.boundary import with_argument_names
from cellucid_dask.arguments.caller_warnings import warn_caller
from cellucid_dask.errors import InputError, Problem
from cellucid_dask.options.keywords import read_serve_options
from cellucid_dask.server.app import App
from cellucid_dask.server.http.guard import Token
from cellucid_dask.server.opening import open_data

if TYPE_CHECKING:
    from typing import Unpack

    from cellucid_dask.options.keyword_types import AppKeywords


@with_argument_names()
def create_app(data: Any, **options: Unpack[AppKeywords]) -> App:
    """Make the WSGI application, for a WSGI server such as gunicorn.

    Parameters
    ----------
    data
        Path of an export, of a folder of exports, of an .h5ad, .zarr or .zarr.zip, or an AnnData.
    **options
        Fields of `cellucid_dask.options.ServeOptions` (how the data are served) and, for live
        data, of `cellucid_dask.options.ExportOptions` (what is served); ``quantize`` is 8, 16 or
        None.
        ``host`` is the host that the Host header of requests may name.

    Returns
    -------
    App
        The WSGI application. Its background work starts with the first request, so that a server
        may make it before it forks.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong with the data and the options.

    Warns
    -----
    DataWarning
        For each warning about the data.

    Examples
    --------
    >>> from cellucid_dask import create_app
    >>> app = create_app("exports/atlas", allowed_hosts=("viewer.lab.org",))  # doctest: +SKIP
    """
    app = build_app(data, options)
    warn_caller(app.data.current.warnings())
    return app


def build_app(data: Any, options: Mapping[str, Any], problems: Sequence[Problem] = ()) -> App:
    """Make the application of `create_app`.

    Parameters
    ----------
    problems
        Problems that are already known; they are reported with all others.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong with the data and the options.
    """
    export_options, serving, option_problems = read_serve_options(options)
    if problems or option_problems:
        # Opening the data reports what is wrong with them in the same error.
        open_data(data, export_options, serving, [*problems, *option_problems]).close()
        raise InputError.of([*problems, *option_problems])
    return App(
        lambda: open_data(data, export_options, serving), serving, Token.from_options(serving)
    )
