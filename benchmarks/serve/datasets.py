"""What the servers serve, and how wrk requests the genes of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

from cellucid_dask import export
from cellucid_dask.synthetic import AtlasSpec

LOAD_ATLAS = AtlasSpec(100_000, 2_000)
# Each client starts at another gene and requests all of them; wrk keeps a connection open where
# the server allows it.
REQUEST_GENES = """
local paths, n = {}, 0
function init(args)
  for line in io.lines(args[1]) do paths[#paths + 1] = line end
end
function request()
  n = n + 1
  return wrk.format("GET", paths[(n * 7919) % #paths + 1], {["Accept-Encoding"] = "gzip"})
end
"""


def require_wrk() -> None:
    """Raise an error when wrk is not installed."""
    if shutil.which("wrk") is None:
        raise click.ClickException("wrk is not installed (Debian: apt install wrk)")


def read_gene_ids(exported: Path) -> list[str]:
    """Read the ids of the genes of an export."""
    fields = json.loads((exported / "var_manifest.json").read_text())["fields"]
    return [name for name, *_ in fields]


def find_or_write_ready_files(atlas: Path) -> dict[str, Path]:
    """Return the ready files of an atlas by their ending; make those that do not exist."""
    files = {name: atlas.with_name(f"{atlas.stem}-ready.{name}") for name in ("zarr", "h5ad")}
    for name, path in files.items():
        if not path.exists():
            export(atlas, path, format=name, quiet=True)
    return files


def find_or_write_csc_zarr(atlas: Path, store: Path) -> None:
    """Write the atlas as zarr with a CSC matrix, unless the store exists."""
    if store.exists():
        return
    import anndata
    from scipy import sparse

    adata = anndata.read_h5ad(atlas)
    adata.X = sparse.csc_matrix(adata.X)
    adata.write_zarr(store)
