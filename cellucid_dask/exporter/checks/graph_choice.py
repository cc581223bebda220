"""The choice of the neighbor graph."""

from __future__ import annotations

from typing import Any

from cellucid_dask.errors import CellucidDaskError, Problem, suggest
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.model import Source


def choose_graph(source: Source, options: ExportOptions, catalog: Any) -> tuple[str, Matrix | None]:
    """Key of the neighbor graph in obsp, and the graph; None without one that can be read."""
    key = options.graph or "connectivities"
    graph = source.matrices.get(f"obsp/{key}")
    if graph is None:
        catalog.notes.append(f"no graph  obsp has no {key!r}")
        if options.graph is not None:
            what, fix = f"there is no obsp key {key!r}", suggest(key, source.keys("obsp"))
            catalog.problems.append(Problem(what, "--graph", fix))
    elif isinstance(graph, CellucidDaskError):
        fix = "repair it, or use --no-graph"
        catalog.problems.extend(Problem(p.what, p.where, p.fix or fix) for p in graph.problems)
    elif graph.shape != (source.n_cells, source.n_cells):
        what = f"has shape {graph.shape}, but there are {source.n_cells} cells"
        catalog.problems.append(Problem(what, f"obsp/{key}"))
    else:
        catalog.notes.append(f"graph     obsp/{key}")
        return key, graph
    return "", None
