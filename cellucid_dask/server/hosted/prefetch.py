"""All files of the present build of a site, fetched ahead, for use without the site."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from cellucid_dask.errors import CellucidDaskError, OutputError
from cellucid_dask.server.hosted.build import Build, printable
from cellucid_dask.server.hosted.cache import WebCache
from cellucid_dask.server.hosted.inventory import INVENTORY, Asset
from cellucid_dask.server.hosted.paths import INDEX
from cellucid_dask.server.hosted.site import Site, WrongFileError
from cellucid_dask.server.hosted.upstream import UnfitError, UpstreamError

FETCHES: Final = 8  # files fetched at the same time
TRIES: Final = 3  # of a file, when the network fails
INDEX_SECONDS: Final = 30.0
FILE_SECONDS: Final = 600.0  # a slow network: nobody waits in front of a page
ENDING: Final = 5.0  # seconds for files under way to end

Stage = Callable[[str, int, str], AbstractContextManager[Any]]


class SiteError(CellucidDaskError):
    """The site of the hosted page cannot be reached, or sends what cannot be used."""


@dataclass(frozen=True, slots=True)
class Prefetched:
    """A build that is there with all its files.

    Parameters
    ----------
    build
        Its id, as it can be printed.
    files, bytes
        All files of the build.
    fetched_files, fetched_bytes
        Those that were not there before.
    """

    build: str
    files: int
    bytes: int
    fetched_files: int
    fetched_bytes: int


def prefetch(site: Site, cache: WebCache, stage: Stage) -> Prefetched:
    """Fetch what is not kept yet of the present build; then remove the other builds.

    Each file is stored when its sum is right, so a run that was ended at any moment is resumed by
    the next. The index comes last: without the site, a part of a build is not shown.

    Parameters
    ----------
    site
        The site.
    cache
        Where its files are kept.
    stage
        Counts finished files: gets a name, their number and their unit.

    Raises
    ------
    SiteError
        When the site cannot be reached, has no inventory, or sends what is not of it.
    OutputError
        When the folder cannot be written.
    """
    try:
        build = site.build(None, INDEX_SECONDS)
    except UpstreamError as error:
        fix = "check the network, the proxy of the environment and --viewer-url"
        raise SiteError(str(error), where=site.url, fix=fix) from error
    if build.inventory is None:
        what = f"has no inventory ({INVENTORY}), so nobody knows which files to fetch"
        fix = "open its page with serve --viewer hosted: what the browser asks for is kept"
        raise SiteError(what, where=site.url, fix=fix)
    try:
        cache.store(build.id, INVENTORY, build.inventory.body)
        fetched = _fetch_all(site, cache, build, stage)
        cache.store(build.id, INDEX, build.index)
    except OSError as error:
        why = error.strerror or type(error).__name__
        fix = "make room, or name another folder with --viewer-cache"
        raise OutputError(f"cannot be written ({why})", where=str(cache.folder), fix=fix) from error
    cache.purge(build)
    assets = build.inventory.assets
    return Prefetched(
        printable(build.id), len(assets), build.inventory.size, len(fetched), sum(fetched.values())
    )


def _fetch_all(site: Site, cache: WebCache, build: Build, stage: Stage) -> dict[str, int]:
    """Fetch the files that are not kept; return their sizes."""
    assert build.inventory is not None
    assets = {k: v for k, v in build.inventory.assets.items() if k != INDEX}
    pool = ThreadPoolExecutor(FETCHES)
    jobs = {pool.submit(_fetch, site, cache, build, *item): item[0] for item in assets.items()}
    sizes = {}
    try:
        with stage("viewer", len(jobs), "files") as advance:
            for job in as_completed(jobs):
                if job.result():
                    sizes[jobs[job]] = assets[jobs[job]].size
                advance()
        return sizes
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        # After a failure; a file that comes slowly is not waited for.
        wait([job for job in jobs if not job.cancelled()], ENDING)


def _fetch(site: Site, cache: WebCache, build: Build, path: str, asset: Asset) -> bool:
    """Fetch one file, unless it is kept; return whether it was not."""
    if cache.get_asset(build, path) is not None:
        return False
    for attempt in range(1, TRIES + 1):
        try:
            body = site.asset(path, asset, FILE_SECONDS)
        except UpstreamError as error:
            if attempt < TRIES and not isinstance(error, WrongFileError):
                continue
            raise _file_error(site, build, path, error) from error
        break
    cache.store(build.id, path, body)
    return True


def _file_error(site: Site, build: Build, path: str, error: UpstreamError) -> SiteError:
    fix = "run the command again: what was fetched is kept"
    if isinstance(error, UnfitError):
        try:
            now = site.build(None, INDEX_SECONDS)
        except UpstreamError:
            now = build
        if (now.id, now.index) != (build.id, build.index):
            new, old = printable(now.id), printable(build.id)
            what = f"has published build {new} while {old} was being fetched"
            return SiteError(what, where=site.url, fix="run the command again")
        fix = "the site is published incompletely, or something on the way changes its files"
    return SiteError(f"{path}: {error}", where=site.url, fix=fix)
