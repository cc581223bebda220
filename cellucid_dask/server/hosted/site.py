"""What a site has: its present build, and the files of a build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Final, TypeVar

from cellucid_dask.server.hosted.build import Build, build_id
from cellucid_dask.server.hosted.inventory import (
    BYTES,
    FILE_BYTES,
    INVENTORY,
    Asset,
    Inventory,
    InventoryError,
    parse_inventory,
)
from cellucid_dask.server.hosted.paths import HTML, INDEX, is_page, media_of
from cellucid_dask.server.hosted.upstream import (
    NoSuchFileError,
    UnfitError,
    UnreachableError,
    Upstream,
)

SITE: Final = "https://www.cellucid.com"
INDEX_BYTES: Final = 2_000_000
FORBIDDEN: Final = 403  # the answer of some stores of files for any that they do not have
DOWN: Final = 15.0  # seconds until a site that failed is requested again

R = TypeVar("R")


class RefusedInventoryError(UnfitError):
    """The inventory of the site cannot be used, so none of its files are."""


class WrongFileError(UnfitError):
    """A file of the site is not the one that its inventory describes."""


class Site:
    """A site with a page of Cellucid.

    Parameters
    ----------
    url
        As in `Upstream`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._upstream = Upstream(url)

    def build(self, known: Build | None, seconds: float) -> Build:
        """Return the present build; `known` if it is still that.

        Parameters
        ----------
        known
            A build of this site, from an earlier call or from the cache.
        seconds
            Time limit of the index and the inventory together.

        Raises
        ------
        UpstreamError
            When the site does not respond, or sends what is no page, or a wrong inventory.
        """
        until = monotonic() + seconds
        asked = known is not None and known.from_site
        tag = known.tag if known is not None and asked else None
        fetched = self._upstream.get(INDEX, INDEX_BYTES, seconds, tag)
        if fetched is None:
            assert known is not None
            return known
        name = build_id(fetched.body)
        if name is None:
            raise UnfitError("sent no page of Cellucid: it names no build")
        if known is not None and asked and known.index == fetched.body:
            return replace(known, tag=fetched.tag)
        inventory = self._inventory(name, fetched.body, max(until - monotonic(), 0.1))
        return Build(name, fetched.body, fetched.tag, inventory, from_site=True)

    def _inventory(self, build: str, index: bytes, seconds: float) -> Inventory | None:
        try:
            fetched = self._upstream.get(INVENTORY, BYTES, seconds)
        except (NoSuchFileError, UnfitError) as error:
            if isinstance(error, NoSuchFileError) or error.status == FORBIDDEN:
                return None
            raise RefusedInventoryError(f"{error} ({INVENTORY})") from error
        assert fetched is not None
        if is_page(fetched.body, fetched.media):  # sent for any file that is not there
            return None
        try:
            inventory = parse_inventory(fetched.body)
        except InventoryError as error:
            raise RefusedInventoryError(f"has an inventory that {error}") from error
        if inventory.build != build:
            raise RefusedInventoryError("is changing: its page and its inventory name two builds")
        if not inventory.assets[INDEX].matches(index):
            raise RefusedInventoryError("sent a page that is not the one of its inventory")
        return inventory

    def asset(self, path: str, asset: Asset, seconds: float) -> bytes:
        """Return a file of an inventory.

        Raises
        ------
        UpstreamError
            When the file cannot be fetched, or is another one.
        """
        try:
            fetched = self._upstream.get(path, asset.size, seconds)
        except NoSuchFileError as error:
            raise WrongFileError("has no such file, which its inventory lists") from error
        assert fetched is not None
        if not asset.matches(fetched.body):
            raise WrongFileError("sent a file that is not the one of its inventory")
        return fetched.body

    def file(self, path: str, seconds: float) -> bytes:
        """Return a file of a site without an inventory.

        Raises
        ------
        UpstreamError
            When the file cannot be fetched, or a web page comes in its place.
        """
        fetched = self._upstream.get(path, FILE_BYTES, seconds)
        assert fetched is not None
        if media_of(path) != HTML and is_page(fetched.body, fetched.media):
            raise UnfitError("sent a web page in place of the file")
        return fetched.body


class Rest:
    """A pause after a failure: a site that did not respond is not asked again for some seconds."""

    def __init__(self) -> None:
        self.until, self._why = 0.0, ""

    def ask(self, work: Callable[[], R]) -> R:
        """Ask the site, unless it failed a moment ago.

        Raises
        ------
        UnreachableError
            When the site does not respond, or did not a moment ago.
        """
        self.check()
        try:
            return work()
        except UnreachableError as error:
            raise self.begin(error) from error

    def check(self) -> None:
        """Raise UnreachableError if the site failed a moment ago."""
        if monotonic() < self.until:
            raise UnreachableError(self._why)

    def begin(self, error: UnreachableError) -> UnreachableError:
        """Begin a pause; return `error`, to be raised."""
        self.until, self._why = monotonic() + DOWN, str(error)
        return error
