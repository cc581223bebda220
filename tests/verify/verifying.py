"""Exports to verify, and ways to damage them."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from scipy import sparse

from cellucid_dask import format as fmt
from cellucid_dask.verify import VerifyReport, verify

N_CELLS, N_GENES = 240, 16
EXAMPLES = settings(max_examples=100, derandomize=True)
KINDS = pytest.mark.parametrize("kind", ["plain", "gzip"])
OPTIONS = {"quiet": True, "workers": 1, "created_at": "2026-01-31T12:00:00Z"}


def make_adata(layout: str = "csr", seed: int = 0) -> anndata.AnnData:
    """Small AnnData with everything an export can show."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.4, (N_CELLS, N_GENES)).astype(np.float32)
    x = np.log1p(counts * rng.uniform(0.5, 2, (N_CELLS, 1))).astype(np.float32)
    x[:, 3] = 0  # a constant gene
    score = rng.normal(size=N_CELLS)
    score[::17] = np.nan
    cluster = pd.Categorical.from_codes(
        np.where(np.arange(N_CELLS) % 31 == 5, -1, rng.integers(0, 4, N_CELLS)),
        categories=["T cells", "B", "unused", "NK é"],
    )
    small = np.where(np.arange(N_CELLS) < 7, "rare", "frequent")
    obs = pd.DataFrame(
        {
            "n counts (sum)": counts.sum(axis=1),
            "score": score,
            "all_nan": np.full(N_CELLS, np.nan),
            "batch": rng.integers(0, 3, N_CELLS),
            "cluster": cluster,
            "size": pd.Categorical(small),
            "is_doublet": rng.random(N_CELLS) < 0.2,
        },
        index=[f"cell{i}" for i in range(N_CELLS)],
    )
    umap = rng.normal(size=(N_CELLS, 2)) * [3, 1]
    obsm = {
        "X_pca": rng.normal(size=(N_CELLS, 8)).astype(np.float32),
        "X_umap": umap,
        "X_umap_3d": rng.normal(size=(N_CELLS, 3)).astype(np.float32),
        "velocity_umap": rng.normal(size=(N_CELLS, 2)).astype(np.float32),
    }
    near = np.argsort(((umap[:, None] - umap[None]) ** 2).sum(axis=2), axis=1)[:, :6]
    rows = np.repeat(np.arange(N_CELLS), 6)
    graph = sparse.csr_matrix(
        (rng.random(rows.size) + 0.1, (rows, near.ravel())), shape=(N_CELLS, N_CELLS)
    )
    matrix: Any = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": np.asarray}[layout](
        x
    )
    var = pd.DataFrame(
        {"symbol": [f"SYM/{i}" for i in range(N_GENES)]},
        index=[f"ENSG{i:05d}" for i in range(N_GENES)],
    )
    return anndata.AnnData(
        matrix,
        obs=obs,
        var=var,
        obsm=obsm,
        obsp={"connectivities": graph},
        layers={"twice": matrix * 2},
    )


def reference(
    adata: anndata.AnnData, out: Path, bits: int | None, level: int | None, **more: Any
) -> Path:
    """Export with the reference exporter, whose warnings are its own."""
    import cellucid

    given = {
        "latent_space": adata.obsm["X_pca"],
        "obs": adata.obs,
        "var": adata.var,
        "gene_expression": adata.X,
        "connectivities": adata.obsp["connectivities"],
        "X_umap_2d": adata.obsm["X_umap"],
        "X_umap_3d": adata.obsm["X_umap_3d"],
        # a copy, as it scales the array it is given in place
        "vector_fields": {"velocity_umap": adata.obsm["velocity_umap"].copy()},
        "var_quantization": bits,
        "obs_continuous_quantization": bits,
        "compression": level,
    }
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        with contextlib.redirect_stderr(io.StringIO()):
            cellucid.prepare(**{**given, **more}, out_dir=out)
    return out


def seal(folder: Path) -> Path:
    """Write correct checksums for all files, so that only other rules can be broken."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != fmt.CHECKSUMS
    }
    sums = fmt.checksums({name: (len(raw), zlib.crc32(raw)) for name, raw in found.items()})
    (folder / fmt.CHECKSUMS).write_text(fmt.dumps(sums))
    return folder


def flip(path: Path, at: int = 0, mask: int = 0xFF) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= mask
    path.write_bytes(data)


def edit(path: Path, change: Callable[[Any], None]) -> None:
    payload = json.loads(path.read_text())
    change(payload)
    path.write_text(json.dumps(payload))


def adopt(folder: Path) -> Path:
    """Make a reference export one that this package could have written."""

    def claim(identity: Any) -> None:
        identity["cellucid_data_version"] = "cellucid-dask 0.1.0"

    edit(folder / fmt.IDENTITY, claim)
    edit(folder / fmt.OBS_MANIFEST, lambda obs: obs.update(latent_key="X_pca"))
    for path in folder.rglob("*.gz"):
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), mtime=0))
    return seal(folder)


def has_problem(report: VerifyReport, text: str) -> bool:
    return any(text in problem for problem in report.problems)


def files_of(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


class MutableExport:
    """An export that is damaged, verified and restored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.good = {name: (folder / name).read_bytes() for name in files_of(folder)}
        self.names = sorted(self.good)

    def report(self, **changed: bytes | None) -> VerifyReport:
        """Verify with other bytes in some files, or without them; then restore all files."""
        try:
            for name, raw in changed.items():
                if raw is None:
                    (self.folder / name).unlink()
                else:
                    (self.folder / name).write_bytes(raw)
            return verify(self.folder, workers=1)
        finally:
            for name in changed:
                if name in self.good:
                    (self.folder / name).write_bytes(self.good[name])
                else:
                    (self.folder / name).unlink()

    def notices(self, *names: str, **changed: bytes | None) -> VerifyReport:
        """Check that the damage is reported, with the name of each file, and in printable lines."""
        report = self.report(**changed)
        for name in names:
            assert any(name in problem for problem in report.problems), report.problems
        assert not report.ok
        assert all(problem.isprintable() for problem in report.problems)
        return report
