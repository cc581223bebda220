"""Both passes of CSR in C as tasks: the same files whatever memory they have, few open files."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.compute.shared import share
from cellucid_dask.encode import encode_gene
from cellucid_dask.exporter.planning.strips import MAX_STRIPS, count_strips
from cellucid_dask.exporter.receipts import StripSpill, latest
from cellucid_dask.exporter.stages.genes.blocks import GeneSettings
from cellucid_dask.exporter.stages.genes.cut_rows import cut_chunk
from cellucid_dask.exporter.stages.genes.spill_file import forget_spill_files
from cellucid_dask.exporter.stages.genes.strip_genes import write_strip_genes
from cellucid_dask.exporter.stages.genes.strips import Strip
from cellucid_dask.files import PARTS
from cellucid_dask.native.arena import open_arena
from cellucid_dask.native.library import load
from cellucid_dask.native.strips import MAX_STRIP_GENES
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

pytestmark = pytest.mark.skipif(load() is None, reason="there is no native library here")

VALUES = [0.0, 1, 2, 255, 256, 0.5, -1, 1e-42, 3e38, np.nan, np.inf]
PLENTY = 1 << 30


@contextmanager
def export_folders() -> Iterator[tuple[str, str]]:
    """Folders of an export and of its spill."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / PARTS).mkdir()
        for folder in ("export/var", "spill"):
            (Path(name) / folder).mkdir(parents=True)
        yield f"{name}/export", f"{name}/spill"


def stored(matrix: sparse.csr_array) -> SparseMatrix:
    return SparseMatrix("csr", matrix.shape, matrix.data, matrix.indices, matrix.indptr, "X")


def cut(
    matrix: sparse.csr_array,
    columns: Sequence[int] | None,
    bounds: Sequence[int],
    chunks: Sequence[tuple[int, int]],
    folder: str,
    n_files: int = 1,
) -> list[StripSpill]:
    """Spill chunks, into `n_files` files in turn as that many workers would."""
    chosen = None if columns is None else share(folder, "columns", np.array(columns))
    strips, spills = share(folder, "strips", np.array(bounds)), []
    for number, (start, stop) in enumerate(chunks):
        if number % -(-len(chunks) // n_files) == 0:
            forget_spill_files(folder)
        spills.append(cut_chunk(stored(matrix), start, stop, chosen, strips, folder))
    return spills


def write(
    folder: str, scratch: str, spills: list[StripSpill], bounds: Any, n_cells: int, **how: Any
) -> tuple[dict[str, bytes], NDArray[Any]]:
    """Write the genes of all strips; their files by name, and the receipts."""
    common = GeneSettings(folder, f"{folder}/../{PARTS}", n_cells, how["bits"], how["level"], True)
    every = share(scratch, f"spills-{how['max_bytes']}", spills)
    blocks = []
    for strip, (first, last) in enumerate(pairwise(bounds)):
        wanted = np.arange(last - first)
        ids = [f"g{first + i}" for i in wanted]
        facts = (strip, last - first, wanted, first + wanted, ids, how["max_bytes"])
        blocks.append(write_strip_genes(common, every, *facts))
    files = {}
    for path in sorted(Path(folder, "var").iterdir()):
        files[path.name.split(".")[0]] = path.read_bytes()
        path.unlink()
    return files, latest(blocks)


@st.composite
def atlases(draw: st.DrawFn) -> tuple[sparse.csr_array, list[int] | None, list[int], Any, int]:
    """CSR, chosen columns, bounds of strips, chunks, and a number of spill files."""
    n_cells, n_genes = draw(st.integers(1, 40)), draw(st.integers(1, 24))
    density = draw(st.sampled_from([0.0, 0.1, 0.6, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    some = np.array(draw(st.sampled_from([VALUES, VALUES[:4]])), np.float32)
    dense = rng.choice(some, (n_cells, n_genes))
    there = rng.random((n_cells, n_genes)) < density
    rows, genes = np.nonzero(there)
    pointers = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    matrix = sparse.csr_array((dense[rows, genes], genes, pointers), shape=dense.shape)
    columns = draw(st.none() | st.sets(st.integers(0, n_genes - 1), min_size=1).map(sorted))
    n_kept = n_genes if columns is None else len(columns)
    inner = draw(st.lists(st.integers(0, n_kept), max_size=5))
    cuts = sorted({0, n_cells, *draw(st.lists(st.integers(0, n_cells), max_size=5))})
    return (
        matrix,
        columns,
        [0, *sorted(inner), n_kept],
        list(pairwise(cuts)),
        draw(st.integers(1, 3)),
    )


@settings(max_examples=40)
@given(atlases(), st.sampled_from([8, 16, None]), st.sampled_from([0, 6]))
def test_files_do_not_depend_on_memory(atlas: Any, bits: int | None, level: int) -> None:
    """A strip that is read once, in batches, or again for every gene; equal to genes by themselves.

    Strips may have no gene, genes no value, and the rows of a chunk none.
    """
    matrix, columns, bounds, chunks, n_files = atlas
    n_cells = matrix.shape[0]
    kept = matrix if columns is None else matrix[:, columns]
    by_gene = sparse.csc_array(kept)
    with export_folders() as (folder, scratch):
        spills = cut(matrix, columns, bounds, chunks, scratch, n_files)
        made = [
            write(folder, scratch, spills, bounds, n_cells, bits=bits, level=level, max_bytes=n)
            for n in (PLENTY, 2000, 1)
        ]
    for files, receipts in made:
        assert len(files) == receipts.size == kept.shape[1]
        for gene in range(kept.shape[1]):
            part = slice(by_gene.indptr[gene], by_gene.indptr[gene + 1])
            piece = (0, by_gene.indices[part], by_gene.data[part].copy())
            expected = encode_gene([piece], n_cells, bits, level, native=True)
            assert files[f"g{gene}"] == b"".join([bytes(expected.payload)])
            assert (receipts["lo"][gene], receipts["hi"][gene]) == (
                expected.span.lo,
                expected.span.hi,
            )


def test_one_spill_file_is_open_at_a_time() -> None:
    """Else the threads of a large machine would have threads x threads files open."""
    n_cells = 60
    matrix = sparse.csr_array(np.ones((n_cells, 3), np.float32))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with export_folders() as (_, scratch), open_arena() as arena:
        chunks = [(i, i + 1) for i in range(n_cells)]
        spills = cut(matrix, None, [0, 3], chunks, scratch, n_files=n_cells)
        assert len({spill.path for spill in spills}) == n_cells
        highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 4, hard))
        try:
            for max_bytes in (PLENTY, 100):
                strip = Strip(spills, 0, 3, arena, max_bytes)
                assert strip.statistics()["n_values"].tolist() == [n_cells] * 3
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_segments_that_do_not_fit_take_no_more_than_they_may() -> None:
    matrix = sparse.csr_array(np.ones((64, 100), np.float32))
    with export_folders() as (_, scratch), open_arena() as arena:
        spills = cut(matrix, None, [0, 100], [(i, i + 4) for i in range(0, 64, 4)], scratch)
        n_bytes = sum(spill.size for spill in spills)
        assert Strip(spills, 0, 100, arena, n_bytes).n_bytes == n_bytes
        assert Strip(spills, 0, 100, arena, n_bytes - 1).n_bytes <= n_bytes // 2
        assert Strip(spills, 0, 100, arena, 0).n_bytes == spills[0].size


def test_a_spill_file_that_changed_is_told() -> None:
    matrix = sparse.csr_array(np.ones((8, 5), np.float32))
    with export_folders() as (_, scratch), open_arena() as arena:
        (spill,) = cut(matrix, None, [0, 5], [(0, 8)], scratch)
        file = Path(spill.path)
        raw = file.read_bytes()
        file.write_bytes(b"\xff" * 100 + raw[100:])
        with pytest.raises(OSError, match="a spill file changed"):
            Strip([spill], 0, 5, arena, PLENTY).statistics()
        file.write_bytes(raw[:-1])
        with pytest.raises(OSError, match="is cut short"):
            Strip([spill], 0, 5, arena, PLENTY).statistics()


def test_a_matrix_without_cells_has_no_values() -> None:
    with open_arena() as arena:
        strip = Strip([], 0, 3, arena, PLENTY)
        assert strip.statistics()["n_values"].tolist() == [0, 0, 0]
        assert list(strip.segments()) == []


@pytest.mark.parametrize(
    ("n_values", "n_cells", "n_genes", "slots", "fits", "n_strips"),
    [
        (0, 1, 1, 2, 1, 1),
        (10_000, 100, 5_000, 2, PLENTY, 1),  # nothing to share out
        (140_000_000, 200_000, 10_000, 2, PLENTY, 43),  # 16 values of a row
        (140_000_000, 200_000, 10_000, 2, 1_000_000, 140),  # as memory asks for
        (10**9, 10**7, 30_000, 16, PLENTY, 32),  # two for each slot, with 3 values of a row
        (21 * 10**9, 10**7, 30_000, 256, PLENTY, 205),  # 400,000 values of each spill file
        (10**12, 10**8, 60_000, 1024, 100, MAX_STRIPS),
        (10**4, 10**3, 2 * MAX_STRIP_GENES + 1, 1, PLENTY, 3),
        (10**9, 10**3, 7, 64, PLENTY, 7),
    ],
)
def test_how_many_strips(
    n_values: int, n_cells: int, n_genes: int, slots: int, fits: int, n_strips: int
) -> None:
    assert count_strips(n_values, n_cells, n_genes, slots, fits) == n_strips
