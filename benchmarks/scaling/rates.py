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
from cellucid_dask.exporter.receipts import GENE_RECEIPT, Spill
from cellucid_dask.exporter.recovery.journal import Journal
from cellucid_dask.exporter.stages.edges import write_edges
from cellucid_dask.exporter.stages.genes.driver import spilled_bytes
from cellucid_dask.files import PARTS
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


# Many values; few values for each gene; many files; many pieces in many chunks.
SHAPES = (
    Shape(_genes(300_000, 7_000, 0.07)),
    Shape(_genes(1_000_000, 4_000, 0.01)),
    Shape(_genes(20_000, 30_000, 0.02)),
    Shape(_genes(300_000, 7_000, 0.07), ("--memory", "530MB")),
    Shape(_genes(100_000, 20_000, 0.03), ("--memory", "500MB")),
)
OBS = AtlasSpec(2_000_000, 0, categoricals=(100,) * 10, continuous=5, latent=50, dimensions=(2,))


@dataclass(frozen=True, slots=True)
class ShapeCounts:
    """Counts of what one run did, and its CPU seconds."""

    nnz: int
    values: int
    pieces: int
    files: int
    chunks: int
    transpose: float
    genes: float
    spilled: int
    written: int


def measure_shape(shape: Shape, data: Path, work: Path, repeat: int) -> ShapeCounts:
    """Export a shape with one worker; return medians of the CPU seconds of the gene stages."""
    source = open_source(data)
    nnz = source.matrices["X"].nnz
    runs = [_run_once(data, work, *shape.options) for _ in range(repeat)]
    chunks = int(runs[0].plan["row chunks"].replace(",", ""))
    cells, genes = shape.spec.cells, shape.spec.genes
    rates = ShapeCounts(
        nnz,
        cells * genes,
        chunks * genes,
        genes,
        chunks,
        statistics.median(run.cpu_seconds["transpose"] for run in runs),
        statistics.median(run.cpu_seconds["genes"] for run in runs),
        6 * nnz + 8 * chunks * (genes + 1),
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
    first, error1 = fit_rates(
        [(c.nnz, c.pieces, 1) for c in counted], [c.transpose for c in counted]
    )
    second, error2 = fit_rates(
        [(c.nnz, c.values, c.pieces, c.files) for c in counted], [c.genes for c in counted]
    )
    of_values = counted[0].written / counted[0].nnz
    return {
        "pass1_per_nnz": first[0],
        "pass1_per_piece": first[1],
        "pass1_start": first[2],  # what a worker imports for its first chunk
        "pass1_error": error1,
        "pass2_per_nnz": second[0],
        "pass2_per_value": second[1],
        "pass2_per_piece": second[2],
        "pass2_per_file": second[3],
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
        began = time.perf_counter()
        write_edges(str(export_folder), name, graph, 6, 10**9)
        return {"edges_per_entry": (time.perf_counter() - began) / graph.nnz}


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
        "pointers_per_gene": time_pointers(work),
    }


def measure_plan_rate(path: Path, cells: int) -> dict[str, float]:
    """Measure the seconds of the main process for each cell until the plan is made."""
    began = time.perf_counter()
    options, source = ExportOptions(), open_source(path)
    make_plan(survey(source, options), options, 6 << 30, 64, native=False)
    return {"plan_per_cell": (time.perf_counter() - began) / cells}


def time_journal(work: Path, n_blocks: int = 2_000, genes_each: int = 9) -> float:
    """Measure the seconds of one gene in the journal."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        journal = Journal(Path(name, "journal"))
        receipts = np.zeros(genes_each, GENE_RECEIPT)
        receipts["size"], receipts["crc32"], receipts["hi"] = 10**6, 10**9, 9.5
        began = time.perf_counter()
        for i in range(n_blocks):
            receipts["gene"] = np.arange(i * genes_each, (i + 1) * genes_each)
            journal.genes(receipts)
        return (time.perf_counter() - began) / (n_blocks * genes_each)


def time_pointers(work: Path, n_files: int = 128, n_genes: int = 60_000) -> float:
    """Measure the seconds of one pointer of one spill file."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        spills = []
        for i in range(n_files):
            path = Path(name, f"rows-{i}.spill")
            path.write_bytes(np.arange(n_genes + 1, dtype="<u8").tobytes())
            size = path.stat().st_size
            spills.append(Spill(str(path), i, 1, n_genes, n_genes, "uint8", size, 0))
        began = time.perf_counter()
        spilled_bytes(spills, n_genes)
        return (time.perf_counter() - began) / (n_files * n_genes)


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
