"""The benchmark of compressors: it decompresses what it times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from cellucid_dask.native.library import load

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(load() is None, reason="there is no native library here")


def test_it_prints_the_chunks_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "ready.h5ad"
    with h5py.File(path, "w") as file:
        file["X/data"] = np.resize(np.arange(1, 4, dtype=np.float32), 150_000)
        file["X/indices"] = np.arange(150_000, dtype=np.int32)
    command = [sys.executable, "-m", "benchmarks", "deflate", str(path), "--rounds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert rows[0][2:4] == [" data, ready.h5ad ", " indices, ready.h5ad "]
    compressors = {row[1].strip(): row[2:-1] for row in rows}
    assert {"native", "zlib 6", "zlib-ng 6"} <= set(compressors)
    assert all("(1.000)" in cell for cell in compressors["zlib 6"])
