"""The path of a request, decoded and checked."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

from werkzeug.exceptions import BadRequest, NotFound, RequestURITooLarge
from werkzeug.routing import RequestRedirect

from cellucid_dask.server.http.response import Environ

MAX_PATH: Final = 2000  # characters; the longest path of an export has about 300
MAX_QUERY: Final = 2000  # characters


def read_path(environ: Environ, base_path: str) -> str:
    """Path of a request below the base path, without its first slash.

    Raises
    ------
    HTTPException
        When the path is too long, is not UTF-8, or is outside the base path.
    """
    path = environ.get("PATH_INFO", "")
    if len(path) > MAX_PATH or len(environ.get("QUERY_STRING", "")) > MAX_QUERY:
        raise RequestURITooLarge("the URL is too long")
    if not path.isascii():
        try:
            path = path.encode("latin-1").decode()
        except UnicodeError as error:
            raise BadRequest("the path is not UTF-8") from error
    if base_path:
        path = _below(path, base_path, environ.get("QUERY_STRING", ""))
    if not path.startswith("/"):
        raise BadRequest("the path does not begin with a slash")
    return str(path[1:])


def read_summaries(environ: Environ) -> str | None:
    """Value of ``summaries`` in the query; None without it."""
    query = environ.get("QUERY_STRING", "")
    if "summaries" not in query:
        return None
    values = parse_qs(query, keep_blank_values=True, errors="replace").get("summaries")
    return values[0] if values else None


def _below(path: str, base_path: str, query: str) -> str:
    if path == base_path:
        raise RequestRedirect(f"{base_path}/" + (f"?{query}" if query else ""))
    if not path.startswith(base_path + "/"):
        raise NotFound("this path is outside the server's base path")
    return path[len(base_path) :]
