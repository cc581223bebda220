"""The gzip encoder beside the numpy path: time and size of genes of several kinds."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from benchmarks.native.timing import Kind, draw_genes, time_turns
from cellucid_dask.encode import encode_gene, value_range
from cellucid_dask.native.encoder import encode_strip, make_records

KINDS = (
    Kind(0.005, "counts"),
    Kind(0.03, "lognorm"),
    Kind(0.07, "counts"),
    Kind(0.07, "lognorm"),
    Kind(0.3, "lognorm"),
    Kind(0.9, "counts"),
    Kind(0.07, "lognorm", 16),
    Kind(0.07, "lognorm", None),
    Kind(0.07, "counts", None),
)
HEADER = (
    "| genes | encoder, ns | gene, ns | numpy path, ns | ratio | size | numpy path, size |",
    "|---|---:|---:|---:|---:|---:|---:|",
)


def measure_encoders(n_cells: int, n_genes: int, rounds: int) -> Iterator[str]:
    """Yield a row for each kind: ns for each stored value, size relative to zlib 6."""
    for kind in KINDS:
        fewer = max(1, round(n_genes * min(1, 0.07 / kind.density)))
        yield measure_kind(kind, n_cells, fewer, rounds)


def measure_kind(kind: Kind, n_cells: int, n_genes: int, rounds: int) -> str:
    """Encode genes of one kind both ways and format the row."""
    genes = draw_genes(kind, n_cells, n_genes)
    width = 4 if kind.bits is None else kind.bits // 8
    pieces, records = [], []
    for g in range(n_genes):
        part = slice(genes.indptr[g], genes.indptr[g + 1])
        pieces.append([(0, genes.indices[part], genes.data[part])])
        span = value_range(genes.data[part], joins_zero=True)
        line = None if kind.bits is None else span.line(kind.bits)
        records.append(make_records(pieces[-1], n_cells, width, line))
    strip, backgrounds = np.concatenate(records), np.zeros(n_genes, np.uint32)
    starts = genes.indptr.astype(np.int64)

    def encode(*, native: bool) -> list[bytes]:
        found = [encode_gene(p, n_cells, kind.bits, 6, native=native) for p in pieces]
        return [one.payload for one in found]

    seconds = time_turns(
        {
            "encoder": lambda: encode_strip(n_cells, width, starts, strip, backgrounds),
            "gene": lambda: encode(native=True),
            "numpy": lambda: encode(native=False),
        },
        rounds,
    )
    files = {native: encode(native=native) for native in (True, False)}
    for ours, theirs in zip(files[True], files[False], strict=True):
        assert zlib.decompress(ours, 31) == zlib.decompress(theirs, 31)
    level6 = sum(len(zlib.compress(zlib.decompress(one, 31), 6)) for one in files[True])
    sizes = [f"{sum(map(len, files[native])) / level6:.3f}" for native in (True, False)]
    times = [f"{1e9 * seconds[name] / strip.size:.1f}" for name in ("encoder", "gene", "numpy")]
    ratio = f"{seconds['numpy'] / seconds['gene']:.1f}x"
    return f"| {' | '.join([kind.name, *times, ratio, *sizes])} |"
