"""The benchmark of the native library: it decodes and compares what it times."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.native.steps import NativeSteps, NumpySteps
from benchmarks.native.timing import draw_chunk
from cellucid_dask.native.library import load

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(load() is None, reason="there is no native library here")


def test_it_prints_both_tables() -> None:
    command = [sys.executable, "-m", "benchmarks", "native", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| ")]
    steps = {row[1].strip(): row[2:-1] for row in rows}
    assert {"8 bits, 7% lognorm", "float32, 7% counts", "check", "sort", "encode"} <= set(steps)
    assert "(tocsc)" in steps["cut"][1]
    assert all(float(cell) >= 0 for cell in steps["check"][:1])


def test_all_steps_make_the_genes_of_numpy() -> None:
    rows = draw_chunk(300, 200)
    native, numpy = NativeSteps(rows), NumpySteps(rows)
    for step in native.works().values():
        step()
    ours, theirs = native.encode(), numpy.encode()
    assert len(ours) == len(theirs) == 200
    for a, b in zip(ours, theirs, strict=True):
        assert gzip.decompress(a) == gzip.decompress(b)
