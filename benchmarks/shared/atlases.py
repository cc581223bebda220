"""Synthetic atlases that are made once and kept in the working folder."""

from __future__ import annotations

import hashlib
import json
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
        write_h5ad(spec, path)
    return path
