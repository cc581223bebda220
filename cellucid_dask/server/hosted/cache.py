"""Files of the hosted page on the disk, by the build that they belong to.

CACHE/web/www.cellucid.com-HASH/     one for each site
    2026-01-31.2-HASH/               one for each build; removed when the site has another
        index.html-HASH              one for each file: a line that describes it, then its bytes
        .unfinished-*                while it is being written

A build that has all files of its inventory outlives the next one until that has all of its own:
the page must work without the site at any time.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import urlsplit

from cellucid_dask.format import safe
from cellucid_dask.server.cache_folder import default_cache_dir
from cellucid_dask.server.hosted.build import Build
from cellucid_dask.server.hosted.inventory import (
    INVENTORY,
    TOTAL,
    Inventory,
    InventoryError,
    parse_inventory,
)
from cellucid_dask.server.hosted.kept_file import (
    UNFINISHED,
    Head,
    kept_size,
    read_head,
    read_kept,
    write_file,
)
from cellucid_dask.server.hosted.paths import INDEX

DAY: Final = 86_400

log = logging.getLogger("cellucid_dask.server")


def default_web_folder() -> Path:
    """Folder for the pages of all sites, when the options name none."""
    return default_cache_dir() / "web"


def named(text: str) -> str:
    """File name for any text: its readable part, and a digest that makes it unique."""
    return f"{safe(text)[-80:].lstrip('.')}-{blake2b(text.encode(), digest_size=10).hexdigest()}"


class WebCache:
    """Cached files of one site; several servers may share them.

    Parameters
    ----------
    root
        Folder for the files of all sites.
    url
        The site.
    """

    def __init__(self, root: Path, url: str) -> None:
        self.url = url
        self.folder = root / named(urlsplit(url).netloc + urlsplit(url).path)
        self._lock = Lock()
        self._complained = False

    def get(self, build: str, path: str) -> bytes | None:
        """Bytes of a file of a build; None if there is no intact one: a damaged one is removed."""
        file = self._file(build, path)
        was_there = file.is_file()  # or another server may store it just now
        body = read_kept(file, build, path)
        if body is None and was_there:
            with suppress(OSError):
                file.unlink()
        return body

    def get_asset(self, build: Build, path: str) -> bytes | None:
        """As `get`; None also for a file that is not the one of the inventory of the build."""
        body, asset = self.get(build.id, path), build.asset(path)
        if body is None or asset is None or asset.matches(body):
            return body
        return None

    def store(self, build: str, path: str, body: bytes) -> None:
        """Store a file.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        folder = self.folder / named(build)
        # Another server may remove the folder at any moment.
        with suppress(FileExistsError):
            folder.mkdir(parents=True, exist_ok=True)
        write_file(folder, named(path), Head.of(self.url, build, path, body).line() + body)

    def put(self, build: str, path: str, body: bytes) -> None:
        """Store a file; a folder that is full or cannot be written is reported once."""
        try:
            with suppress(FileNotFoundError):
                if _size(self.folder / named(build)) + len(body) > TOTAL:
                    self._complain(f"it has {TOTAL:,} bytes already")
                    return
            with suppress(FileNotFoundError):  # it was removed in between
                self.store(build, path, body)
        except OSError as error:
            self._complain(error.strerror or type(error).__name__)

    def put_index(self, build: Build) -> None:
        """Store the index and the inventory of a build, unless they are there."""
        if build.inventory is not None and self.get(build.id, INVENTORY) != build.inventory.body:
            self.put(build.id, INVENTORY, build.inventory.body)
        if self.get(build.id, INDEX) != build.index:  # also when it was removed since
            self.put(build.id, INDEX, build.index)

    def purge(self, build: Build) -> None:
        """Remove the other builds, and unfinished files of killed writers.

        The newest one that has all its files stays until `build` has all of its own.
        """
        stays = [named(build.id)]
        if not self.is_complete(build):
            others = [kept for kept in self.builds() if kept.id != build.id]
            stays += [named(kept.id) for kept in others if self.is_complete(kept)][:1]
        with suppress(OSError):
            for folder in self.folder.iterdir():
                if folder.name not in stays:
                    shutil.rmtree(folder, ignore_errors=True)
        for path in (self.folder / named(build.id)).glob(f"{UNFINISHED}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > DAY:  # a newer one may still be written
                    path.unlink()

    def builds(self) -> Iterator[Build]:
        """Kept builds with an intact index, the one that was stored last first."""
        found = []
        for path in self.folder.glob(f"*/{named(INDEX)}"):
            with suppress(OSError):
                if path.is_file():
                    found.append((path.stat().st_mtime, path))
        for fetched, path in sorted(found, reverse=True):
            head = read_head(path)
            index = None if head is None else self.get(head.build, INDEX)
            if head is not None and index is not None:
                inventory = self.inventory(head.build, index)
                yield Build(head.build, index, inventory=inventory, fetched=fetched)

    def latest(self) -> Build | None:
        """Build to show without the site: the newest that has all its files, else the newest."""
        builds = list(self.builds())
        return next(filter(self.is_complete, builds), builds[0] if builds else None)

    def inventory(self, build: str, index: bytes) -> Inventory | None:
        """Inventory that was kept of a build with this index; None if there is none."""
        body = self.get(build, INVENTORY)
        with suppress(InventoryError):
            found = None if body is None else parse_inventory(body)
            if found is not None and found.build == build and found.assets[INDEX].matches(index):
                return found
        return None

    def is_complete(self, build: Build) -> bool:
        """Whether all files of the inventory of a build are there, by their sizes."""
        return build.inventory is not None and not any(True for _ in self.missing(build))

    def missing(self, build: Build) -> Iterator[str]:
        """Paths of the inventory of a build that are not kept, by their sizes."""
        for path, asset in build.inventory.assets.items() if build.inventory else ():
            if kept_size(self._file(build.id, path)) != asset.size:
                yield path

    def _file(self, build: str, path: str) -> Path:
        return self.folder / named(build) / named(path)

    def _complain(self, why: str) -> None:
        with self._lock:
            if self._complained:
                return
            self._complained = True
        log.warning("the hosted page is not kept in %s: %s", self.folder, why)


def _size(folder: Path) -> int:
    total = 0
    for entry in os.scandir(folder):
        with suppress(OSError):  # another server may rename or remove it
            total += entry.stat().st_size
    return total
