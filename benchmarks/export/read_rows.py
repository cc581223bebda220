"""Read the CSR matrix of an h5ad file once into memory, as no export can do without."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import h5py


def main() -> None:
    """Read the indices and the values of X, and write the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--report", type=Path, required=True)
    args = parser.parse_args()
    with h5py.File(args.data) as file:
        start = time.perf_counter()
        arrays = [file["X"][name][:] for name in ("indices", "data")]
        seconds = time.perf_counter() - start
    size = sum(array.nbytes for array in arrays)
    args.report.write_text(json.dumps({"seconds": seconds, "bytes": size}), encoding="utf-8")


if __name__ == "__main__":
    main()
