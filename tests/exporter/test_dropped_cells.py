"""Cells without a place in an embedding are left out of everything, when that is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from atlas import STAMP, here, replace_array, tree
from atlas import atlas as make
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import as_live, file_bytes
from scipy import sparse
from serving import Client, serving

from cellucid_dask import check, export
from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.source.arrays.matrix import wrap_matrix
from cellucid_dask.source.rows.row_selection import RowSelection
from cellucid_dask.source.rows.selected_matrix import select_matrix_rows
from cellucid_dask.verify import verify

CELLS = 400
FIXED: dict[str, Any] = {
    "created_at": STAMP[1],
    "dataset_id": "one",
    "dataset_name": "One",
    "quiet": True,
}
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "dense": lambda matrix: matrix.toarray(),
}


def untidy(layout: str = "csr") -> tuple[ad.AnnData, np.ndarray]:
    """An AnnData in which some cells have no place, and which cells have one."""
    rng = np.random.default_rng(3)
    adata = make(
        CELLS,
        columns={
            "batch": pd.Categorical(np.arange(CELLS) % 7, categories=[*range(7), 99]),
            "doublet": np.arange(CELLS) % 5 == 0,
            "site": np.array(["Ulm", "Bonn", "Rome"])[np.arange(CELLS) % 3],
        },
    )
    adata.X = LAYOUTS[layout](adata.X)
    bad = rng.choice(CELLS, 60, replace=False)
    adata.obsm["X_umap_2d"][bad[:40]] = np.nan
    adata.obsm["X_umap_3d"][bad[30:], 1] = np.inf
    adata.obs["only_bad"] = pd.Categorical(
        np.where(np.isin(np.arange(CELLS), bad), "without", "with")
    )
    adata.obsm["velocity_umap_2d"] = rng.normal(size=(CELLS, 2)).astype("f4")
    adata.obsp["dense"] = adata.obsp["connectivities"].toarray()
    keep = np.ones(CELLS, bool)
    keep[bad] = False
    return adata, keep


def files(folder: Path) -> dict[str, str]:
    """Digests of all files but those that say how many cells were left out."""
    return {
        k: v
        for k, v in tree(folder).items()
        if k not in ("dataset_identity.json", "checksums.json")
    }


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", [".h5ad", ".zarr", "memory"])
def test_as_if_the_cells_had_been_removed(
    tmp_path: Path, saved: Callable[..., Path], layout: str, kind: str
) -> None:
    adata, keep = untidy(layout)
    export(adata[keep].copy(), tmp_path / "expected", **FIXED)
    data: Any = adata if kind == "memory" else saved(adata, f"atlas{kind}")
    found = export(data, tmp_path / "out", **FIXED, drop_cells_without_embedding=True)
    assert files(tmp_path / "out") == files(tmp_path / "expected")
    assert found.n_cells == keep.sum() == 340
    assert [w for w in found.warnings if w.startswith("60 of 400 cells have NaN or Inf")]
    identity = (tmp_path / "out" / "dataset_identity.json").read_text()
    assert '"Without 60 of 400 cells, which have no place in an embedding."' in identity


def test_by_worker_processes_and_of_a_dense_graph(
    tmp_path: Path, saved: Callable[..., Path]
) -> None:
    adata, keep = untidy()
    how = {**FIXED, "graph": "dense", "layer": "counts", "obs_keys": ["site", "n_counts"]}
    export(adata[keep].copy(), tmp_path / "expected", **how)
    how |= {"drop_cells_without_embedding": True, "workers": 2}
    export(saved(adata), tmp_path / "out", **how)
    assert files(tmp_path / "out") == files(tmp_path / "expected")


def test_a_lazy_matrix(tmp_path: Path) -> None:
    adata, keep = untidy()
    export(adata[keep].copy(), tmp_path / "expected", **FIXED)
    rows = da.from_array(adata.X.toarray(), chunks=(90, -1))
    adata.X = rows.map_blocks(sparse.csr_matrix)
    export(adata, tmp_path / "out", **FIXED, drop_cells_without_embedding=True)
    assert files(tmp_path / "out") == files(tmp_path / "expected")


def test_refused_with_the_option_to_type(capfd: Any, saved: Callable[..., Path]) -> None:
    path = saved(untidy()[0])
    refused = here(capfd, "check", path)
    assert refused.code == 2
    assert "--drop-cells-without-embedding" in refused.err
    allowed = here(capfd, "check", path, "--drop-cells-without-embedding")
    assert allowed.code == 0
    assert "60 of 400 cells have NaN or Inf in an embedding and are left out" in allowed.out


def test_no_cell_has_a_place() -> None:
    adata, _ = untidy()
    adata.obsm["X_umap_2d"][:] = np.nan
    found = check(adata, drop_cells_without_embedding=True)
    assert any("400 of 400 cells have NaN" in problem.what for problem in found.problems)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("index", [True, False])
def test_a_server_answers_the_same(
    tmp_path: Path, saved: Callable[..., Path], layout: str, index: bool
) -> None:
    adata, _ = untidy(layout)
    path = saved(adata)
    plain = {"compression": 0, "var_quantization": None, "obs_quantization": None}
    export(path, tmp_path / "out", **FIXED, **plain, drop_cells_without_embedding=True)
    how = {key: value for key, value in FIXED.items() if key != "quiet"}
    how |= {"drop_cells_without_embedding": True, "index": index, "cache_dir": str(tmp_path)}
    stored = as_live(file_bytes(tmp_path / "out"))
    with serving(path, **how) as server, Client(server) as ask:
        for name, wanted in stored.items():
            body = ask(f"/{name}").body
            if name.endswith(".json"):
                assert json.loads(body) == json.loads(wanted), name
            else:
                assert body == wanted, name
    assert len(stored) > 20


@settings(max_examples=40)
@given(st.sets(st.integers(0, 29)), st.integers(0, 2**32 - 1))
def test_every_part_of_a_matrix_is_that_of_its_kept_rows(dropped: set[int], seed: int) -> None:
    """Any cut of any layout reads as the rows that are kept, of graphs on both axes."""
    kept = RowSelection(30, np.array(sorted(dropped), np.int64))
    rng = np.random.default_rng(seed)
    square = sparse.random_array((30, 30), density=0.2, rng=rng, format="csr")
    mask = np.ones(30, bool)
    mask[kept.dropped] = False
    for key, expected in (
        ("X", square.toarray()[mask]),
        ("obsp/g", square.toarray()[mask][:, mask]),
    ):
        low, high = sorted(rng.integers(0, kept.n_selected + 1, 2).tolist())
        for form in (square, square.tocsc()):
            found = select_matrix_rows(wrap_matrix(form, f"{key} {form.format}"), kept, key)
            whole = found.major(0, found.n_major).toarray()
            np.testing.assert_array_equal(whole, expected)
            if found.n_major == kept.n_selected and low < high:
                part = found.major(low, high).toarray()
                axis = expected if form.format == "csr" else expected.T
                np.testing.assert_array_equal(
                    part if form.format == "csr" else part.T, axis[low:high]
                )
        dense = select_matrix_rows(wrap_matrix(square.toarray(), "m"), kept, key)
        np.testing.assert_array_equal(
            dense.read(slice(low, high), slice(2, 9)), expected[low:high, 2:9]
        )


def test_verify_against_the_data(tmp_path: Path, saved: Callable[..., Path]) -> None:
    path = saved(untidy()[0])
    export(path, tmp_path / "out", quiet=True, drop_cells_without_embedding=True)
    report = verify(tmp_path / "out", path, drop_cells_without_embedding=True)
    assert (report.problems, report.not_compared, report.genes_compared) == ((), (), 12)
    (problem,) = verify(tmp_path / "out", path).problems
    assert problem.startswith(
        "the data has 400 cells, the export has 340; the others have no coordinates"
    )
    adata, keep = untidy("dense")
    adata.X[np.flatnonzero(keep)[5], 3] += 1
    changed = verify(tmp_path / "out", saved(adata), drop_cells_without_embedding=True)
    (problem,) = changed.problems
    assert "Gene3" in problem


def test_an_array_of_another_length(tmp_path: Path, saved: Callable[..., Path]) -> None:
    """Also of as many rows as there are cells that are kept: they would be those of others."""
    adata, keep = untidy()
    path = saved(adata)
    replace_array(path, "obsm/X_pca", adata.obsm["X_pca"][: keep.sum()])
    with pytest.raises(CellucidDaskError, match=r"has shape \(340, 5\), but obs has 400 cells"):
        export(path, tmp_path / "out", quiet=True, drop_cells_without_embedding=True)


def test_nothing_is_wrong_with_a_file_in_which_all_cells_have_a_place(tmp_path: Path) -> None:
    adata = make()
    export(adata, tmp_path / "plain", **FIXED)
    export(adata, tmp_path / "asked", **FIXED, drop_cells_without_embedding=True)
    assert tree(tmp_path / "plain") == tree(tmp_path / "asked")


def test_a_damaged_file_is_refused(tmp_path: Path, saved: Callable[..., Path]) -> None:
    adata, _ = untidy()
    path = saved(adata, "atlas.zarr")
    for chunk in (path / "obsm" / "X_umap_3d").rglob("*"):
        if chunk.is_file() and not chunk.name.startswith((".z", "zarr")):
            chunk.write_bytes(b"nothing")
    with pytest.raises(CellucidDaskError, match="X_umap_3d"):
        export(path, tmp_path / "out", drop_cells_without_embedding=True, quiet=True)
