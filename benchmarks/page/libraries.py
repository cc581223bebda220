"""Compare rendering libraries with what the page draws cells with: size and time of a frame.

    python -m benchmarks page-libraries --work FOLDER      # needs npm and Chromium

npm installs the versions below into the folder, nothing of the project changes. esbuild makes one
minified file of each entry in library_entries/ with what it imports and nothing else of a library,
which is the least that a page would have to keep. All draw the same points of 3 pixels on a canvas
of 1000 x 650 by SwiftShader, on the processor; libraries take turns in one browser.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
import shutil
import statistics
import subprocess
import threading
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click

import cellucid_dask
from benchmarks.page.browser import running_browser
from benchmarks.shared.machine import describe_command

ENTRIES = Path(__file__).with_name("library_entries")
PAGE = Path(cellucid_dask.__file__).with_name("server") / "page"
ESBUILD = "esbuild@0.28.2"
FRAMES = 6


@dataclass(frozen=True, slots=True)
class Library:
    """A library that is compared.

    Parameters
    ----------
    packages
        To install, with versions; the first gives name and date.
    entry
        File in library_entries, or an import that is only weighed.
    files
        Files that npm has ready for pages, which need no build.
    dimensions
        Dimensions that it can draw.
    share
        Part of the points that it is given: less for what would take minutes.
    """

    packages: tuple[str, ...] = ()
    entry: str = ""
    files: tuple[str, ...] = ()
    dimensions: tuple[int, ...] = (2, 3)
    share: float = 1.0


LIBRARIES = {
    "this page": Library(entry="ours.js"),
    "twgl.js": Library(
        ("twgl.js@7.0.0",),
        "export { createProgramInfo, createBufferInfoFromArrays, setBuffersAndAttributes, "
        'setUniforms, drawBufferInfo, m4 } from "twgl.js"',
        ("twgl.js/dist/7.x/twgl-full.module.js",),
        (),
    ),
    "ogl": Library(
        ("ogl@1.0.11",),
        'export { Renderer, Camera, Transform, Geometry, Program, Mesh, Orbit } from "ogl"',
        (),
        (),
    ),
    "regl": Library(("regl@2.1.1",), "regl.js", ("regl/dist/regl.min.js",)),
    "regl-scatterplot": Library(
        ("regl-scatterplot@1.16.0",),
        "scatterplot.js",
        ("regl-scatterplot/dist/regl-scatterplot.min.js",),
        (2,),
    ),
    "luma.gl": Library(
        ("@luma.gl/engine@9.4.2", "@luma.gl/core@9.4.2", "@luma.gl/webgl@9.4.2"),
        'export { luma } from "@luma.gl/core"; export { Model } from "@luma.gl/engine"; '
        'export { webgl2Adapter } from "@luma.gl/webgl"',
        (),
        (),
    ),
    "three.js": Library(
        ("three@0.187.0",),
        "three.js",
        ("three/build/three.module.js", "three/build/three.core.js"),
    ),
    "deck.gl": Library(
        ("@deck.gl/core@9.4.0", "@deck.gl/layers@9.4.0", "@luma.gl/engine@9.4.2"),
        "deck.js",
        share=0.1,
    ),
}


def run_npm(*arguments: str, work: Path) -> str:
    """Run npm in the folder; returns what it prints."""
    words = ["npm", *arguments, "--silent"]
    return subprocess.run(words, cwd=work, check=True, capture_output=True, text=True).stdout


def install(work: Path) -> None:
    """Install all libraries, unless an earlier run did."""
    if not (work / "node_modules").exists():
        (work / "package.json").write_text('{"private": true}')
        wanted = {name for library in LIBRARIES.values() for name in library.packages}
        run_npm("install", "--ignore-scripts", ESBUILD, *sorted(wanted), work=work)


def make_bundle(work: Path, name: str, source: str, out: str) -> bytes:
    """Make one minified module of an entry, with all it imports."""
    entry = ENTRIES / source
    if not source.endswith(".js"):
        entry = work / f"{name.replace(' ', '-')}.entry.js"
        entry.write_text(source)
    library = ENTRIES / LIBRARIES[name].entry
    command = [work / "node_modules/.bin/esbuild", entry, f"--outfile={work / out}", "--bundle"]
    command += ["--minify", "--format=esm", "--log-level=error", f"--alias:PAGE={PAGE}"]
    command += [f"--alias:LIBRARY={library}"] if source == "harness.js" else []
    environment = {**os.environ, "NODE_PATH": str(work / "node_modules")}
    subprocess.run(command, check=True, env=environment)
    return (work / out).read_bytes()


def format_weight(content: bytes) -> str:
    """Format a size in kB, plain and after gzip."""
    return f"{len(content) / 1e3:,.0f} ({len(gzip.compress(content, 9)) / 1e3:,.0f})"


def find_release(library: Library, work: Path) -> str:
    """Return the version and its date in the registry."""
    name, _, number = library.packages[0].rpartition("@")
    times = json.loads(run_npm("view", name, "time", "--json", work=work))
    return f"{number}, {times[number][:10]}"


def print_sizes(work: Path) -> None:
    """Print the size of every library."""
    click.echo("| | version, released | files of npm, kB (gzip) | minified part, kB (gzip) |")
    click.echo("|---|---|---:|---:|")
    for name, library in LIBRARIES.items():
        files = [work / "node_modules" / file for file in library.files]
        ready = format_weight(b"".join(map(Path.read_bytes, files))) if files else ""
        part = format_weight(
            make_bundle(work, name, library.entry, f"{name.replace(' ', '-')}.min.js")
        )
        version = find_release(library, work) if library.packages else ""
        click.echo(f"| {name} | {version} | {ready} | {part} |")


HTML = """<!doctype html><meta charset="utf-8"><style>body { margin: 0 }
canvas { display: block; width: 1000px; height: 650px }</style><canvas></canvas>
<script type="module" src="NAME"></script>"""
MEASURE = """
const [n, dimension, frames, done] = arguments;
const ready = () => (window.measure
  ? window.measure(n, dimension, frames).then(done, (error) => done({ error: String(error) }))
  : setTimeout(ready, 20));
ready();
"""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_: Any) -> None:
        """Write no log."""


def measure_frames(work: Path, points: int, repeat: int) -> dict[str, list[dict[str, Any]]]:
    """Draw the points with each library in turn."""
    cases = [(name, d) for name, library in LIBRARIES.items() for d in library.dimensions]
    for name in {name for name, _ in cases}:
        stem = name.replace(" ", "-")
        make_bundle(work, name, "harness.js", f"{stem}.page.js")
        (work / f"{stem}.html").write_text(HTML.replace("NAME", f"{stem}.page.js"))
    given = {name: round(points * LIBRARIES[name].share) for name, _ in cases}
    rows = {case: f"{case[0]}, {case[1]}D, {given[case[0]]:,} points" for case in cases}
    found: dict[str, list[dict[str, Any]]] = {row: [] for row in rows.values()}
    handler = functools.partial(QuietHandler, directory=str(work))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, running_browser() as (driver, _):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for turn in range(repeat):
            for name, d in cases[:: -1 if turn % 2 else 1]:
                row = rows[name, d]
                driver.get(f"http://127.0.0.1:{server.server_port}/{name.replace(' ', '-')}.html")
                run = driver.execute_async_script(MEASURE, given[name], d, FRAMES)
                if "error" in run:
                    raise click.ClickException(f"{row}: {run['error']}")
                found[row].append({**run, "load_average": os.getloadavg()[0]})
            click.echo(f"round {turn + 1} of {repeat}", err=True)
        server.shutdown()
    return found


def _format_medians(runs: list[dict[str, Any]], what: str) -> str:
    each = [statistics.median(run[what]) for run in runs]
    return f"{statistics.median(each):,.0f} ({min(each):,.0f} to {max(each):,.0f})"


@click.command("page-libraries", help=__doc__.split("\n")[0])
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--points", type=click.IntRange(1000), default=1_000_000, show_default=True)
@click.option("--repeat", type=click.IntRange(0), default=5, show_default=True, help="0: sizes.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all runs here.")
def command(work: Path, points: int, repeat: int, json_path: Path | None) -> None:
    """Print the sizes of the libraries, and the times of their frames."""
    if shutil.which("npm") is None:
        raise click.ClickException("npm is not installed (Debian: apt install npm)")
    work = work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    install(work)
    print_sizes(work)
    if not repeat:
        return
    found = measure_frames(work, points, repeat)
    click.echo("\n| | start, ms | frame, ms | new colors, ms |")
    click.echo("|---|---:|---:|---:|")
    for name, runs in found.items():
        start = f"{statistics.median([run['start'] for run in runs]):,.0f}"
        click.echo(
            f"| {name} | {start} | {_format_medians(runs, 'frames')} "
            f"| {_format_medians(runs, 'recolour')} |"
        )
    loads = [run["load_average"] for runs in found.values() for run in runs]
    click.echo(
        f"\n- medians of {repeat} rounds, each of up to {FRAMES} frames and 4 changes of colour"
    )
    click.echo(f"- load average before each: {min(loads):.1f} to {max(loads):.1f}")
    click.echo(f"- command: `{describe_command()}`")
    if json_path:
        json_path.write_text(json.dumps(found, indent=2), encoding="utf-8")
