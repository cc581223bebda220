"""Files that need filters of HDF5 where hdf5plugin, which has them, is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import hdf5plugin
import numpy as np
import pytest
from scipy import sparse

WITHOUT = """
import sys
sys.modules["hdf5plugin"] = None  # its import fails
from cellucid_dask.__main__ import main
main()
"""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process that cannot import hdf5plugin."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, timeout=300
    )


def compress(file: h5py.File, name: str, how: Any) -> None:
    """Write an array of a file again, compressed."""
    old = file[name]
    values, attributes = old[()], dict(old.attrs)
    del file[name]
    file.create_dataset(name, data=values, **how).attrs.update(attributes)


@pytest.fixture(scope="module")
def adata() -> ad.AnnData:
    rng = np.random.default_rng(0)
    made = ad.AnnData(sparse.random(80, 6, 0.3, format="csr", dtype=np.float32, rng=rng))
    made.obsm["X_umap"] = rng.normal(size=(80, 2)).astype(np.float32)
    return made


def test_missing_filters_and_their_arrays_are_named(adata: ad.AnnData, tmp_path: Path) -> None:
    path, out = tmp_path / "a.h5ad", tmp_path / "out"
    adata.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        compress(file, "X/data", hdf5plugin.Blosc())
        compress(file, "X/indices", hdf5plugin.Blosc())
        compress(file, "obsm/X_umap", hdf5plugin.Zstd())
    exported = run("export", str(path), "-o", str(out))
    assert (exported.returncode, out.exists()) == (2, False)
    assert "Traceback" not in exported.stderr
    message = " ".join(exported.stderr.split())
    assert (
        f"{path}: needs filters of HDF5 that are not installed: Blosc for X/data, X/indices; "
        in message
    )
    assert "Zstandard for obsm/X_umap" in message
    assert "pip install hdf5plugin (the extra hdf5-filters)" in message

    assert (
        subprocess.run(
            [sys.executable, "-m", "cellucid_dask", "export", path, "-o", out]
        ).returncode
        == 0
    )
    checked = run("verify", str(out), "--against", str(path))
    assert checked.returncode == 2
    assert "Zstandard for obsm/X_umap" in " ".join(checked.stderr.split())


def test_other_files_need_no_plugin(adata: ad.AnnData, tmp_path: Path) -> None:
    path, out = tmp_path / "a.h5ad", tmp_path / "out"
    adata.write_h5ad(path, compression="gzip")
    exported = run("export", str(path), "-o", str(out))
    assert exported.returncode == 0, exported.stderr
    checked = run("verify", str(out), "--against", str(path))
    assert checked.returncode == 0, checked.stdout + checked.stderr
