"""A server for a frame in a page of somebody else, such as a notebook."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from cellucid_dask.errors import Problem
from cellucid_dask.server.http.guard import AnyHostPolicy
from cellucid_dask.server.lifetime import CellucidServer

FIXED: Final = ("allowed_hosts", "base_path", "host", "token", "verbose")


class FramedServer(CellucidServer):
    """Serves below a path that nobody can guess, on 127.0.0.1.

    The secret is in the path and not in a cookie, which browsers keep from frames of other
    sites: to them ``localhost`` and ``127.0.0.1`` are two. It also keeps an old frame from
    showing what another server has on the same port later.

    Parameters
    ----------
    data
        As in `CellucidServer`.
    port
        Where to listen; 0 takes any.
    problems
        What is already known to be wrong, told with the rest.
    **options
        As in `CellucidServer`, but for those in `FIXED`.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong with the data and the options.
    """

    def __init__(
        self, data: Any, *, port: int = 0, problems: Sequence[Problem] = (), **options: Any
    ) -> None:
        what, fix = "has no meaning in a notebook", "leave it out, or use serve"
        refused = [Problem(what, repr(name), fix) for name in FIXED if name in options]
        fixed = {"base_path": "/" + secrets.token_urlsafe(24), "token": "none", "verbose": False}
        kept = {name: value for name, value in options.items() if name not in FIXED}
        super().__init__(
            data, port, quiet=True, problems=[*problems, *refused], **{**kept, **fixed}
        )
        self.app.host_policy = AnyHostPolicy()

    def stop(self) -> bool:
        """Stop for good, and let go of the data: a notebook keeps what its cells have shown."""
        clean = super().stop()
        self.app.data.release()
        self._data = None
        return clean

    @property
    def path(self) -> str:
        """Path of the page, the secret included, without a slash before it."""
        return self.viewer_url.removeprefix(f"http://{self.host}:{self.port}/")
