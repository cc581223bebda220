"""Opening an AnnData as a virtual store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from cellucid_dask.errors import Problem
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.on_demand_ready import check_ready_on_demand
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.server.cache_folder import default_cache_dir
from cellucid_dask.server.datasets.gene_reader import gene_folder, open_gene_reader
from cellucid_dask.server.datasets.memory_shares import preparation_share
from cellucid_dask.server.datasets.temporary_folder import make_folder
from cellucid_dask.server.http.cache import ContentCache
from cellucid_dask.server.ready.expression import open_expression
from cellucid_dask.server.ready.sample_values import sample_values
from cellucid_dask.server.ready.virtual_store import VirtualExpression, VirtualStore
from cellucid_dask.source.model import Source


def open_virtual(
    source: Source,
    options: ExportOptions,
    serving: ServeOptions,
    cache: ContentCache,
    mark: str,
    is_unchanged: Callable[[], bool] = lambda: True,
    problems: Sequence[Problem] = (),
) -> VirtualStore:
    """Open the virtual store of a source.

    Parameters
    ----------
    cache
        Of all contents.
    mark
        Tells this data from any other, and from what it was before a change.
    is_unchanged
        Whether the data are what they were when they were opened.
    problems
        What is already known to be wrong.

    Raises
    ------
    InputError
        With everything for which an export of a ready file would refuse the data, but for values
        of X that are found when they are read.
    """
    memory = serving.cache_bytes()
    catalog = check_ready_on_demand(source, options, memory, problems)
    if catalog.genes is not None:
        sample_values(catalog.genes)
    folder = make_folder()
    salt = f"ready {mark} {options} {version('cellucid-dask')}"
    return VirtualStore(
        catalog,
        _open_expression(catalog, options, serving, Path(folder.name)),
        folder,
        cache,
        memory=memory,
        tag=sha256(salt.encode()).hexdigest()[:16],
        is_unchanged=is_unchanged,
    )


def _open_expression(
    catalog: ReadyCatalog, options: ExportOptions, serving: ServeOptions, work_folder: Path
) -> VirtualExpression | None:
    """X, with the reader of its genes; None without expression."""
    genes, source, room = catalog.genes, catalog.source, preparation_share(serving)
    if genes is None:
        return None
    places = {
        "cache_dir": Path(serving.cache_dir) if serving.cache_dir else default_cache_dir(),
        "work_folder": work_folder,
    }
    reader, folder = None, None
    if genes.ids:
        reader = open_gene_reader(
            source, genes.matrix, options, room, index=serving.index, **places
        )
        if serving.index:
            folder = gene_folder(source, genes.matrix, options, **places)
    return open_expression(source, genes, reader=reader, room=room, folder=folder)
