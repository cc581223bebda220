"""Synthetic atlases that are made once and kept in the working folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from cellucid_dask.synthetic import AtlasSpec, write_h5ad


def find_or_make_atlas(name: str, spec: AtlasSpec, work: Path) -> Path:
    """Return the h5ad file of an atlas; make it unless an equal spec was made before."""
    digest = hashlib.sha256(json.dumps(asdict(spec)).encode()).hexdigest()[:8]
    path = work / f"{name}-{digest}.h5ad"
    if not path.exists():
        click.echo(f"making {path}: {spec.cells:,} cells x {spec.genes:,} genes", err=True)
        make_once(path, lambda new: write_h5ad(spec, new))
    return path


def make_once(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file or a folder, which has its name only when it is complete."""
    unfinished = path.with_name(f"unfinished-{path.name}")
    if unfinished.is_dir():
        shutil.rmtree(unfinished)
    write(unfinished)
    unfinished.replace(path)
