"""Measure what one process does alone at the end: lists of files, one writer of an h5ad or zip."""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from zlib_ng import zlib_ng

from benchmarks.scaling.rates import fit_rates
from cellucid_dask import format as fmt
from cellucid_dask.exporter.ready_receipts import CHUNK_RECEIPT, ReadyWork, StoredChunks
from cellucid_dask.exporter.recovery.journal import Journal
from cellucid_dask.files import file_crc32, has_size
from cellucid_dask.ready.chunk_table import ChunkTable
from cellucid_dask.ready.h5ad_file import write_h5ad
from cellucid_dask.ready.layout import MatrixLayout, entry_nodes
from cellucid_dask.ready.nodes import ArrayNode, GroupNode, Node
from cellucid_dask.ready.zarr_keys import chunk_key
from cellucid_dask.ready.zip_file import write_zip

CHUNK = 65_536  # entries of a chunk of X
SIZES = (10_000, 100_000)  # bytes of the chunks for the fit


def measure_end_rates(work: Path) -> dict[str, float]:
    """Measure the rates of the end of an export."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        return {**time_receipts(folder), **time_files(folder), **time_writers(folder)}


def make_nodes(n_chunks: int) -> tuple[list[Node], list[ArrayNode]]:
    """X of so many chunks of each of its arrays: all nodes, and its two arrays."""
    matrix = MatrixLayout((1 << 20, 1000), "<f4", n_chunks * CHUNK)
    entries = entry_nodes("X", matrix, matrix.shape[0])
    arrays = [node for node in entries if isinstance(node, ArrayNode)]
    return [GroupNode("", {}), GroupNode("X", {}), *entries], arrays


def time_receipts(folder: Path, n_works: int = 50, each: int = 400) -> dict[str, float]:
    """Measure the seconds of one chunk in the journal, and in the lists at the end."""
    _, arrays = make_nodes(n_works * each)
    journal, works = Journal(folder / "journal"), []
    for i in range(n_works):
        chunks = np.zeros(each, CHUNK_RECEIPT)
        chunks["chunk"] = np.arange(i * each, (i + 1) * each)
        chunks["size"], chunks["crc32"] = 100_000, 3_000_000_000
        stored = [StoredChunks("zarr", a.path, "", chunks, a.grid, 2) for a in arrays]
        works.append(ReadyWork(f"X/{i}", tuple(stored)))
    n = 2 * n_works * each
    began = time.process_time()
    for work in works:
        journal.ready(work)
    noted = time.process_time()
    for array in arrays:  # as it is checked that no chunk is missing
        of_array = [s.chunks["chunk"] for w in works for s in w.chunks if s.array == array.path]
        assert np.array_equal(np.sort(np.concatenate(of_array)), np.arange(array.n_chunks))
    written = {
        chunk_key(array, chunk, 2): (size, crc32)
        for array in arrays
        for work in works
        for stored in work.chunks
        if stored.array == array.path
        for chunk, _, size, crc32 in stored.chunks.tolist()
    }
    listed = time.process_time()
    assert len(written) == n
    return {"journal_per_chunk": (noted - began) / n, "end_per_chunk": (listed - noted) / n}


def time_files(folder: Path, n: int = 20_000) -> dict[str, float]:
    """Measure the seconds and bytes of one file in the checksums, and of looking for it."""
    names = [f"X/data/{i}" for i in range(n)]
    (folder / "X/data").mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"1")
    began = time.process_time()
    dump_checksums(n)
    assert all(has_size(f"{folder}/{name}", 1) for name in names)
    seconds = (time.process_time() - began) / n
    tracemalloc.start()
    dump_checksums(n)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"end_per_file": seconds, "end_bytes_per_file": peak / n}


def dump_checksums(n: int) -> bytes:
    """Make the checksums of so many files."""
    written = {f"X/indices/{i}": (100_000 + i, 3_000_000_000 + i) for i in range(n)}
    return fmt.dumps(fmt.checksums(written)).encode()


def time_writers(folder: Path, n_chunks: int = 1500) -> dict[str, float]:
    """Measure the seconds of one byte and of one chunk that is put into an h5ad or a zip."""
    nodes, arrays = make_nodes(n_chunks)
    made = folder / "made"
    writers: dict[str, Callable[[ChunkTable], object]] = {
        "h5ad": lambda table: write_h5ad(made, nodes, table),
        "zip": lambda table: write_zip(made, nodes, table, 2),
    }
    rows: list[tuple[int, int]] = []
    spent: dict[str, list[float]] = {name: [] for name in writers}
    crc32 = 0.0
    for size in SIZES:
        pack = folder / "pack"
        pack.write_bytes(np.random.default_rng(0).bytes(size) * (2 * n_chunks))
        rows.append((2 * n_chunks * size, 2 * n_chunks))
        crc = zlib_ng.crc32(pack.read_bytes()[:size])  # all chunks are alike
        for name, write in writers.items():
            with ChunkTable() as table:
                for i, array in enumerate(arrays):
                    numbers = np.arange(n_chunks)
                    offsets = (i * n_chunks + numbers) * size
                    table.add(
                        array.path,
                        str(pack),
                        numbers,
                        offsets,
                        numbers * 0 + size,
                        numbers * 0 + crc,
                    )
                began = time.process_time()
                write(table)
                spent[name].append(time.process_time() - began)
            began = time.process_time()
            _, _ = file_crc32(made)
            crc32 = (time.process_time() - began) / made.stat().st_size
            made.unlink()
    found = {"crc32_per_byte": crc32}
    for name, seconds in spent.items():
        (per_byte, per_chunk), _ = fit_rates(rows, seconds)
        found |= {f"{name}_per_byte": per_byte, f"{name}_per_chunk": per_chunk}
    return found
