"""What the tests of the hosted page share: a site to fetch it from, and the cache of a server."""

from __future__ import annotations

from pathlib import Path

from cellucid_dask import CellucidServer

MAIN = "/assets/js/main.js"

BUILT_IN = b"_cellucid/page/viewer.js"

PORTAL = b"<!doctype html><html><body>Log in to the guest network</body></html>"

BANNER = b'<p class="banner" role="status">'


def forget(server: CellucidServer) -> None:
    """Ask a site that was down at once, not after some seconds."""
    assert server.app.hosted is not None
    server.app.hosted._rest.until = 0.0


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
