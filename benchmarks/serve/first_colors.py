"""How long live data take to show cells and colors: the requests of the page to a new server."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import click

from benchmarks.serve.servers import find_free_port, running_server, serve_command
from benchmarks.shared.atlases import find_or_make_atlas, make_once
from benchmarks.shared.processes import read_into_cache
from cellucid_dask.synthetic import AtlasSpec

COLUMNS: Final = (2000, 40, 100, 24, 12, 300, 8, 60, 30, 16, 5, 2, 20, 50)  # donors first
ROOT: Final = Path(__file__).resolve().parents[2]
LIST: Final = "/_cellucid/datasets"
NO_SUMMARIES: Final = "?summaries="  # earlier servers ignore it
EXTENSIONS: Final = {"uint8": "u8", "uint16": "u16"}
HEADER: Final = """\
| data | server | started, s | cells, s | colors, s |
|---|---|---:|---:|---:|"""


def measure_first_colors(path: Path, checkout: Path | None) -> tuple[float, float, float]:
    """Start a server with an empty cache folder, and ask for what the page asks for.

    Returns
    -------
    Seconds from the start of the process to its first response, and from there to the points and to
    the codes of the first categorical column of 2 to 254 categories.
    """
    port = find_free_port()
    with tempfile.TemporaryDirectory() as cache:
        words = serve_command(path.resolve(), port, "--cache-dir", cache)[1:]
        command = [
            sys.executable,
            "-m",
            "cellucid_dask",
            *words,
        ]  # that of the folder where it runs
        with running_server(command, port, LIST, checkout or ROOT) as (_, started):
            start = time.perf_counter()
            identity = json.loads(_get(port, f"dataset_identity.json{NO_SUMMARIES}"))
            embeddings = identity["embeddings"]
            points = embeddings["files"][f"{embeddings['default_dimension']}d"]
            with ThreadPoolExecutor(3) as pool:
                asked = [
                    pool.submit(_seconds_until, start, work, port, *arguments)
                    for work, *arguments in ((_get, points), (_get_codes,))
                ]
                pool.submit(_get, port, "var_manifest.json").result()
                cells, colors = (future.result() for future in asked)
    return started, cells, colors


def _seconds_until(start: float, work: Any, *arguments: Any) -> float:
    work(*arguments)
    return time.perf_counter() - start


def _get_codes(port: int) -> None:
    manifest = json.loads(_get(port, f"obs_manifest.json{NO_SUMMARIES}"))
    fields = manifest["_categoricalFields"]
    key, _, dtype, *_ = next(field for field in fields if 1 < len(field[1]) < 255)
    pattern = manifest["_obsSchemas"]["categorical"]["codesPathPattern"]
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", key)
    _get(port, pattern.replace("{key}", name).replace("{ext}", EXTENSIONS[dtype]))


def _get(port: int, path: str) -> bytes:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=600)) as client:
        client.request("GET", f"/{path}", headers={"Accept-Encoding": "gzip"})
        response = client.getresponse()
        body = response.read()
        assert response.status == 200, (path, response.status)
    return gzip.decompress(body) if response.getheader("Content-Encoding") == "gzip" else body


def _write_zarr(atlas: Path, store: Path) -> None:
    import anndata

    anndata.read_h5ad(atlas).write_zarr(store)


@click.command("colors")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder for the data.")
@click.option("--cells", default=1_000_000, show_default=True, help="Cells of the atlas.")
@click.option("--repeat", default=3, show_default=True, help="Runs; each is a new process.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Checkout of the package that is measured in turns with this one.",
)
def colors(work: Path, cells: int, repeat: int, baseline: Path | None) -> None:
    """Measure the time until a new server of live data has sent cells and colors.

    The atlas has 2,000 genes, stored by cell, a 15-neighbor graph, and 20 obs columns, one with
    2,000 categories. There is no gene index, so each server also builds one.
    """
    work.mkdir(parents=True, exist_ok=True)
    spec = AtlasSpec(cells, 2_000, 0.03, categoricals=COLUMNS, continuous=6, latent=30)
    atlas = find_or_make_atlas("colors", spec, work)
    store = atlas.with_suffix(".zarr")
    if not store.exists():
        make_once(store, lambda new: _write_zarr(atlas, new))
    servers = {"this": None} if baseline is None else {"baseline": baseline, "this": None}
    click.echo(HEADER)
    for path in (atlas, store):
        read_into_cache(path)
        runs: dict[str, list[tuple[float, ...]]] = {name: [] for name in servers}
        for _ in range(repeat):
            for name, checkout in servers.items():
                runs[name].append(measure_first_colors(path, checkout))
        for name, measured in runs.items():
            columns = " | ".join(
                f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"
                for each in zip(*measured, strict=True)
            )
            click.echo(f"| {path.suffix[1:]} | {name} | {columns} |")
