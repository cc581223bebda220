"""Atlases of the benchmarks, which are made once and kept in the working folder."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.scaling.hollow_atlas import ATLASES, write_hollow_atlas
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.open import open_source
from cellucid_dask.synthetic import AtlasSpec, write_h5ad

work = click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("benchmark-work"),
    show_default=True,
    help="Folder for the atlases, which stay, and the exports.",
)


def find_or_make_store(spec: AtlasSpec, ending: str, work: Path) -> Path:
    """Return a synthetic atlas as .h5ad or .zarr; make it unless it exists."""
    work.mkdir(parents=True, exist_ok=True)
    path = work / f"scaling-{spec.cells}x{spec.genes}.h5ad"
    if not path.exists():
        click.echo(f"making {path}", err=True)
        write_h5ad(spec, path)
    if ending == "h5ad":
        return path
    other = path.with_suffix(".zarr")
    if not other.exists():
        import anndata

        click.echo(f"making {other}", err=True)
        anndata.read_h5ad(path).write_zarr(other)
    return other


def count_entries(data: Path, key: str) -> int:
    """Return how many values the matrix `key` of an atlas stores."""
    matrix = open_source(data).matrices[key]
    assert isinstance(matrix, SparseMatrix)
    return matrix.nnz


def find_or_make_hollow_atlas(name: str, work: Path) -> Path:
    """Return a hollow atlas; make it unless it exists."""
    path = work / f"hollow-{name.replace(' ', '')}.zarr"
    if not (path / "var").exists():  # which is written last
        work.mkdir(parents=True, exist_ok=True)
        write_hollow_atlas(ATLASES[name], path)
    return path
