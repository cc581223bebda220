"""A zarr store of format 2 that is nowhere on a disk: any AnnData as the ready file of its export.

The documents are those that the ready writer would write. The chunks of all but X are made by the
writer's own units, each once, in a work folder that is removed with the server. The chunks of X are
made in memory, from the genes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.compute.machine import cores
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.on_demand_ready import OnDemandChunks
from cellucid_dask.exporter.stages.ready.units import Unit
from cellucid_dask.ready.encode import encode_chunk
from cellucid_dask.ready.facts import GRAPH
from cellucid_dask.ready.layout import MatrixLayout, ReadyLayout
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.ready.zarr_documents import zarr_documents
from cellucid_dask.ready.zarr_keys import parse_chunk_name
from cellucid_dask.server.datasets.temporary_folder import naming_the_disk
from cellucid_dask.server.http.cache import ContentCache, OncePerKey
from cellucid_dask.server.http.content import BINARY, IN_MEMORY, Content, ReplacedError
from cellucid_dask.server.ready.memory_budget import MemoryBudget

ROOT: Final = ".zmetadata"  # the document that a client opens the store by
DOCUMENTS: Final = frozenset({".zarray", ".zattrs", ".zgroup", ROOT})
_MEMBERS: Final = ("", "/data", "/indices", "/indptr")
_X: Final = frozenset(f"X{member}" for member in _MEMBERS)
_GRAPH: Final = frozenset(f"obsp/{GRAPH}{member}" for member in _MEMBERS)


class VirtualExpression(Protocol):
    """Makes the chunks of X; shared by threads."""

    def matrix_layout(self) -> MatrixLayout:
        """How X is stored; waits until the values of all genes are counted.

        Raises
        ------
        InputError
            When X cannot be stored in a ready file.
        """

    def pointers(self) -> NDArray[np.int64] | None:
        """(n_genes + 1,) where the entries of each gene begin; None of a dense matrix."""

    def chunk(self, node: ArrayNode, number: int) -> bytes:
        """Encode a chunk of ``X/data``, ``X/indices``, or of a dense ``X``."""

    def start(self) -> None:
        """Start to count the values of the genes."""

    def stop(self) -> None:
        """Stop what runs."""

    def progress(self) -> dict[str, Any]:
        """Progress of the counts and of the index, as plain data."""


@dataclass(frozen=True, slots=True)
class _Listing:
    """Arrays and documents of a store, by their path and their key."""

    arrays: Mapping[str, ArrayNode]
    documents: Mapping[str, bytes]

    @classmethod
    def of(cls, layout: ReadyLayout) -> _Listing:
        return cls(layout.arrays(), zarr_documents(layout.nodes(), 2))


class VirtualStore:
    """Keys of the virtual store.

    Parameters
    ----------
    catalog
        What the data are, without problems.
    expression
        Makes X; None without genes.
    folder
        An empty folder, which is removed with the store.
    cache
        Of the chunks of X.
    memory
        Bytes of memory that all units may use together that run at a time.
    tag
        Tells these data and options from any other.
    is_unchanged
        Whether the data are what they were when they were opened.
    """

    kind: Final = "zarr"
    layout: Final = "folder"

    def __init__(
        self,
        catalog: ReadyCatalog,
        expression: VirtualExpression | None,
        folder: tempfile.TemporaryDirectory[str],
        cache: ContentCache,
        *,
        memory: int,
        tag: str,
        is_unchanged: Callable[[], bool] = lambda: True,
    ) -> None:
        self.catalog, self._expression = catalog, expression
        self._cache, self._once, self._is_unchanged = cache, OncePerKey(), is_unchanged
        self._tag, self._folder, self._closed = tag, folder, False
        self._budget = MemoryBudget(memory, max(2, cores()))
        with naming_the_disk(folder.name):
            self._chunks = OnDemandChunks(catalog, Path(folder.name) / "ready")
        self._plain = _Listing.of(catalog.layout(None, None))
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="cellucid-ready")

    @property
    def id(self) -> str:
        """Id in the record."""
        return str(self.catalog.record["id"])

    @property
    def name(self) -> str:
        """Name in the record."""
        return str(self.catalog.record["name"])

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_genes)."""
        return self.catalog.n_cells, len(self.catalog.gene_names)

    def describe(self) -> list[str]:
        """Lines that describe it, but for its path."""
        n_cells, n_genes = self.shape
        notes = [f"  {line}" for line in self.catalog.notes]
        return [f"a zarr store made on demand, {n_cells:,} cells, {n_genes:,} genes", *notes]

    def warnings(self) -> list[str]:
        """Warnings about the data."""
        return self.catalog.warnings

    # ------------------------------------------------------------------------------------ content

    def find(self, key: str) -> Content | None:
        """Content of a key of the store; None if there is none.

        Raises
        ------
        CellucidDaskError
            When it cannot be made.
        ReplacedError
            When the data changed.
        """
        path, _, name = key.rpartition("/")
        with naming_the_disk(self._folder.name):
            if name in DOCUMENTS:
                return self._find_document(key, path)
            node = self._listing_of(path).arrays.get(path)
            number = None if node is None else parse_chunk_name(node, name)
            if node is None or number is None:
                return None
            return self._find_chunk(key, node, number)

    def _find_document(self, key: str, path: str) -> Content | None:
        listing = self._complete() if key == ROOT else self._listing_of(path)
        document = listing.documents.get(key)
        if document is None:
            return None
        return Content(document, len(document), self._tag, BINARY)

    def _find_chunk(self, key: str, node: ArrayNode, number: int) -> Content:
        if node.path in _X:
            return self._cache.get(
                (self._tag, "ready", key), lambda: self._make_expression(key, node, number)
            )
        self._run(self._chunks.find_unit(node.path, number))
        file = self._chunks.path(node, number)
        size = file.stat().st_size
        body = file.read_bytes() if size <= IN_MEMORY else file
        return Content(body, size, self._tag, BINARY)

    def _make_expression(self, key: str, node: ArrayNode, number: int) -> Content:
        assert self._expression is not None
        pointers = self._expression.pointers() if node.path == "X/indptr" else None
        if pointers is None:
            body = self._expression.chunk(node, number)
        else:
            body = encode_chunk(node, pointers[node.region(number)], "zarr2")
        if not self._is_unchanged():
            raise ReplacedError(key)
        return Content(body, len(body), self._tag, BINARY)

    # ----------------------------------------------------------------------------------- listings

    def _listing_of(self, path: str) -> _Listing:
        """The listing that has the group or array at `path`, if any has; waits for no other."""
        if path in _X and self._expression is not None:
            return self._list("X", lambda: self._find_layout(x=True))
        if path in _GRAPH and self.catalog.graph is not None:
            return self._list("graph", lambda: self._find_layout(graph=True))
        return self._plain

    def _complete(self) -> _Listing:
        return self._list("all", lambda: self._find_layout(x=True, graph=True))

    def _list(self, what: str, find_layout: Callable[[], ReadyLayout]) -> _Listing:
        listing: _Listing = self._once(("listing", what), lambda: _Listing.of(find_layout()))
        return listing

    def _find_layout(self, *, x: bool = False, graph: bool = False) -> ReadyLayout:
        expression = self._expression if x else None
        matrix = None if expression is None else expression.matrix_layout()
        layout = self.catalog.layout(matrix, self._graph_size() if graph else None)
        if not self._is_unchanged():
            raise ReplacedError(ROOT)
        return layout

    def _graph_size(self) -> int | None:
        """Weights of the graph; of one that is not symmetric, they show only when it is made."""
        size = self._chunks.graph_size
        return int(self._run(size)["nnz"]) if isinstance(size, Unit) else size

    # -------------------------------------------------------------------------------------- units

    def _run(self, unit: Unit) -> Mapping[str, Any]:
        """Run a unit once; as many at a time as there are cores and memory for."""

        def run_alone() -> Mapping[str, Any]:
            with self._budget.take(self._chunks.memory_of(unit)):
                try:
                    facts = self._chunks.run(unit)
                finally:
                    if self._closed:  # the unit may have made folders again
                        self._folder.cleanup()
            if not self._is_unchanged():
                raise ReplacedError(unit.key)
            return facts

        facts: Mapping[str, Any] = self._once(("unit", unit.key), run_alone)
        return facts

    # ----------------------------------------------------------------------------------- lifetime

    def progress(self) -> dict[str, Any]:
        """State of the index of the genes, as plain data."""
        expression = self._expression
        return {"state": "not needed"} if expression is None else expression.progress()

    def start(self) -> None:
        """Start to count the values of the genes, and make what opening the store needs."""
        if self._expression is not None:
            self._expression.start()
        self._ahead.submit(self._complete)

    def close(self) -> None:
        """Stop what runs, and remove the work folder."""
        self._closed = True
        self._ahead.shutdown(wait=False, cancel_futures=True)
        if self._expression is not None:
            self._expression.stop()
        self._folder.cleanup()
