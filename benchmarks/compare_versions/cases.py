"""The cases of the comparison: an input with the options of its export."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.compare_versions.inputs import list_inputs

FORMATS = (".h5ad", ".h5mu", ".h5", ".loom", ".zarr", ".zip", ".gz")
FIXED = ("--created-at", "2026-01-31T12:00:00Z", "--dataset-id", "same", "--dataset-name", "Same")


@dataclass(frozen=True, slots=True)
class Case:
    """One input with options.

    Parameters
    ----------
    path
        The input.
    reading
        Options that say what is read: `check` and `export` have them both.
    writing
        Options that say how it is written, of `export` alone.
    """

    path: Path
    reading: tuple[str, ...] = ()
    writing: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The input and the options, as a line of the report shows them."""
        return " ".join([self.path.name, *self.reading, *self.writing])


READING = {  # input: sets of options for it, besides none
    "csr.h5ad": (
        "--no-genes",
        "--no-graph",
        "--no-vectors",
        "--layer counts",
        "--layer dense",
        "--layer absent",
        "--raw",
        "--graph distances",
        "--graph absent",
        "--latent-key X_scvi",
        "--latent-key absent",
        "--obs-key cluster --obs-key n_counts",
        "--obs-key absent",
        "--gene Gene7 --gene Gene2",
        "--gene Gene777",
        "--gene-id-column symbol",
        "--embedding 2d=X_pca",
        "--embedding 2d=velocity_umap_2d",
        "--categorical-dtype uint16",
        "--categorical-dtype uint8",
    ),
    "csc-v3-sharded.zarr": ("--raw", "--layer counts", "--gene Gene7 --gene Gene2"),
    "dense-v2-small-chunks.zarr": ("--raw", "--layer dense", "--no-genes"),
    "mudata.h5mu": ("--modality rna", "--modality prot", "--modality absent"),
    "mudata.zarr": ("--modality rna", "--modality prot"),
    "missing-x-chunk.zarr": ("--accept-missing-chunks",),
    "missing-values-chunk.zarr": ("--accept-missing-chunks",),
    "missing-points-chunk.zarr": ("--accept-missing-chunks",),
    "nan-points.h5ad": (
        "--drop-cells-without-embedding",
        "--drop-cells-without-embedding --raw",
        "--drop-cells-without-embedding --layer dense",
    ),
    "nan-points.zarr": ("--drop-cells-without-embedding",),
    "repeated-genes.h5ad": ("--rename-duplicates",),
    "no-matrix.h5ad": ("--layer counts", "--no-genes"),
    "many-categories.h5ad": ("--categorical-dtype uint8",),
}
WRITING = {
    "csr.h5ad": (
        "--var-quantization 16",
        "--var-quantization none",
        "--obs-quantization 16",
        "--obs-quantization none",
        "--compression 0",
        "--compression 1",
        "--compression 9",
        "--centroid-quantile 0.7 --centroid-min-points 40",
        "--description Text --source-name Lab --source-url https://example.org --citation C",
        "--verify",
        "--dry-run",
        "--memory 1MB",  # refused
        "--preview preview.png",
    ),
    "columns.h5ad": ("--obs-quantization 16", "--obs-quantization none"),
    "dense-float64.h5ad": ("--var-quantization 16", "--var-quantization none"),
    "large-csr.h5ad": ("--var-quantization none --compression 0", "--scratch ."),
}


def make_cases(folder: Path) -> Iterator[Case]:
    """Write the inputs to `folder` and yield each without options and with each set of them."""
    for name, make in list_inputs().items():
        path = folder / name
        make(path)
        yield Case(path)
        yield from (Case(path, reading=tuple(line.split())) for line in READING.get(name, ()))
        yield from (Case(path, writing=tuple(line.split())) for line in WRITING.get(name, ()))


def find_cases(folder: Path) -> Iterator[Case]:
    """Yield a case for each input in a folder; each modality of a MuData is one as well."""
    for path in sorted(folder.iterdir()):
        if path.suffix in FORMATS:
            yield Case(path.resolve())
            yield from (Case(path.resolve(), ("--modality", m)) for m in _modalities(path))


def _modalities(path: Path) -> Iterable[str]:
    if path.is_dir():
        return sorted(p.name for p in path.glob("mod/*") if p.is_dir())
    import h5py

    if not h5py.is_hdf5(path):
        return ()
    with h5py.File(path) as file:
        return sorted(file["mod"]) if "mod" in file else ()


def run_scripts(scripts: Path, folder: Path) -> None:
    """Run every script of a folder; each writes inputs to the folder it gets as its argument."""
    for script in sorted(scripts.glob("[!_]*.py")):
        done = subprocess.run(
            [sys.executable, "-B", str(script.resolve()), str(folder)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise click.ClickException(f"{script} failed:\n{done.stderr[-2000:]}")
