"""Files of the ready outputs of a run, estimated before a value is read."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.planning.disk_usage import FileKind
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.layout import MatrixLayout
from cellucid_dask.ready.nodes import ArrayNode, GroupNode
from cellucid_dask.ready.shards import is_sharded, shard_node
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

MANY_FILES: Final = 100_000
TEXT_BYTES: Final = 16  # of a string, deflated
VALUE_BYTES: Final = 3  # of a value of X, deflated, as such data was seen to need
INDEX_BYTES: Final = 2
ENTRY_BYTES: Final = 128  # of a chunk in a zip: its header, and its line in the directory
SORTED_BYTES: Final = 24  # of a weight of a graph that is made symmetric: both directions
BUCKETS: Final = 64  # files of them, about
RESERVED_BYTES: Final = 1 << 20  # of the metadata of an h5ad


@dataclass(frozen=True, slots=True)
class ReadyFiles:
    """Files of ready outputs.

    Parameters
    ----------
    output, scratch
        Files of the outputs, and packs of chunks that wait to be put together.
    n_store_files
        Files of the zarr folder; 0 when none is made.
    n_sharded_files
        Files that it would have with shards.
    """

    output: tuple[FileKind, ...] = ()
    scratch: tuple[FileKind, ...] = ()
    n_store_files: int = 0
    n_sharded_files: int = 0

    @classmethod
    def of(cls, ready: ReadyCatalog | None, options: ExportOptions, slots: int) -> ReadyFiles:
        """Estimate the files that a run of `slots` tasks at a time makes."""
        if ready is None:
            return cls()
        nodes = ready.layout(*_matrices(ready)).nodes()
        arrays = [node for node in nodes if isinstance(node, ArrayNode)]
        documents = len(arrays) * (2 if options.zarr_format != 3 else 1)
        documents += len([node for node in nodes if isinstance(node, GroupNode)]) * 2 + 1
        n_bytes = sum(map(_array_bytes, arrays))
        n_chunks = sum(node.n_chunks for node in arrays)
        in_shards = sum(_shards(node) for node in arrays)
        made = in_shards if options.shards else n_chunks
        output, scratch = [], []
        for name in options.formats:
            if name == "zarr":
                output += [FileKind(made, n_bytes), FileKind(documents, documents * 512)]
            elif name != "folder":
                entries = ENTRY_BYTES * (n_chunks + documents)
                output.append(FileKind(1, n_bytes + entries + RESERVED_BYTES))
        codings = {"h5ad" if name == "h5ad" else "zarr" for name in _packed(options)}
        scratch = [FileKind(slots, n_bytes) for _ in codings]
        if ready.graph_facts is not None and not ready.graph_facts.symmetric:
            scratch.append(FileKind(BUCKETS, SORTED_BYTES * ready.graph_facts.nnz))
        has_store = "zarr" in options.formats
        counts = (made + documents, in_shards + documents) if has_store else (0, 0)
        return cls(tuple(output), tuple(scratch), *counts)


def _packed(options: ExportOptions) -> list[str]:
    """Outputs whose chunks wait in packs."""
    ready = [name for name in options.formats if name != "folder"]
    return [name for name in ready if name != "zarr" or options.shards]


def _matrices(ready: ReadyCatalog) -> tuple[MatrixLayout | None, int | None]:
    """The matrix as far as it is known, and the stored values of the graph."""
    x, graph = None, None
    if ready.genes is not None:
        matrix, n_genes = ready.genes.matrix, len(ready.genes.ids)
        nnz = None
        if isinstance(matrix, SparseMatrix):
            nnz = int(matrix.nnz * n_genes / max(1, matrix.shape[1]))
        x = MatrixLayout((ready.n_cells, n_genes), "<f4", nnz)
    if ready.graph is not None:
        graph = ready.graph.nnz if isinstance(ready.graph, SparseMatrix) else 0
    return x, graph


def _array_bytes(node: ArrayNode) -> int:
    """Bytes of an array, deflated."""
    each = TEXT_BYTES if node.is_text else node.itemsize
    if node.path == "X/data":
        each = VALUE_BYTES
    elif node.path.endswith("/indices"):
        each = INDEX_BYTES
    return prod(node.shape) * each


def _shards(node: ArrayNode) -> int:
    """Files of an array in a store with shards."""
    return shard_node(node).n_chunks if is_sharded(node) else node.n_chunks
