"""Disks and memory that are too small for the gene index."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from atlas import tree
from forks import can_mount, forks, run_forked
from gene_index_data import (
    Entries,
    MiB,
    assert_genes,
    build_complete_index,
    make_large_entries,
    make_messy_entries,
    open_x,
    save_h5,
)

from cellucid_dask.server.gene_index.lookup import GeneIndex

needs_mount = pytest.mark.skipif(not can_mount(), reason="only root may mount a small disk")


ON_DISK = """
import json, sys, time
from pathlib import Path
from cellucid_dask.encode import encode_gene
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.source.arrays.matrix import open_matrix
from cellucid_dask.source.storage.store import locate_store

store = locate_store("a.h5ad")
with store.open() as root:
    matrix = open_matrix(store, "X", root["X"])
found = GeneIndex(matrix, Path(sys.argv[1]).absolute(), memory_bytes=32 << 20, threads=2)
found.start()
while found.progress()["state"] in ("waiting", "building"):
    time.sleep(0.002)
n = matrix.shape[0]
genes = [encode_gene(found.pieces(i), n, None, 0).payload for i in range(matrix.shape[1])]
Path("genes").write_bytes(b"".join(genes))
print(json.dumps(found.progress()))
"""


def build_on_mount(cwd: Path, index: str, *mounts: str) -> dict[str, Any]:
    """What `ON_DISK` says where disks are mounted at ``disk``."""
    (cwd / "disk").mkdir(exist_ok=True)
    script = cwd / "build.py"
    script.write_text(ON_DISK)
    try:
        for mount in mounts:
            forks().shell(f"mount {mount} {cwd / 'disk'}")
        code, said, error = run_forked(index, cwd=cwd, script=str(script))
        assert code == 0, error
        assert str(cwd) not in said
        facts: dict[str, Any] = json.loads(said)
        facts["left"] = [path.name for path in forks().seen(cwd / index).parent.glob("*")]
        return facts
    finally:
        for _ in mounts:
            forks().shell(f"umount -l {cwd / 'disk'} 2>/dev/null; true")


@needs_mount
@pytest.mark.parametrize(
    ("disk", "reason"),
    [
        ("size=64k", "free"),  # found out before
        ("size=3m", "free"),  # found out by the first chunk
        ("size=64m,nr_inodes=14", "No space left"),  # which no estimate of bytes foresees
        ("size=64m,ro", "Read-only"),
    ],
)
def test_a_disk_without_space_gives_a_reason_and_no_index(
    tmp_path: Path, disk: str, reason: str
) -> None:
    entries = make_large_entries(n_cells=140_000, n_genes=20)
    save_h5(entries, tmp_path / "a.h5ad")
    facts = build_on_mount(tmp_path, "disk/deep/index", f"-t tmpfs -o {disk} tmpfs")
    assert facts["state"] == "failed"
    assert reason in facts["reason"]
    assert facts["left"] == []
    plain = b"".join(entries.read_gene(i).tobytes() for i in range(20))
    assert (tmp_path / "genes").read_bytes() == plain


@needs_mount
def test_a_complete_index_on_a_read_only_disk_is_used(tmp_path: Path) -> None:
    entries = make_messy_entries()
    save_h5(entries, tmp_path / "a.h5ad")
    build_complete_index(open_x(tmp_path / "a.h5ad"), tmp_path / "disk" / "index")
    before = tree(tmp_path / "disk")
    mounts = (f"--bind {tmp_path / 'disk'}", "-o remount,ro,bind")
    assert build_on_mount(tmp_path, "disk/index", *mounts)["state"] == "ready"
    assert tree(tmp_path / "disk") == before


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    path = save_h5(make_messy_entries(), tmp_path / "a.h5ad")
    before = tree(tmp_path)
    found = GeneIndex(open_x(path), None, memory_bytes=16 * MiB, threads=2)
    found.start()
    assert found.progress()["state"] == "off"
    assert_genes(found, make_messy_entries())
    found.stop()
    assert tree(tmp_path) == before


MEMORY = """
import json, re, sys, time
from pathlib import Path
from cellucid_dask.server.datasets.gene_ranges import gene_ranges
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.source.arrays.matrix import open_matrix
from cellucid_dask.source.storage.store import locate_store

def peak():  # ru_maxrss would be that of pytest, from before the exec
    return int(re.search(r"VmHWM:[^0-9]*([0-9]+)", Path("/proc/self/status").read_text())[1]) << 10

def work(path, folder, room):
    store = locate_store(path)
    with store.open() as root:
        matrix = open_matrix(store, "X", root["X"])
    found = GeneIndex(matrix, Path(folder), memory_bytes=room, threads=2)
    found.pieces(0)
    yield peak()
    gene_ranges(matrix, room, 2)
    yield peak()
    found.start()
    while found.progress()["state"] in ("waiting", "building"):
        time.sleep(0.002)
    assert found.progress()["state"] == "ready", found.error
    found.pieces(0)
    yield peak()

small, path, folder, room = sys.argv[1:]
list(work(small, folder + "-small", int(room)))  # all that is imported and started once
base = peak()
print(json.dumps([n - base for n in work(path, folder, int(room))]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_is_bounded(tmp_path: Path) -> None:
    room = 64 * MiB
    part = make_large_entries(n_cells=5000, n_genes=2000)
    times = 16
    pointers = [part.indptr[1:] + i * part.data.size for i in range(times)]
    entries = Entries(
        np.tile(part.data, times),
        np.tile(part.indices, times),
        np.concatenate([[0], *pointers]).astype(np.int64),
        2000,
    )
    path = save_h5(entries, tmp_path / "a.h5ad", chunks=(1 << 16,))
    assert path.stat().st_size > 2.5 * room
    small = save_h5(make_messy_entries(), tmp_path / "small.h5ad")
    command = [sys.executable, "-c", MEMORY, str(small), str(path), str(tmp_path / "i"), str(room)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
    scan, ranges, build = json.loads(said)
    assert scan < room
    assert ranges < 1.25 * room
    assert build < 1.5 * room  # malloc keeps what threads have freed
