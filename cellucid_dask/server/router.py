"""From a path to its content: a page, a service path, or a resource of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.exceptions import NotFound

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.server.datasets.reopenable import ReopenableData
from cellucid_dask.server.http.content import Content
from cellucid_dask.server.http.pages import page_file
from cellucid_dask.server.service_paths import SERVICE, ServicePaths

if TYPE_CHECKING:
    from cellucid_dask.server.hosted.page import HostedPage


class Router:
    """Finds the content of a path.

    Parameters
    ----------
    data
        The data that the server serves.
    serving
        Options of the server.
    hosted
        Page of the Cellucid site; None when the server does not show it.
    """

    def __init__(
        self, data: ReopenableData, serving: ServeOptions, hosted: HostedPage | None
    ) -> None:
        self._data, self._hosted = data, hosted
        self._has_page = serving.viewer != "none"
        self._service = ServicePaths(data, has_page=self._has_page)

    def find(
        self, path: str, address: tuple[str, int], *, gzip: bool, summaries: str | None = None
    ) -> Content:
        """Content of a path, coded with gzip if possible and wanted.

        Parameters
        ----------
        address
            Host and port of this server.
        summaries
            As of `cellucid_dask.server.datasets.live.LiveDataset.find`.

        Raises
        ------
        NotFound
            When the path does not exist.
        CellucidDaskError
            When the data cannot be read.
        """
        if path.startswith(SERVICE):
            content = self._service.find(path, address)
        elif path in ("", "index.html"):
            content = self._find_page()
        else:
            content = self._find_resource(path, gzip=gzip, summaries=summaries)
        if content is None:
            raise NotFound("there is no such path")
        return content

    def _find_page(self) -> Content | None:
        if self._hosted is not None:
            return self._hosted.index()
        if not self._has_page:
            raise NotFound("this server serves data only, and no page (--viewer none)")
        return page_file("index.html")

    def _find_resource(self, path: str, *, gzip: bool, summaries: str | None) -> Content | None:
        hosted = self._hosted
        try:
            content = self._data.current.datasets.find(path, gzip=gzip, summaries=summaries)
        except CellucidDaskError:
            if hosted is None or not hosted.may_have(path):
                raise
            content = None  # the page loads all the same, and shows that the data are missing
        return hosted.find(path) if content is None and hosted is not None else content


def open_hosted_page(serving: ServeOptions, *, speaks_ready: bool) -> HostedPage | None:
    """Page of the Cellucid site, when the options ask for it.

    Parameters
    ----------
    speaks_ready
        Whether the server speaks the protocol of today's public app.
    """
    if serving.viewer != "hosted":
        return None
    from cellucid_dask.server.hosted.page import HostedPage  # with an HTTP client

    folder = serving.viewer_cache
    place = None if folder is None else Path(folder).absolute()
    return HostedPage(serving.viewer_url, place, "ready" if speaks_ready else "folder")
