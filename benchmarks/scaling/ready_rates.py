"""Measure what one core does in a second for ready files."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.scaling.cluster import start_dask_workers
from benchmarks.scaling.rates import OBS, fit_rates, time_pieces
from benchmarks.scaling.ready_counts import FORMATS
from benchmarks.scaling.ready_writers import measure_end_rates
from benchmarks.scaling.runs import Run, run_export
from benchmarks.scaling.stores import count_entries
from benchmarks.shared.machine import describe_machine
from benchmarks.shared.processes import read_into_cache
from cellucid_dask.exporter.checks.ready.survey import survey_ready
from cellucid_dask.exporter.output_names import name_outputs
from cellucid_dask.exporter.recovery.outputs import checksums_path, staging_folder
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.open import open_source
from cellucid_dask.synthetic import AtlasSpec

# Many values; few values for each gene, and many rows in strips.
SHAPES = (
    AtlasSpec(200_000, 7_000, 0.07, categoricals=(20,), continuous=0, neighbors=0),
    AtlasSpec(600_000, 4_000, 0.015, categoricals=(20,), continuous=0, neighbors=0),
)
CELLS = replace(OBS, cells=1_000_000)
ZARR3 = "_zarr3"  # ending of the names of rates with the codecs of zarr 3
CELL_STAGES = ("arrays of cells", "graph", "outlier quantiles")


@dataclass(frozen=True, slots=True)
class ReadyRun:
    """An export to one ready file with some workers.

    Parameters
    ----------
    x_bytes
        Bytes of X in a zarr folder; 0 for other files.
    """

    run: Run
    x_bytes: int

    def cpu(self, stage: str) -> float:
        """CPU seconds of the workers in a stage."""
        return self.run.cpu_seconds.get(stage, 0.0)

    @property
    def n_strips(self) -> int:
        """Strips of genes."""
        return int(self.run.plan["gene blocks"].split()[0].replace(",", ""))


def export_ready(
    data: Path, work: Path, format_name: str, *options: str, workers: int = 1
) -> ReadyRun:
    """Export to one ready file, which is removed again."""
    chosen = FORMATS[format_name]
    words = ["--format", chosen.format]
    words += ["--zarr-format", "3", "--shards"] if chosen.shards else []
    out = work / "scaling-ready"
    made = name_outputs(out, chosen.formats, "")[chosen.format]
    read_into_cache(data)
    _remove(made)
    try:
        run = run_export(data, workers, start_dask_workers, out, *words, *options)
        x_bytes = 0
        if made.is_dir():
            paths = [
                path for name in ("data", "indices") for path in (made / "X" / name).rglob("*")
            ]
            x_bytes = sum(path.stat().st_size for path in paths if path.is_file())
        return ReadyRun(run, x_bytes)
    finally:
        _remove(made)


def _remove(made: Path) -> None:
    for path in (made, staging_folder(made)):
        shutil.rmtree(path, ignore_errors=True)
    for path in (made, checksums_path("zarr", made)):
        if path.is_file():
            path.unlink()


def measure_ready_rates(work: Path, make: Callable[..., Path], repeat: int) -> dict[str, Any]:
    """Measure all rates of ready files."""
    load = os.getloadavg()[1]
    tables = list[tuple[int, int, float]]()
    found = {
        **_measure_matrix_rates(work, make, repeat, tables),
        **_measure_cell_rates(work, make, repeat, tables),
        **fit_table_rates(tables),
        **measure_end_rates(work),
    }
    return {
        "machine": describe_machine(),
        "date": f"{datetime.now(UTC):%Y-%m}",
        "load": [round(load, 1), round(os.getloadavg()[1], 1)],
        **found,
    }


def fit_table_rates(tables: Sequence[tuple[int, int, float]]) -> dict[str, float]:
    """Fit the seconds of one name of a cell, and of one value of a column.

    Parameters
    ----------
    tables
        Cells, columns, and the CPU seconds of their tables; what the worker imports for its first
        task is part of them.
    """
    rows = [(cells, cells * columns, 1) for cells, columns, _ in tables]
    (names, columns, start), _ = fit_rates(rows, [seconds for *_, seconds in tables])
    return {"names_per_cell": names, "columns_per_cell": columns, "start_per_worker": start}


def _measure_matrix_rates(
    work: Path,
    make: Callable[..., Path],
    repeat: int,
    tables: list[tuple[int, int, float]],
) -> dict[str, float]:
    # Zarr 3 has other codecs than zarr 2 and HDF5, so each coding has a rate of its own.
    made = ("zarr", "zarr:shards", "h5ad")
    piece, rows, first = time_pieces(), list[tuple[int, int]](), list[float]()
    matrix: dict[str, list[float]] = {name: [] for name in made}
    of_shape: list[dict[str, float]] = []
    for spec in SHAPES:
        data = make(spec, "h5ad", work)
        nnz = count_entries(data, "X")
        runs = {n: [export_ready(data, work, n) for _ in range(repeat)] for n in made}
        every = [run for group in runs.values() for run in group]
        n_strips, x_bytes = every[0].n_strips, runs["zarr:shards"][0].x_bytes
        rows.append((nnz, 1))
        first.append(_median(every, "transpose") - piece * spec.cells * n_strips)
        for name, group in runs.items():
            matrix[name].append(_median(group, "matrix"))
        of_shape.append(
            {
                "edges_per_strip": _median(every, "matrix edges") / n_strips,
                "shards_per_byte": _median(runs["zarr:shards"], "shards") / x_bytes,
                "x_bytes_per_nnz": runs["zarr"][0].x_bytes / nnz,
            }
        )
        tables.append((spec.cells, len(spec.categoricals), _median(every, "tables")))
        seconds = {name: round(found[-1], 2) for name, found in matrix.items()}
        click.echo(
            f"{spec.cells:,} x {spec.genes:,}: {nnz:,} values, {n_strips} strips, "
            f"transpose {first[-1]:.2f} s, matrix {seconds} s, {of_shape[-1]}",
            err=True,
        )
    one, first_error = fit_rates(rows, first)
    fits = {name: fit_rates([row[:1] for row in rows], found) for name, found in matrix.items()}
    return {
        "pass1_per_nnz": one[0],
        "pass1_error": first_error,
        "matrix_files_per_nnz": fits["zarr"][0][0],
        "matrix_shards_per_nnz": fits["zarr:shards"][0][0],
        "matrix_packs_per_nnz": fits["h5ad"][0][0],
        "matrix_error": max(error for _, error in fits.values()),
        **of_shape[0],  # the shape with more values
    }


def _median(runs: list[ReadyRun], stage: str) -> float:
    return statistics.median(run.cpu(stage) for run in runs)


def _measure_cell_rates(
    work: Path,
    make: Callable[..., Path],
    repeat: int,
    tables: list[tuple[int, int, float]],
) -> dict[str, float]:
    data, found = make(CELLS, "h5ad", work), dict[str, float]()
    columns = len(CELLS.categoricals) + CELLS.continuous
    edges, width = count_entries(data, "obsp/connectivities"), CELLS.latent + 2
    for format_name, suffix in (("zarr", ""), ("zarr:shards", ZARR3)):
        runs = [export_ready(data, work, format_name, "--no-genes") for _ in range(repeat)]
        spent: Mapping[str, float] = {name: _median(runs, name) for name in CELL_STAGES}
        found |= {
            f"obsm_per_value{suffix}": spent["arrays of cells"] / (CELLS.cells * width),
            f"graph_per_entry{suffix}": spent["graph"] / edges,
            f"outliers_per_cell{suffix}": spent["outlier quantiles"]
            / (CELLS.cells * len(CELLS.categoricals)),
        }
        if not suffix:
            tables.append((CELLS.cells, columns, _median(runs, "tables")))
    bare = _time_check(data, graph=False)
    found["check_per_cell"] = bare / CELLS.cells
    found["check_per_entry"] = max(_time_check(data, graph=True) - bare, 0.0) / edges
    return found


def _time_check(data: Path, *, graph: bool) -> float:
    """CPU seconds of the checks before the plan, in all threads."""
    options = ExportOptions(format="zarr", expression=False, connectivity=graph)
    began = time.process_time()
    survey_ready(open_source(data), options)
    return time.process_time() - began
