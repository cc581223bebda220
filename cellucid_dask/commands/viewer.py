"""The commands for the kept hosted page: fetch, list, verify and clear."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cellucid_dask.commands.imports import import_modules
from cellucid_dask.commands.output import print_lines
from cellucid_dask.commands.serve_options import viewer_cache, viewer_site
from cellucid_dask.commands.shared_options import debug
from cellucid_dask.errors import ReadError

if TYPE_CHECKING:
    from cellucid_dask.server.hosted.kept import KeptBuild

FETCH = "run cellucid-dask viewer fetch; for a site of your own, with --viewer-url"
KEPT = "cellucid_dask.server.hosted.kept"
one_site = click.option(
    "--viewer-url", metavar="URL", help="Only this site of the hosted page. [default: all]"
)


@click.group(short_help="Keep the hosted page, for use offline")
def viewer() -> None:
    """Keep the hosted page of `serve --viewer hosted`, for use without the internet."""


@viewer.command(short_help="Fetch the present build of the page")
@viewer_site
@viewer_cache
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@debug
def fetch(viewer_url: str | None, viewer_cache: str | None, quiet: bool) -> None:
    """Fetch all files of the present build of the page; what is kept already stays."""
    import_modules("rich.progress", "cellucid_dask.server.hosted.prefetch")
    from rich.filesize import decimal

    from cellucid_dask.compute.progress import Reporter
    from cellucid_dask.server.hosted.cache import WebCache
    from cellucid_dask.server.hosted.prefetch import prefetch
    from cellucid_dask.server.hosted.site import SITE, Site

    url, root = _read_options(viewer_url, viewer_cache)
    site = Site(url or SITE)
    cache = WebCache(root, site.url)
    done = prefetch(site, cache, Reporter(quiet=quiet).stage)
    if not quiet:
        new = f"new files: {done.fetched_files:,} ({decimal(done.fetched_bytes)})"
        whole = f"all {done.files:,} files ({decimal(done.bytes)}) are in {cache.folder}"
        print_lines([f"build {done.build} of {site.url}: {whole}; {new}"])


@viewer.command("list", short_help="List the builds that are kept")
@one_site
@viewer_cache
@debug
def list_kept(viewer_url: str | None, viewer_cache: str | None) -> None:
    """List the sites and builds that are kept, and whether all files of them are there."""
    import_modules("rich.filesize", KEPT)
    url, root = _read_options(viewer_url, viewer_cache)
    print_lines(_format_builds(root, url))


@viewer.command(short_help="Find damaged and missing files")
@one_site
@viewer_cache
@debug
def verify(viewer_url: str | None, viewer_cache: str | None) -> None:
    """Read all kept files, and report which of them are damaged or missing.

    Exit code 2 when a file is damaged, or when no build of a site is there with all its files.
    """
    import_modules("rich.filesize", KEPT)
    from cellucid_dask.server.hosted.build import printable
    from cellucid_dask.server.hosted.kept import kept_builds

    url, root = _read_options(viewer_url, viewer_cache)
    builds = kept_builds(root, url)
    if not builds:
        raise ReadError("no hosted page is kept here", where=str(root), fix=FETCH)
    damaged = {build.folder: list(build.damaged()) for build in builds}
    whole = {build.site for build in builds if build.complete and not damaged[build.folder]}
    lines = []
    for build in builds:
        bad = damaged[build.folder]
        missing = [] if build.site in whole else [p for p in build.missing if p not in bad]
        for what, paths in (("damaged", bad), ("missing", missing)):
            lines += [f"  {what}: {path} (build {build.id} of {build.site})" for path in paths]
    print_lines(
        map(printable, lines)
        if lines
        else [*_format_builds(root, url), "all kept files are intact"]
    )
    if lines:
        what = f"the kept page is not whole: files damaged or missing: {len(lines):,}"
        raise ReadError(what, where=str(root), fix=FETCH)


@viewer.command(short_help="Remove the kept page")
@one_site
@viewer_cache
@debug
def clear(viewer_url: str | None, viewer_cache: str | None) -> None:
    """Remove the kept page, of one site or of all; other files stay where they are."""
    import_modules("rich.filesize", KEPT)
    from rich.filesize import decimal

    from cellucid_dask.server.hosted.kept import clear as remove

    url, root = _read_options(viewer_url, viewer_cache)
    done = remove(root, url)
    print_lines(
        [f"warning: is no file of the cache, and was left: {path}" for path in done.left]
        + [
            f"removed files: {done.files:,} ({decimal(done.bytes)})"
            if done.files
            else "there is nothing to remove"
        ]
    )


def _read_options(url: str | None, folder: str | None) -> tuple[str | None, Path]:
    """Site and cache folder, by the rules of `serve`."""
    from cellucid_dask.options.serve import ServeOptions
    from cellucid_dask.server.hosted.cache import default_web_folder

    given = ServeOptions(viewer="hosted", viewer_url=url, viewer_cache=folder)
    root = default_web_folder() if folder is None else Path(folder).absolute()
    return given.viewer_url, root


def _format_builds(root: Path, url: str | None) -> Iterator[str]:
    from cellucid_dask.server.hosted.build import printable
    from cellucid_dask.server.hosted.kept import kept_builds

    site = None
    for build in kept_builds(root, url):
        if build.site != site:
            site = build.site
            yield printable(site)
        yield f"  {printable(_format_build(build))}"
    if site is None:
        yield f"no hosted page is kept in {root}"


def _format_build(build: KeptBuild) -> str:
    from rich.filesize import decimal

    size = decimal(sum(build.sizes.values()))
    date = "index not fetched"
    if build.fetched is not None:
        date = f"{datetime.fromtimestamp(build.fetched, UTC).astimezone():%Y-%m-%d %H:%M}"
    if build.inventory is None:
        return f"{build.id}: {len(build.sizes):,} files, {size}, no inventory, {date}"
    total = len(build.inventory.assets)
    state = "complete" if build.complete else f"incomplete: {len(build.missing):,} missing"
    return f"{build.id}: {total - len(build.missing):,} of {total:,} files, {size}, {state}, {date}"
