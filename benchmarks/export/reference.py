"""Export a file with cellucid 0.0.9, as its users do, and report where the time went.

The full job may take very long, so genes and categorical columns can be sampled: the report then
holds what was measured and, separately, what the rest would have added at that rate. Columns are
timed by a second run without any of them, which is no part of the job.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import anndata
import cellucid
import numpy as np
from cellucid import prepare_data

warnings.simplefilter("ignore")

EMBEDDINGS = {dim: f"X_umap_{dim}d" for dim in (1, 2, 3)}


class GeneClock:
    """Replaces the progress bar of the gene loop, and measures the time of the loop."""

    seconds = 0.0

    def tqdm(self, genes: Iterable[str], **_: Any) -> Iterator[str]:
        """Pass genes on, as ``tqdm.tqdm`` does."""
        start = time.perf_counter()
        yield from genes
        self.seconds += time.perf_counter() - start


def find_embeddings(adata: anndata.AnnData) -> dict[str, np.ndarray]:
    """Find explicit embeddings, else ``X_umap`` for the dimension of its width."""
    found = {key: np.asarray(adata.obsm[key]) for key in EMBEDDINGS.values() if key in adata.obsm}
    if "X_umap" in adata.obsm:
        umap = np.asarray(adata.obsm["X_umap"])
        found.setdefault(EMBEDDINGS[umap.shape[1]], umap)
    return found


def count_bytes(folder: Path) -> int:
    """Sum the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def time_prepare(adata: anndata.AnnData, out_dir: Path, **changes: Any) -> float:
    """Run ``prepare`` on everything in `adata`, with `changes` of its arguments.

    Returns
    -------
    Seconds that it took.
    """
    arguments = {
        "latent_space": adata.obsm["X_pca"],
        "obs": adata.obs,
        "var": adata.var,
        "gene_expression": adata.X,
        "connectivities": adata.obsp.get("connectivities"),
        **find_embeddings(adata),
        "out_dir": out_dir,
        "var_quantization": 8,
        "obs_continuous_quantization": 8,
        "compression": 6,
    }
    start = time.perf_counter()
    cellucid.prepare(**(arguments | changes))
    return time.perf_counter() - start


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--no-genes", action="store_true")
    parser.add_argument("--genes", type=int, help="export this many genes, evenly spaced")
    parser.add_argument("--columns", type=int, help="export this many categorical columns")
    args = parser.parse_args()
    if args.columns and not args.no_genes:
        parser.error("--columns needs --no-genes: else the difference holds more than columns")
    return args


def sample_genes(adata: anndata.AnnData, count: int | None) -> list[str] | None:
    """Choose evenly spaced genes; None stands for all."""
    if count is None or count >= adata.n_vars:
        return None
    return [str(adata.var_names[i * adata.n_vars // count]) for i in range(count)]


def extrapolate_genes(
    adata: anndata.AnnData, count: int, seconds: float, out: Path
) -> dict[str, Any]:
    """Estimate what all other genes would have added, from `count` genes."""
    left = adata.n_vars - count
    return {
        "seconds": left * seconds / count,
        "bytes": left * count_bytes(out / "var") / count,
        "sample": f"{count} of {adata.n_vars} genes at {1e3 * seconds / count:.2f} ms each",
    }


def extrapolate_columns(
    adata: anndata.AnnData, count: int, seconds: float, out: Path
) -> dict[str, Any]:
    """Estimate what all other categorical columns would have added, from `count` columns."""
    total = adata.obs.select_dtypes("category").shape[1]
    sampled = [path for path in out.glob("obs/*") if ".values." not in path.name]
    sampled.append(out / "obs_manifest.json")
    return {
        "seconds": (total - count) * seconds / count,
        "bytes": (total - count) * sum(p.stat().st_size for p in sampled) / count,
        "sample": f"{count} of {total} categorical columns at {seconds / count:.1f} s each",
    }


def main() -> None:
    """Read the file, run ``prepare``, and write the report."""
    args = parse_arguments()
    start = time.perf_counter()
    adata = anndata.read_h5ad(args.data)
    report: dict[str, Any] = {"seconds": {"read": time.perf_counter() - start}, "rest": []}
    clock = GeneClock()
    prepare_data.tqdm = clock
    changes: dict[str, Any] = {}
    if args.no_genes or adata.X is None:
        changes = {"gene_expression": None, "var": None}
    genes = None if "var" in changes else sample_genes(adata, args.genes)
    changes["gene_identifiers"] = genes
    if args.columns:
        categorical = adata.obs.select_dtypes("category").columns
        other = [key for key in adata.obs.columns if key not in categorical]
        without = args.out.with_name(args.out.name + ".fixed")
        without_seconds = time_prepare(adata, without, **changes, obs_keys=other)
        report["seconds"]["prepare_without_columns"] = without_seconds
        changes["obs_keys"] = [*other, *categorical[: args.columns]]
    seconds = time_prepare(adata, args.out, **changes)
    report["seconds"] |= {"prepare": seconds, "genes": clock.seconds}
    if genes is not None:
        report["rest"].append(extrapolate_genes(adata, len(genes), clock.seconds, args.out))
    if args.columns and args.columns < len(categorical):
        spent = seconds - without_seconds
        report["rest"].append(extrapolate_columns(adata, args.columns, spent, args.out))
    args.report.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
