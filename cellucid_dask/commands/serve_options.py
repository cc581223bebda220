"""Options of `serve`."""

from __future__ import annotations

import click

from cellucid_dask.commands.shared_options import (
    Suggestions,
    cache_dir,
    combine_options,
    identity_options,
)

viewer_site = click.option(
    "--viewer-url", metavar="URL", help="Site of the hosted page. [default: that of Cellucid]"
)
viewer_cache = click.option(
    "--viewer-cache",
    type=click.Path(),
    metavar="DIR",
    help="Cache folder of the hosted page. [default: cellucid-dask in your cache folder]",
)

port = click.option(
    "-p",
    "--port",
    type=int,
    default=8765,
    show_default=True,
    help="Port to listen on; the next free one if it is taken.",
)
no_browser = click.option("--no-browser", is_flag=True, help="Do not open a browser.")

serve_options = combine_options(
    port,
    click.option(
        "-H", "--host", default="127.0.0.1", show_default=True, help="Address to listen on."
    ),
    no_browser,
    click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors."),
    click.option("-v", "--verbose", is_flag=True, help="Print a line for every request."),
    click.option(
        "--quantize", type=int, metavar="8|16", help="Serve codes of 8 or 16 bits, not float32."
    ),
    click.option(
        "--cache-size",
        default="512MB",
        show_default=True,
        metavar="SIZE",
        help="Limit of the memory of responses, cached and in preparation.",
    ),
    cache_dir,
    click.option("--no-index", is_flag=True, help="Do not build or use a gene index for CSR data."),
    click.option("--no-backed", is_flag=True, help="Read the whole AnnData into memory first."),
    click.option(
        "--allowed-host",
        "allowed_hosts",
        multiple=True,
        metavar="NAME",
        help="Another host name that requests may use; repeat for more.",
    ),
    click.option(
        "--token",
        envvar="CELLUCID_DASK_TOKEN",
        metavar="TOKEN|auto|none",
        help="Secret that requests must carry. [default: none on a loopback address]",
    ),
    click.option(
        "--base-path",
        default="",
        metavar="/PREFIX",
        help="Prefix of all paths behind a proxy.",
    ),
    click.option(
        "--viewer",
        type=Suggestions("builtin", "hosted", "none"),
        metavar="[builtin|hosted|none]",
        default="builtin",
        show_default=True,
        help="The page that shows the data; hosted fetches the page of the Cellucid site.",
    ),
    click.option(
        "--protocol",
        type=Suggestions("folder", "ready"),
        metavar="[folder|ready]",
        help="What the server speaks: that of the built-in page, or of today's public app. "
        "[default: ready with --viewer hosted]",
    ),
    viewer_site,
    viewer_cache,
    identity_options("file"),
)
