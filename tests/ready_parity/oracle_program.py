"""Make ready files with `cellucid` 0.9.5, in an environment of its own; see `ready_oracle`.

A job on each line of the standard input is a JSON object; a line of JSON answers it.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")

import anndata  # noqa: E402
import cellucid  # noqa: E402


def read(path: str) -> Any:
    """Read an AnnData of any container into memory."""
    if path.endswith(".h5ad"):
        return anndata.read_h5ad(path)
    if not path.endswith(".zip"):
        return anndata.read_zarr(path)
    import zarr

    with zarr.storage.ZipStore(path, mode="r") as store:
        return anndata.io.read_elem(zarr.open_group(store, mode="r"))


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Write the `files` of a job: path, format and version of zarr of each, from its `data`."""
    data = read(job["data"])
    for path, kind, version in job["files"]:
        more = {} if version is None else {"zarr_format": version}
        cellucid.prepare(path, format=kind, data=data, **more, **job["options"])
    return {}


def main() -> None:
    """Answer every line of the standard input."""
    out, sys.stdout = sys.stdout, sys.stderr  # the oracle prints
    for line in sys.stdin:
        try:
            result = answer(json.loads(line))
        except Exception as error:  # noqa: BLE001  it is told to the test
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), file=out, flush=True)


if __name__ == "__main__":
    main()
