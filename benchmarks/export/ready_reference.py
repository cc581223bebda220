"""Write a ready file with cellucid 0.9.5 from a backed h5ad, as its users do for a large file."""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import anndata
import cellucid

warnings.simplefilter("ignore")


def main() -> None:
    """Open the file, run ``prepare``, and write the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--format", required=True)
    parser.add_argument("--report", type=Path, required=True)
    args = parser.parse_args()
    start = time.perf_counter()
    cellucid.prepare(
        args.out,
        format=args.format,
        data=anndata.read_h5ad(args.data, backed="r"),
        dataset_id="atlas",
        dataset_name="atlas",
        latent_key="X_pca",
    )
    seconds = time.perf_counter() - start
    args.report.write_text(json.dumps({"prepare": seconds}), encoding="utf-8")


if __name__ == "__main__":
    main()
