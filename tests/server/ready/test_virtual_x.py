"""X of virtual stores against what an export to zarr writes, over every layout of the input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from atlas import save
from layouts import untidy
from virtual_x import check_x, with_points

KINDS = ("a.h5ad", "v2.zarr", "v3.zarr", "sharded.zarr", "a.zarr.zip", "memory")
STORES = {"v2.zarr": "v2", "v3.zarr": "v3", "sharded.zarr": "v3 sharded"}


def stored(matrix: Any, folder: Path, kind: str) -> Any:
    """What holds a matrix: a path, or an AnnData."""
    adata = with_points(matrix)
    if kind == "memory":
        return adata
    how = {"kind": STORES[kind]} if kind in STORES else {}
    return save(adata, folder / kind, **how)


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_x_is_what_an_export_writes(tmp_path: Path, layout: str, kind: str, index: bool) -> None:
    matrix = untidy("csr")
    if layout == "csc":
        matrix = untidy("csc")
    elif layout == "dense":
        matrix = matrix.toarray()
    check_x(stored(matrix, tmp_path, kind), tmp_path, index=index)
