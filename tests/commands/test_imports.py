"""Which libraries a command imports: they take most of the time of a short one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from atlas import atlas, save

from cellucid_dask.native import library

# Prints what was imported, once the command has ended.
PROGRAM = """
import atexit, sys
atexit.register(lambda: print("imported:", *sys.modules))
from cellucid_dask.commands.main import main
main(sys.argv[1:])
"""
NEEDED_BY_NOTHING = {"anndata", "distributed", "dask", "matplotlib", "granian", "urllib3"}


def imported(*words: object) -> set[str]:
    """Run a command, and return the packages that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    _, _, names = done.stdout.rpartition("imported: ")
    return {name.partition(".")[0] for name in names.split()}


@pytest.mark.parametrize("words", [(), ("export",), ("serve",)])
def test_help_imports_no_library_of_data(words: tuple[str, ...]) -> None:
    found = imported(*words, "--help")
    assert "click" in found
    assert not found & {"numpy", "pandas", "scipy", "h5py", "zarr", "rich", *NEEDED_BY_NOTHING}


needs_library = pytest.mark.skipif(
    library.load() is None, reason="without the native library, dask is imported"
)


@needs_library
def test_an_export_of_h5ad_imports_what_it_needs(tmp_path: Path) -> None:
    found = imported("export", save(atlas(), tmp_path / "a.h5ad"), "-o", tmp_path / "out")
    assert {"numpy", "h5py", "hdf5plugin"} <= found
    assert not found & {"zarr", "numcodecs", "pandas", *NEEDED_BY_NOTHING}


@needs_library
def test_an_export_of_zarr_imports_no_filters_of_hdf5(tmp_path: Path) -> None:
    found = imported("export", save(atlas(), tmp_path / "a.zarr"), "-o", tmp_path / "out")
    assert "zarr" in found
    assert not found & {"hdf5plugin", *NEEDED_BY_NOTHING}


def test_workers_import_dask(tmp_path: Path) -> None:
    data, out = save(atlas(), tmp_path / "a.h5ad"), tmp_path / "out"
    assert "distributed" in imported("export", data, "-o", out, "--workers", 2, "--dry-run")
