"""Notebooks under the import path and the names of the reference, ``cellucid.jupyter``.

The viewers show the same page as `cellucid_dask.show`. The page and the kernel exchange no
events. So methods that react to events or control the page raise an error, and do not silently
do nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from cellucid_dask.arguments.boundary import with_argument_names
from cellucid_dask.display.kernel import in_kernel
from cellucid_dask.notebook.show import View
from cellucid_dask.notebook.show import show as show_view
from cellucid_dask.notebook.show import show_anndata as show_anndata_view
from cellucid_dask.options.serve import PORT as DEFAULT_PORT
from cellucid_dask.server.lifetime import CellucidServer

__all__ = [
    "DEFAULT_PORT",
    "AnnDataViewer",
    "BaseViewer",
    "CellucidServer",
    "CellucidViewer",
    "HookCallback",
    "HookRegistry",
    "ViewerState",
    "cleanup_all",
    "show",
    "show_anndata",
]

HookCallback: TypeAlias = Callable[[dict[str, Any]], None]

_VIEWERS: list[BaseViewer] = []  # those that are not stopped


def _refuse(name: str) -> NoReturn:
    raise NotImplementedError(
        f"{name} of cellucid.jupyter is not here: the page and the kernel exchange no events; "
        "choose colors and cells in the page, whose link holds what is seen"
    )


class HookRegistry:
    """Not available: the page sends no events.

    Raises
    ------
    NotImplementedError
        Always.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        _refuse("HookRegistry")


class ViewerState:
    """Not available: the page sends no events.

    Raises
    ------
    NotImplementedError
        Always.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        _refuse("ViewerState")


class BaseViewer(View):
    """The common part of both viewers.

    Parameters
    ----------
    view
        The view with the server and the frame.
    auto_open
        Display the page now, if this is a notebook.
    """

    def __init__(self, view: View, *, auto_open: bool) -> None:
        super().__init__(view.server, view.name, view.prefix, view.height)
        _VIEWERS.append(self)
        if auto_open and in_kernel():
            self.display()

    @property
    def port(self) -> int:
        """Port of the server."""
        return self.server.port

    @property
    def server_url(self) -> str:
        """URL of the root of the server with the secret, without a slash at the end."""
        return self.server.url

    @property
    def viewer_url(self) -> str:
        """URL of the page."""
        return self.url

    def display(self) -> None:
        """Show the page in the output of the cell; outside a notebook, print its URL."""
        if not in_kernel():
            print(f"open {self.url}")  # noqa: T201  the purpose of the call
            return
        from IPython.display import HTML, display

        display(HTML(super()._repr_html_()))  # type: ignore[no-untyped-call]

    def _repr_html_(self) -> str:
        """Return a link, as the frame was displayed when the viewer was made."""
        if not self.server.is_running():
            return super()._repr_html_()
        return f'<a href="{escape(self.url)}" target="_blank">{escape(self.name)}</a>'

    def stop(self) -> None:
        """Stop the server, and release data in memory."""
        if self in _VIEWERS:
            _VIEWERS.remove(self)
        super().stop()

    def __getattr__(self, name: str) -> Any:
        if name in _EVENT_METHODS:
            _refuse(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


_EVENT_METHODS = frozenset(
    {
        "apply_session_to_anndata",
        "clear_highlights",
        "clear_hooks",
        "clear_web_cache",
        "debug_connection",
        "ensure_web_ui_cached",
        "get_session_bundle",
        "highlight_cells",
        "on_click",
        "on_hover",
        "on_message",
        "on_ready",
        "on_selection",
        "register_hook",
        "reset_view",
        "send_message",
        "set_color_by",
        "set_visibility",
        "state",
        "unregister_hook",
        "wait_for_event",
        "wait_for_ready",
    }
)


class CellucidViewer(BaseViewer):
    """Viewer of an export, or of a folder of exports.

    Parameters
    ----------
    data_dir
        Path.
    port
        Port of the server; None takes any.
    height
        Height of the frame, in px.
    auto_open
        Display the page now, if this is a notebook.

    Raises
    ------
    CellucidDaskError
        With all problems of the data and the arguments.
    """

    @with_argument_names()
    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        port: int | None = None,
        height: int = 600,
        auto_open: bool = True,
    ) -> None:
        view = show_view(data_dir, height, port=port or 0, quiet=True, open_browser=False)
        self.data_dir = Path(data_dir).resolve()
        super().__init__(view, auto_open=auto_open)


class AnnDataViewer(BaseViewer):
    """Viewer of an AnnData, from a file or from memory.

    Parameters
    ----------
    data
        Path of an .h5ad, .zarr or .zarr.zip, or an AnnData.
    port, height, auto_open
        As for `CellucidViewer`.
    **options
        As for `cellucid_dask.show_anndata`.

    Raises
    ------
    CellucidDaskError
        With all problems of the data and the arguments.
    """

    @with_argument_names()
    def __init__(
        self,
        data: Any,
        port: int | None = None,
        height: int = 600,
        auto_open: bool = True,
        **options: Any,
    ) -> None:
        given = {"quiet": True, "open_browser": False, **options}
        view = show_anndata_view(data, height, port=port or 0, **given)
        super().__init__(view, auto_open=auto_open)


def show(data_dir: str | os.PathLike[str], height: int = 600) -> CellucidViewer:
    """Show an export, or a folder of exports, in a notebook.

    Parameters
    ----------
    data_dir, height
        As for `CellucidViewer`.
    """
    return CellucidViewer(data_dir, height=height)


def show_anndata(data: Any, height: int = 600, **options: Any) -> AnnDataViewer:
    """Show an AnnData in a notebook.

    Parameters
    ----------
    data, height, **options
        As for `AnnDataViewer`.
    """
    return AnnDataViewer(data, height=height, **options)


def cleanup_all() -> None:
    """Stop all viewers of this module."""
    while _VIEWERS:
        _VIEWERS[-1].stop()
