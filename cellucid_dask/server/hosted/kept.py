"""What is kept of the pages of all sites: listed, verified and removed, without any site."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cellucid_dask.errors import InputError, OutputError
from cellucid_dask.server.hosted.cache import WebCache, named
from cellucid_dask.server.hosted.inventory import (
    INVENTORY,
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
)
from cellucid_dask.server.hosted.paths import INDEX

_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*-[0-9a-f]{20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class KeptBuild:
    """A build of a site, as far as it is kept.

    Parameters
    ----------
    site
        URL of the site, or the name of its folder.
    id
        Id of the build.
    folder
        Where it is.
    sizes
        Size of each file by its path, without the inventory.
    unreadable
        Names of files that do not say what they are.
    inventory
        All files of the build; None if it has no inventory.
    fetched
        When its index was stored, in seconds since 1970; None if it is not there.
    """

    site: str
    id: str
    folder: Path
    sizes: Mapping[str, int]
    unreadable: tuple[str, ...]
    inventory: Inventory | None
    fetched: float | None

    @property
    def missing(self) -> list[str]:
        """Paths of the inventory that are not kept with their size."""
        assets = self.inventory.assets if self.inventory is not None else {}
        return [path for path, asset in assets.items() if self.sizes.get(path) != asset.size]

    @property
    def complete(self) -> bool:
        """Whether all files of an inventory are there."""
        return self.inventory is not None and not self.missing

    def damaged(self) -> Iterator[str]:
        """Read every file, and give the paths of those that are not what they should be."""
        yield from self.unreadable
        for path in self.sizes:
            body = read_kept(self.folder / named(path), self.id, path)
            asset = self.inventory.assets.get(path) if self.inventory is not None else None
            if body is None or (asset is not None and not asset.matches(body)):
                yield path


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was removed.

    Parameters
    ----------
    files, bytes
        Removed files.
    left
        What is not of the cache, and was left where it is.
    """

    files: int
    bytes: int
    left: tuple[Path, ...]


def kept_builds(root: Path, url: str | None) -> list[KeptBuild]:
    """Builds in a cache folder, of one site or of all, by site and date.

    Raises
    ------
    InputError
        When the folder cannot be read.
    """
    try:
        found = [
            build
            for site in _site_folders(root, url)
            for folder in _folders(site)
            if (build := _read_build(folder)) is not None
        ]
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(root)) from error
    return sorted(found, key=lambda build: (build.site, build.fetched or 0.0, build.id))


def clear(root: Path, url: str | None) -> Cleared:
    """Remove the kept files of one site, or of all.

    A file is removed only if it lies where the cache puts its files and has a name that the cache
    gives; everything else stays.

    Raises
    ------
    OutputError
        When the folder holds something, but no kept page; or cannot be read or changed.
    """
    files = size = 0
    left: list[Path] = []
    try:
        sites = list(_site_folders(root, url))
        if not sites and url is None and root.is_dir() and any(root.iterdir()):
            what = "is no cache of the hosted page: nothing was removed"
            raise OutputError(what, where=str(root), fix="name that folder with --viewer-cache")
        for site in sites:
            for folder in sorted(site.iterdir()):
                if not _is_ours(folder):
                    left.append(folder)
                    continue
                for file in sorted(folder.iterdir()):
                    ours = _NAME.fullmatch(file.name) or file.name.startswith(UNFINISHED)
                    if ours and file.is_file() and not file.is_symlink():
                        files, size = files + 1, size + file.stat().st_size
                        file.unlink()
                    else:
                        left.append(file)
                _remove_empty(folder)
            _remove_empty(site)
    except OSError as error:
        raise OutputError(f"cannot be removed ({error.strerror})", where=str(root)) from error
    return Cleared(files, size, tuple(left))


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # something was left in it, or a server writes to it
        folder.rmdir()


def _folders(root: Path) -> list[Path]:
    """Folders in a folder with names that the cache gives."""
    try:
        return sorted(filter(_is_ours, root.iterdir()))
    except FileNotFoundError:
        return []


def _is_ours(folder: Path) -> bool:
    return bool(_NAME.fullmatch(folder.name)) and folder.is_dir() and not folder.is_symlink()


def _site_folders(root: Path, url: str | None) -> Iterator[Path]:
    """Folders of sites: those with a file that says that it was kept, or with nothing."""
    wanted = None if url is None else WebCache(root, url).folder
    for site in _folders(root):
        if wanted is None or site == wanted:
            empty = not any(True for _ in site.iterdir())
            if empty or any(any(_heads(build)) for build in _folders(site)):
                yield site


def _heads(folder: Path) -> Iterator[Head]:
    """What the files of a build say of themselves, if it is true."""
    for file in sorted(folder.iterdir()):
        head = read_head(file)
        if head is not None and (named(head.build), named(head.path)) == (folder.name, file.name):
            yield head


def _read_build(folder: Path) -> KeptBuild | None:
    heads = list(_heads(folder))
    if not heads:
        return None
    build, known = heads[0].build, {named(head.path) for head in heads}
    sizes = {head.path: kept_size(folder / named(head.path)) for head in heads}
    index, inventory = folder / named(INDEX), None
    body = read_kept(folder / named(INVENTORY), build, INVENTORY)
    with suppress(InventoryError):
        inventory = None if body is None else parse_inventory(body)
    names = (os.fsdecode(file.name) for file in sorted(folder.iterdir()))
    return KeptBuild(
        site=next((head.site for head in heads if head.site), folder.parent.name),
        id=build,
        folder=folder,
        sizes={k: v for k, v in sizes.items() if v is not None and k != INVENTORY},
        unreadable=tuple(
            [name for name in names if name not in known and not name.startswith(UNFINISHED)]
            + [path for path, size in sizes.items() if size is None]
        ),
        inventory=inventory,
        fetched=index.stat().st_mtime if index.is_file() else None,
    )
