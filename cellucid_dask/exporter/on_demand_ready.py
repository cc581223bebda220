"""Chunks of a ready file made one unit at a time, as somebody asks for them: those of an export.

All but X: a server makes its chunks from the index of its genes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.filesize import decimal

from cellucid_dask.compute.machine import available_memory
from cellucid_dask.errors import Problem, raise_problems
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.checks.ready.survey import survey_ready
from cellucid_dask.exporter.planning.ready_memory import (
    graph_bytes,
    obsm_bytes,
    outlier_bytes,
    table_bytes,
)
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, Target
from cellucid_dask.exporter.stages.ready.driver import cell_units
from cellucid_dask.exporter.stages.ready.small_arrays import write_small_arrays
from cellucid_dask.exporter.stages.ready.units import Unit, do_unit
from cellucid_dask.files import PARTS
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.facts import GRAPH
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.ready.zarr_keys import chunk_key
from cellucid_dask.source.model import Source

SORTING_BYTES: Final = 64 << 20  # least memory for sorting a graph that is not symmetric
_NEEDS: Final = {  # by the stages of `cell_units`
    "tables": ("a column of obs of {} needs", table_bytes),
    "arrays of cells": ("an array of obsm of {} needs", obsm_bytes),
    "graph": (
        "the graph of {} needs",
        lambda catalog: graph_bytes(catalog) + _sorting_bytes(catalog),
    ),
    "outlier quantiles": ("outlier quantiles of {} need", outlier_bytes),
}


def check_ready_on_demand(
    source: Source, options: ExportOptions, memory: int, problems: Sequence[Problem] = ()
) -> ReadyCatalog:
    """Check everything that an export checks, and whether `memory` bytes are enough.

    Raises
    ------
    InputError
        With all problems, those that are known already included.
    """
    catalog = survey_ready(source, options)
    raise_problems([*problems, *catalog.problems])
    raise_problems(list(ready_memory_problems(catalog, memory)))
    return catalog


def ready_memory_problems(catalog: ReadyCatalog, memory: int) -> Iterator[Problem]:
    """Say what fits neither `memory` nor half of what is free."""
    for what, measure in _NEEDS.values():
        need = measure(catalog)
        have = memory if need <= memory else max(memory, available_memory() // 2)
        if need > have:
            yield Problem(
                f"{what.format(f'{catalog.n_cells:,} cells')} {decimal(need)} of memory, and "
                f"there are {decimal(have)}",
                fix="give more with --cache-size, or close other programs",
            )


class OnDemandChunks:
    """Makes chunks of a zarr store of format 2 in a folder; the caller runs each unit once.

    Parameters
    ----------
    catalog
        What there is, without problems.
    folder
        An empty folder.
    """

    def __init__(self, catalog: ReadyCatalog, folder: Path) -> None:
        self._store = folder / "store"
        parts, scratch = folder / PARTS, folder / "scratch"
        for made in (self._store, parts, scratch):
            made.mkdir(parents=True)
        target = Target("zarr", "zarr2", str(self._store))
        stores = ChunkStores((target,), str(parts), str(scratch))
        self._needs: dict[str, int] = {}
        self._units: dict[str, list[Unit]] = {}
        for stage, units in cell_units(catalog, stores, _sorting_bytes(catalog)).items():
            need = _NEEDS[stage][1](catalog)
            for unit in units:
                self._add(unit, need)
        small = (catalog.layout(None, None), None, stores)
        self._add(Unit("small arrays", write_small_arrays, small, ("uns",)), 0)
        self._graph = catalog.graph_facts

    def _add(self, unit: Unit, need: int) -> None:
        self._needs[unit.key] = need
        for path in unit.makes:
            self._units.setdefault(path, []).append(unit)

    def find_unit(self, array: str, chunk: int) -> Unit:
        """The unit that makes a chunk of the array at `array`, which is none of X."""
        path = array
        while path not in self._units:
            path = path.rpartition("/")[0]
        units = self._units[path]
        return next(unit for unit in units if unit.chunks is None or chunk in unit.chunks)

    def memory_of(self, unit: Unit) -> int:
        """Bytes of memory that a unit takes."""
        return self._needs[unit.key]

    def run(self, unit: Unit) -> Mapping[str, Any]:
        """Make all chunks of a unit; what else it found."""
        return do_unit(unit).facts

    def path(self, node: ArrayNode, chunk: int) -> Path:
        """Where a chunk is, once its unit was run."""
        return self._store / chunk_key(node, chunk, 2)

    @property
    def graph_size(self) -> int | Unit | None:
        """Weights of the graph; or the unit whose fact ``nnz`` it is; None without a graph."""
        if self._graph is None:
            return None
        if self._graph.symmetric:
            return self._graph.nnz
        return self.find_unit(f"obsp/{GRAPH}", 0)


def _sorting_bytes(catalog: ReadyCatalog) -> int:
    """Memory for sorting the weights of a graph that is not symmetric."""
    facts = catalog.graph_facts
    return 0 if facts is None or facts.symmetric else SORTING_BYTES
