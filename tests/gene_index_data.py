"""Matrices stored by cell, and what a gene index of them must return."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
from atlas import tree
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.encode import encode_gene
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.source.arrays.matrix import Matrix, open_matrix, wrap_matrix
from cellucid_dask.source.storage.store import locate_store

MiB = 1 << 20
DTYPES = ["f4", "f8", "f2", ">f4", "i1", "u1", "u2", "i4", "i8", "u8", "?"]


@dataclass
class Entries:
    """A CSR matrix as a file stores it, with anything that a file may contain."""

    data: NDArray[Any]
    indices: NDArray[Any]
    indptr: NDArray[Any]
    n_genes: int
    _genes: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        return self.indptr.size - 1, self.n_genes

    def read_gene(self, column: int) -> NDArray[np.float32]:
        """The gene, entry by entry in the order of the file and in the type on disk."""
        if column not in self._genes:
            self._genes[column] = self._read_gene(column)
        return self._genes[column]

    def _read_gene(self, column: int) -> NDArray[np.float32]:
        kind = np.float32 if self.data.dtype == np.float16 else self.data.dtype
        cells = np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))
        out = np.zeros(self.shape[0], kind)
        with np.errstate(all="ignore"):
            at = self.indices == column
            np.add.at(out, cells[at], self.data[at].astype(kind))
            return out.astype(np.float32)

    def matrix(self) -> Matrix:
        """The matrix in memory, as it is."""
        parts = (self.data, self.indices, self.indptr)
        return wrap_matrix(sparse.csr_array(parts, shape=self.shape), "X")


def make_messy_entries(
    dtype: str = "f4", n_cells: int = 300, n_genes: int = 40, seed: int = 0
) -> Entries:
    """Duplicates, unsorted indices, explicit zeros, -0.0, NaN, Inf; an empty and a full gene."""
    rng = np.random.default_rng(seed)
    per_cell = []
    for _ in range(n_cells):
        genes = rng.integers(0, n_genes, rng.integers(0, n_genes))  # some of them twice
        genes = genes[genes != 3 % n_genes]
        per_cell.append(np.append(genes, 5 % n_genes))
    indices = np.concatenate(per_cell)
    indptr = np.concatenate([[0], np.cumsum([genes.size for genes in per_cell])])
    kind = np.dtype(dtype)
    if kind.kind == "b":
        data = rng.random(indices.size) < 0.7
    elif kind.kind in "iu":
        top = min(np.iinfo(kind).max, 2**60)
        data = rng.integers(0 if kind.kind == "u" else -5, 9, indices.size).astype(kind)
        data[rng.random(indices.size) < 0.01] = top
    else:
        data = rng.lognormal(0, 1, indices.size).astype(kind)
        for value in (0.0, -0.0, np.nan, np.inf, -np.inf, -3.5, np.finfo(kind).max):
            data[rng.random(indices.size) < 0.01] = value
        data[indices == 7 % n_genes] = -0.0
    return Entries(data, indices.astype(np.int32), indptr.astype(np.int64), n_genes)


def make_large_entries(n_cells: int = 300_000, n_genes: int = 30, seed: int = 0) -> Entries:
    """Several row chunks, since a chunk has 65,536 cells at most."""
    rng = np.random.default_rng(seed)
    part = sparse.random_array((n_cells, n_genes), density=0.15, format="csr", rng=rng, dtype="f4")
    return Entries(part.data, part.indices, part.indptr, n_genes)


def save_h5(entries: Entries, path: Path, **options: Any) -> Path:
    """Write `entries` as X of an HDF5 file."""
    with h5py.File(path, "w") as file:
        fill_csr_group(file.create_group("X"), entries, **options)
    return path


def fill_csr_group(group: Any, entries: Entries, **options: Any) -> None:
    facts = {"encoding-type": "csr_matrix", "encoding-version": "0.1.0"}
    group.attrs.update({**facts, "shape": [int(n) for n in entries.shape]})
    create = group.create_dataset if isinstance(group, h5py.Group) else group.create_array
    for name in ("data", "indices", "indptr"):
        values = getattr(entries, name)
        create(name, data=values, **(options if values.size else {}))


def open_x(path: Path) -> Matrix:
    """X of a file."""
    store = locate_store(path)
    with store.open() as root:
        return open_matrix(store, "X", root["X"])


def assert_genes(found: GeneIndex, entries: Entries, columns: Any = None) -> None:
    """Check that every gene has the bytes that `entries` give."""
    n_cells, n_genes = entries.shape
    for column in range(n_genes) if columns is None else columns:
        plain = entries.read_gene(column)
        pieces = found.pieces(column)
        raw = encode_gene(pieces, n_cells, None, 0)
        assert raw.payload == plain.tobytes(), column
        coded = encode_gene(pieces, n_cells, 8, 0)
        expected = encode_gene([(0, slice(None), plain)], n_cells, 8, 0)
        assert coded == expected, column
        cells = [np.arange(n_cells)[first:][where] for first, where, _ in pieces]
        assert np.unique(np.concatenate(cells)).size == sum(map(len, cells)), "a cell stands twice"


def wait_for_end(found: GeneIndex) -> str:
    """Wait for the end of a build; return its state."""
    while found.progress()["state"] in ("waiting", "building"):
        time.sleep(0.002)
    return str(found.progress()["state"])


def build_complete_index(
    matrix: Matrix, folder: Path, room: int = 64 * MiB, threads: int = 2
) -> GeneIndex:
    """Index that is complete."""
    found = GeneIndex(matrix, folder, memory_bytes=room, threads=threads)
    found.start()
    assert wait_for_end(found) == "ready", found.error
    return found


def find_leftovers(folder: Path) -> list[str]:
    """Files that are not part of a complete index."""
    return [name for name in tree(folder) if "spill" in name or ".unfinished" in name]


def list_blocks(folder: Path) -> list[Path]:
    """Folders of the finished blocks."""
    return sorted((folder / "index.zarr" / "blocks").glob("[0-9]*"))


def make_dask_matrix(kind: str) -> tuple[Matrix, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(500, 30)).astype("f4")
    if kind == "whole":
        dense = rng.integers(0, 9, dense.shape).astype("f4")
    dense[rng.random(dense.shape) < 0.4] = 0
    dense[250:][rng.random((250, 30)) < 0.9] = 0  # dense or not, as the rows are cut
    dense[:, 4] = 0
    if kind != "whole":
        dense[7, :], dense[9, 9] = np.nan, np.inf
    if kind != "sparse":
        dense[rng.random(dense.shape) < 0.1] = -0.0
    lazy = da.from_array(dense, chunks=(170, 11))
    if kind == "sparse":
        lazy = lazy.rechunk((170, 30)).map_blocks(sparse.csr_matrix, dtype="f4")
    return wrap_matrix(lazy, "X"), dense


def damage_data_chunk(path: Path) -> None:
    with h5py.File(path) as file:
        stored = file["X/data"].id.get_chunk_info(2)
    with path.open("r+b") as raw:
        raw.seek(stored.byte_offset + 8)
        raw.write(b"\xff" * (stored.size - 16))
