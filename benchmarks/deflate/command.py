"""The command ``deflate``: compressors of the chunks of ready files, beside zlib at level 6."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import click
import numpy as np
from zlib_ng import zlib_ng

from benchmarks.deflate.chunks import Chunks, draw_chunks, read_chunks
from benchmarks.native.timing import time_turns
from benchmarks.shared.machine import describe_command, describe_machine
from cellucid_dask.native.deflate import zlib_chunk
from cellucid_dask.native.library import find_library

Compress = Callable[[bytes], bytes]
OPTIONAL = (  # module, function, its name in the table, levels: measured where it is installed
    ("isal.isal_zlib", "compress", "isal", (1, 2, 3)),
    ("deflate", "zlib_compress", "libdeflate", (1, 2, 4, 6)),
)


def find_compressors() -> dict[str, Compress]:
    """Compressors of this environment by name; zlib at level 6 is the first."""
    found: dict[str, Compress] = {"zlib 6": lambda stream: zlib.compress(stream, 6)}
    for level in range(1, 7):
        found[f"zlib-ng {level}"] = lambda stream, level=level: zlib_ng.compress(stream, level)
    for module, name, label, levels in OPTIONAL:
        try:
            compress = getattr(import_module(module), name)
        except ImportError:
            click.echo(f"{module} is not installed, and left out", err=True)
            continue
        for level in levels:
            found[f"{label} {level}"] = lambda stream, c=compress, level=level: c(stream, level)
    return found


def measure(chunks: Chunks, rounds: int) -> dict[str, tuple[float, int]]:
    """CPU seconds and bytes of each compressor; all streams are decompressed and compared."""
    streams = chunks.streams()

    def native() -> list[bytes]:
        return [zlib_chunk(items, shuffle=chunks.shuffle) for items in chunks.items]

    works = {"native": native}
    for name, compress in find_compressors().items():
        works[name] = lambda compress=compress: [compress(stream) for stream in streams]
    seconds = time_turns(works, rounds)
    sizes = {}
    for name, work in works.items():
        made = work()
        for stream, compressed in zip(streams, made, strict=True):
            assert zlib.decompress(compressed) == stream
        sizes[name] = sum(map(len, made))
    return {name: (seconds[name], sizes[name]) for name in works}


def format_table(kinds: list[Chunks], rounds: int) -> list[str]:
    """A column for each kind of chunks: MB/s, and the size relative to zlib 6."""
    results = [measure(chunks, rounds) for chunks in kinds]
    lines = [f"| | {' | '.join(chunks.name for chunks in kinds)} | all |"]
    lines.append("|---" + "|---:" * (len(kinds) + 1) + "|")
    n_bytes = [chunks.n_bytes for chunks in kinds]
    for name in results[0]:
        spent = [result[name][0] for result in results]
        sizes = [result[name][1] for result in results]
        level6 = [result["zlib 6"][1] for result in results]
        speeds = [*(np.array(n_bytes) / spent), sum(n_bytes) / sum(spent)]
        ratios = [*(np.array(sizes) / level6), sum(sizes) / sum(level6)]
        cells = [f"{s / 1e6:.0f} ({r:.3f})" for s, r in zip(speeds, ratios, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


@click.command("deflate")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--chunks", type=click.IntRange(1), default=4, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
def command(files: tuple[Path, ...], chunks: int, rounds: int) -> None:
    """Time compressors on chunks of X, in one thread: of drawn matrices, or of ready h5ad FILES.

    Figures are MB/s by the median CPU time of the thread, and in brackets the size relative to
    zlib at level 6. The native library shuffles too; the others get shuffled bytes. isal and
    deflate (libdeflate) take part where pip has installed them.
    """
    found = find_library()
    if found.library is None:
        raise click.ClickException(f"no native library: {found.explanation}")
    kinds = [part for path in files for part in read_chunks(path)] or draw_chunks(chunks)
    print("\n".join(format_table(kinds, rounds)))
    print(f"\n- measured on: {describe_machine()}\n- command: `{describe_command()}`")
