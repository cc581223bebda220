"""Measure what one core does in a second: exports with one worker process, and a linear fit."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.optimize import nnls

from benchmarks.scaling.cluster import start_dask_workers
from benchmarks.scaling.runs import Run, remove_export, run_export
from benchmarks.shared.processes import read_into_cache
from cellucid_dask.exporter.checks.survey import survey
from cellucid_dask.exporter.planning.plan import make_plan
from cellucid_dask.exporter.receipts import GENE_RECEIPT, StripSpill
from cellucid_dask.exporter.recovery.journal import Journal
from cellucid_dask.exporter.stages.edges import write_edges
from cellucid_dask.files import PARTS
from cellucid_dask.native.strips import cut_rows, find_cuts, segment_bytes
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.open import open_source
from cellucid_dask.synthetic import AtlasSpec

FILE = Path(__file__).with_name("rates.json")


@dataclass(frozen=True, slots=True)
class Shape:
    """An atlas that is exported for the fit, and options that change its plan."""

    spec: AtlasSpec
    options: tuple[str, ...] = ()


def _genes(cells: int, genes: int, density: float) -> AtlasSpec:
    return AtlasSpec(cells, genes, density, categoricals=(20,), continuous=0, neighbors=0)


# Many values; few values for each gene; many files; many pieces and segments.
SHAPES = (
    Shape(_genes(300_000, 7_000, 0.07)),
    Shape(_genes(1_000_000, 4_000, 0.01)),
    Shape(_genes(20_000, 30_000, 0.02)),
    Shape(_genes(300_000, 7_000, 0.07), ("--memory", "530MB")),
    Shape(_genes(200_000, 10_000, 0.07), ("--memory", "530MB")),
)
OBS = AtlasSpec(2_000_000, 0, categoricals=(100,) * 10, continuous=5, latent=50, dimensions=(2,))


@dataclass(frozen=True, slots=True)
class ShapeCounts:
    """Counts of what one run did, and its CPU seconds; a piece is a row in a strip."""

    nnz: int
    values: int
    pieces: int
    files: int
    segments: int
    transpose: float
    genes: float
    spilled: int
    written: int


def measure_shape(shape: Shape, data: Path, work: Path, repeat: int) -> ShapeCounts:
    """Export a shape with one worker; return medians of the CPU seconds of the gene stages."""
    source = open_source(data)
    nnz = source.matrices["X"].nnz
    runs = [_run_once(data, work, *shape.options) for _ in range(repeat)]
    chunks, strips = (
        int(runs[0].plan[fact].split()[0].replace(",", ""))
        for fact in ("row chunks", "gene blocks")
    )
    cells, genes = shape.spec.cells, shape.spec.genes
    rates = ShapeCounts(
        nnz,
        cells * genes,
        cells * strips,
        genes,
        chunks * strips,
        statistics.median(run.cpu_seconds["transpose"] for run in runs),
        statistics.median(run.cpu_seconds["genes"] for run in runs),
        6 * nnz + 2 * cells * strips,
        runs[0].size,
    )
    click.echo(f"{cells:,} x {genes:,} {' '.join(shape.options)}: {asdict(rates)}", err=True)
    return rates


def _run_once(data: Path, work: Path, *options: str) -> Run:
    out = work / "scaling-rates"
    read_into_cache(data)
    try:
        return run_export(data, 1, start_dask_workers, out, *options)
    finally:
        remove_export(out)


def fit_rates(
    rows: Sequence[Sequence[float]], seconds: Sequence[float]
) -> tuple[list[float], float]:
    """Fit the seconds of one unit of each column, none below 0, by least relative errors.

    Returns
    -------
    The seconds, and the largest relative error.
    """
    weights = 1 / np.asarray(seconds)
    table = np.asarray(rows, float) * weights[:, None]
    scale = table.max(axis=0)
    rates, _ = nnls(table / scale, np.ones(len(rows)))
    return (rates / scale).tolist(), float(np.abs(table @ (rates / scale) - 1).max())


def measure_gene_rates(work: Path, make: Callable[..., Path], repeat: int) -> dict[str, float]:
    """Measure the seconds of one core in both passes over the genes."""
    counted = [measure_shape(s, make(s.spec, "h5ad", work), work, repeat) for s in SHAPES]
    # The plan gives all shapes about as many values in a piece, so a fit cannot tell them apart.
    piece = time_pieces()
    first, error1 = fit_rates(
        [(c.nnz, 1) for c in counted], [c.transpose - piece * c.pieces for c in counted]
    )
    second, error2 = fit_rates(
        [(c.nnz, c.values, c.pieces, c.files, c.segments) for c in counted],
        [c.genes for c in counted],
    )
    of_values = counted[0].written / counted[0].nnz
    return {
        "pass1_per_nnz": first[0],
        "pass1_per_piece": piece,
        "pass1_start": first[1],  # what a worker imports for its first chunk
        "pass1_error": error1,
        "pass2_per_nnz": second[0],
        "pass2_per_value": second[1],
        "pass2_per_piece": second[2],
        "pass2_per_file": second[3],
        "pass2_per_segment": second[4],
        "pass2_error": error2,
        "written_per_nnz": of_values,
    }


def measure_obs_rates(work: Path, make: Callable[..., Path], repeat: int) -> dict[str, float]:
    """Measure the seconds of one core for each cell (of each column, if there are several)."""
    data = make(OBS, "h5ad", work)
    runs = [_run_once(data, work, "--no-genes", "--no-graph") for _ in range(repeat)]

    def each(stage: str, parts: int) -> float:
        return statistics.median(run.cpu_seconds[stage] for run in runs) / (OBS.cells * parts)

    n = len(OBS.categoricals)
    return {
        "points_per_cell": each("points", 1),
        "columns_per_cell": each("obs columns", n + OBS.continuous),
        "sums_per_cell": each("obs sums", n),
        "distances_per_cell": each("obs distances", n),
        "ranks_per_cell": each("obs ranks", n),
    }


def measure_edge_rates(work: Path, make: Callable[..., Path]) -> dict[str, float]:
    """Measure the seconds of one core for each stored neighbor."""
    graph = open_source(make(OBS, "h5ad", work)).matrices["obsp/connectivities"]
    with tempfile.TemporaryDirectory(dir=work) as name:
        export_folder = Path(name, "export")
        (export_folder / "connectivity").mkdir(parents=True)
        Path(name, PARTS).mkdir()
        began = time.process_time()
        write_edges(str(export_folder), name, graph, 6, 10**9)
        return {"edges_per_entry": (time.process_time() - began) / graph.nnz}


def measure_serial_rates(work: Path, seconds: Mapping[str, float], files: int) -> dict[str, float]:
    """Measure the seconds of what the main process does alone.

    Parameters
    ----------
    seconds, files
        Of a run with many genes.
    """
    return {
        "manifests_per_file": seconds["manifests"] / files,
        "publish_per_file": seconds["publish"] / files,
        "journal_per_file": time_journal(work),
        "journal_per_segment": time_chunks(work),
    }


def measure_plan_rate(path: Path, cells: int) -> dict[str, float]:
    """Measure the seconds of the main process for each cell until the plan is made."""
    began = time.process_time()
    options, source = ExportOptions(), open_source(path)
    make_plan(survey(source, options), options, 6 << 30, 64, native=True)
    return {"plan_per_cell": (time.process_time() - began) / cells}


def time_journal(work: Path, n_blocks: int = 2_000, genes_each: int = 9) -> float:
    """Measure the seconds of one gene in the journal."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        journal = Journal(Path(name, "journal"))
        receipts = np.zeros(genes_each, GENE_RECEIPT)
        receipts["size"], receipts["crc32"], receipts["hi"] = 10**6, 10**9, 9.5
        began = time.process_time()
        for i in range(n_blocks):
            receipts["gene"] = np.arange(i * genes_each, (i + 1) * genes_each)
            journal.genes(receipts)
        return (time.process_time() - began) / (n_blocks * genes_each)


def time_pieces(n_rows: int = 4_000, n_genes: int = 30_000, per_row: int = 2_100) -> float:
    """Measure the seconds of one row in one strip: what many strips take more than few."""
    rng = np.random.default_rng(0)
    row = np.sort(rng.choice(n_genes, per_row, replace=False)).astype(np.int32)
    indices, values = np.tile(row, n_rows), np.ones(n_rows * per_row, np.float32)
    pointers = np.arange(n_rows + 1, dtype=np.int64) * per_row
    counts, seconds = (32, 512), []
    for n_strips in counts:
        bounds = np.linspace(0, n_genes, n_strips + 1).astype(np.int64)
        cuts = np.zeros((n_rows, n_strips + 1), np.uint32)
        times = []
        for _ in range(4):  # the first one also gets the memory
            began = time.process_time()
            sizes = find_cuts(bounds, pointers, indices, cuts)
            spent = time.process_time() - began
            out = np.ones(int(segment_bytes(n_rows, sizes, 4).sum()), np.uint8)
            began = time.process_time()
            cut_rows(bounds, indices, values, cuts, sizes, out, width=4)
            times.append(spent + time.process_time() - began)
        seconds.append(min(times))
    return (seconds[1] - seconds[0]) / (n_rows * (counts[1] - counts[0]))


def time_chunks(work: Path, n_chunks: int = 200, n_strips: int = 512) -> float:
    """Measure the seconds of one segment in the journal: of its size in the line of its chunk."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        journal = Journal(Path(name, "journal"))
        sizes = np.full(n_strips, 123_456, np.uint32)
        began = time.process_time()
        for i in range(n_chunks):
            path = f"{name}/rows-0123456789abcdef.spill"
            journal.chunk(StripSpill(path, 10**9, i, 10**4, "float32", sizes, 10**9, 10**9))
        return (time.process_time() - began) / (n_chunks * n_strips)


def measure_all_rates(work: Path, make: Callable[..., Path], repeat: int) -> dict[str, Any]:
    """Measure all rates of the model, except those of the scheduler."""
    many = _run_once(make(SHAPES[2].spec, "h5ad", work), work)
    return {
        "date": f"{datetime.now(UTC):%Y-%m}",
        **measure_gene_rates(work, make, repeat),
        **measure_obs_rates(work, make, repeat),
        **measure_edge_rates(work, make),
        **measure_serial_rates(work, many.seconds, many.files),
    }


def save_rates(rates: Mapping[str, Any], path: Path = FILE) -> None:
    """Save the rates beside this module."""
    path.write_text(json.dumps(rates, indent=2) + "\n", encoding="utf-8")


def load_rates(path: Path = FILE) -> dict[str, Any]:
    """Load the saved rates."""
    rates: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return rates
