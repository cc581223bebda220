"""A server for a frame in the page of another program, such as a notebook."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from cellucid_dask.errors import Problem
from cellucid_dask.server.http.guard import AnyHostPolicy
from cellucid_dask.server.lifetime import CellucidServer

FIXED_OPTIONS: Final = ("allowed_hosts", "base_path", "host", "token", "verbose")


class EmbeddedServer(CellucidServer):
    """A server on 127.0.0.1, below a path that nobody can guess.

    The secret is in the path, not in a cookie: browsers block cookies in frames of another site,
    and ``localhost`` and ``127.0.0.1`` are two sites. The path also prevents that an old frame
    shows the data of a later server on the same port.

    Parameters
    ----------
    data
        As in `CellucidServer`.
    port
        Port to listen on; 0 takes any.
    problems
        Problems that are already known; they are reported with the others.
    **options
        As in `CellucidServer`, without those in `FIXED_OPTIONS`.

    Raises
    ------
    CellucidDaskError
        With all problems of the data and the options.
    """

    def __init__(
        self, data: Any, *, port: int = 0, problems: Sequence[Problem] = (), **options: Any
    ) -> None:
        what, fix = "has no meaning in a notebook", "leave it out, or use serve"
        refused = [Problem(what, repr(name), fix) for name in FIXED_OPTIONS if name in options]
        fixed = {"base_path": "/" + secrets.token_urlsafe(24), "token": "none", "verbose": False}
        allowed = {name: value for name, value in options.items() if name not in FIXED_OPTIONS}
        super().__init__(
            data, port, quiet=True, problems=[*problems, *refused], **{**allowed, **fixed}
        )
        self.app.host_policy = AnyHostPolicy()

    def stop(self) -> bool:
        """Stop, and release the data: the notebook keeps references to views that were shown."""
        clean = super().stop()
        self.app.data.release()
        self._data = None
        return clean

    @property
    def path(self) -> str:
        """Path of the page with the secret, without a slash at the start."""
        return self.viewer_url.removeprefix(f"http://{self.host}:{self.port}/")

    def _has_secret(self) -> bool:
        return True  # the path
