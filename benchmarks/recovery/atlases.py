"""Small atlases with two exports each: the expected one, and one that is replaced."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from benchmarks.recovery.runs import Run
from cellucid_dask.synthetic import AtlasSpec, write_h5ad

Layout = Literal["csr", "csc", "dense"]
LAYOUTS: tuple[Layout, ...] = ("csr", "csc", "dense")
FIXED_OPTIONS = (
    *("--dataset-id", "d", "--dataset-name", "d"),
    *("--created-at", "2026-01-31T12:00:00Z"),
)


@dataclass(frozen=True, slots=True)
class Atlas:
    """An atlas and its uninterrupted exports.

    Parameters
    ----------
    genes, cells
        Its size.
    new, old
        Folders of the expected export, and of another one that a run replaces.
    new_files, old_files
        Their paths, with a digest of each file.
    seconds
        How long each stage took.
    """

    path: Path
    layout: Layout
    cells: int
    genes: int
    new: Path
    old: Path
    new_files: dict[str, str]
    old_files: dict[str, str]
    seconds: dict[str, float]


def digest_files(folder: Path) -> dict[str, str]:
    """Map every path below `folder` to a digest of the file, or to ``folder``."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
            if path.is_file()
            else "folder"
        )
        for path in sorted(folder.rglob("*"))
    }


def make_atlas(folder: Path, layout: Layout, cells: int, genes: int, seed: int) -> Atlas:
    """Make an atlas and both exports of it."""
    if layout != "csr":
        cells //= 4  # so that the files are about as large
    spec = AtlasSpec(cells=cells, genes=genes, neighbors=5, layout=layout, seed=seed)
    path = folder / f"{layout}.h5ad"
    write_h5ad(spec, path, compression="lzf")
    old, new = (folder / layout / name / "out" for name in ("old", "new"))
    _export(path, old, "--description", "old")
    seconds = _export(path, new)
    return Atlas(
        path, layout, cells, genes, new, old, digest_files(new), digest_files(old), seconds
    )


def _export(path: Path, out: Path, *options: str) -> dict[str, float]:
    """Export without a kill; return the seconds of each stage."""
    out.parent.mkdir(parents=True)
    words = ["export", str(path), "-o", str(out), "--workers", "1", *FIXED_OPTIONS, *options]
    run = Run(words, path.parent)
    if run.wait():
        raise click.ClickException(f"the expected export failed:\n{run.output}")
    stages = re.findall(r"^([a-z ]+): .* in ([\d.]+) s$", run.output, re.MULTILINE)
    return {stage: float(seconds) for stage, seconds in stages}
