"""Predict the time of an export to a ready file: counts of its plan times measured rates.

As `benchmarks.scaling.model`, of which it takes the machine, the waves of tasks and the rates of
the scheduler. What the main process or one writer does alone is added as it is: no worker helps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.scaling.hollow_atlas import VALUES
from benchmarks.scaling.model import READ_BYTES, Stage, share_of_busiest_worker
from benchmarks.scaling.ready_counts import ReadyCounts
from benchmarks.scaling.ready_rates import ZARR3

STREAM = "one stream"  # the bandwidth of one process
SERIAL = "main process"
PACKED_BYTES = 92  # that the main process holds of a chunk in a pack: its receipt, and two entries
GRAPH_BYTES = 8  # of an entry that is read: float32 and int32


@dataclass(frozen=True, slots=True)
class ReadyModel:
    """The prediction for one export.

    Parameters
    ----------
    cpu_seconds
        Of all processes together, by stage.
    x_bytes, spilled
        Bytes of X in the output, and of the first pass.
    main_bytes
        Memory of the main process for the lists of files and chunks at the end.
    """

    counts: ReadyCounts
    cpu_seconds: Mapping[str, float]
    stages: Mapping[str, Stage]
    x_bytes: int
    spilled: int
    main_bytes: int

    @property
    def total(self) -> float:
        """Seconds of all stages, which come one after the other."""
        return sum(stage.seconds for stage in self.stages.values())


def sum_cpu_seconds(c: ReadyCounts, rates: Mapping[str, Any]) -> dict[str, float]:
    """CPU seconds of each stage, whoever spends them."""
    spec, ready = c.spec, rates["ready"]
    nnz, cells = spec.nnz, spec.cells
    columns, edges = spec.categorical + spec.continuous, cells * spec.neighbors
    pieces = cells * c.plan.n_strips
    x_bytes = nnz * ready["x_bytes_per_nnz"]
    kind = "packs" if not c.is_store else "shards" if c.shards else "files"
    coding = ZARR3 if c.shards else ""
    starts = min(c.workers, c.tasks["tables"]) * ready["start_per_worker"]
    found = {
        "check": cells * ready["check_per_cell"] + edges * ready["check_per_entry"],
        "tables": cells * (ready["names_per_cell"] + columns * ready["columns_per_cell"]) + starts,
        "arrays of cells": cells * (spec.latent + 2) * ready[f"obsm_per_value{coding}"],
        "graph": edges * ready[f"graph_per_entry{coding}"],
        "outlier quantiles": cells * spec.categorical * ready[f"outliers_per_cell{coding}"],
        "transpose": nnz * ready["pass1_per_nnz"] + pieces * rates["pass1_per_piece"],
        "matrix": nnz * ready[f"matrix_{kind}_per_nnz"],
        "matrix edges": c.plan.n_strips * ready["edges_per_strip"],
    }
    if c.shards:
        found["shards"] = x_bytes * ready["shards_per_byte"]
    of_files = c.files * ready["end_per_file"] if c.is_store else 0.0
    found["assemble"] = c.chunks * ready["end_per_chunk"] + of_files
    if not c.is_store:
        writer = "h5ad" if c.format == "h5ad" else "zip"
        each = ready[f"{writer}_per_byte"] + ready["crc32_per_byte"]
        found["assemble"] += x_bytes * each + c.chunks * ready[f"{writer}_per_chunk"]
    return found


def predict_ready(c: ReadyCounts, rates: Mapping[str, Any], stream: int) -> ReadyModel:
    """Predict an export from its plan and the rates of one core.

    Parameters
    ----------
    stream
        Bytes a second that one process reads or writes.
    """
    spec, machine, ready = c.spec, c.machine, rates["ready"]
    spent = sum_cpu_seconds(c, rates)
    x_bytes = int(spec.nnz * ready["x_bytes_per_nnz"])
    spilled = 6 * spec.nnz + 2 * spec.cells * c.plan.n_strips
    edges = spec.cells * spec.neighbors
    moved = {
        "arrays of cells": 8 * spec.cells * (spec.latent + 2),
        "graph": 2 * GRAPH_BYTES * edges,
        "outlier quantiles": 4 * spec.cells * spec.latent * c.tasks["outlier quantiles"],
        "transpose": READ_BYTES * spec.nnz + spilled,
        "matrix": spilled + x_bytes,
        "shards": 2 * x_bytes,
    }
    in_files = min(c.chunk_files, c.x_chunks)
    opened = {
        "arrays of cells": c.chunk_files - in_files,
        "transpose": 2 * spec.nnz // VALUES + 4 * c.row_chunks,
        "matrix": c.opens + in_files,
        "shards": c.shards,
    }
    stages: dict[str, Stage] = {"check": _check_stage(c, spent["check"], edges, stream)}
    for name, tasks in c.tasks.items():
        bounds = {
            "workers": spent[name] * share_of_busiest_worker(tasks, c.workers),
            "bandwidth": moved.get(name, 0) / machine.bandwidth,
            "opens": opened.get(name, 0) / machine.opens,
            "scheduler": tasks * rates["scheduler"]["seconds_each"],
        }
        if name == "matrix":
            bounds[SERIAL] = c.x_chunks * ready["journal_per_chunk"]
        stages[name] = Stage(bounds, tasks)
    # An h5ad or a zip is read from packs, written, and read once more for its checksum.
    of_writer = 0 if c.is_store else 3 * x_bytes / stream
    stages["assemble"] = Stage({SERIAL: spent["assemble"], STREAM: of_writer})
    stages["publish"] = Stage({SERIAL: 0.0, "opens": c.files / machine.opens})
    packed = c.chunks - c.chunk_files
    main_bytes = int(c.files * ready["end_bytes_per_file"] + packed * PACKED_BYTES)
    return ReadyModel(c, spent, stages, x_bytes, spilled, main_bytes)


def _check_stage(c: ReadyCounts, seconds: float, edges: int, stream: int) -> Stage:
    """The checks before the plan: one process reads all names and the graph.

    It does so in some threads, which share the interpreter: none is assumed to be faster than one.
    """
    read = GRAPH_BYTES * edges + 8 * c.spec.cells
    return Stage({SERIAL: seconds, STREAM: read / stream})
