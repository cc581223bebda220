"""`verify` against the data: all of an export is derived again, whatever the layout of the data."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from atlas import save
from scipy import sparse
from verifying import N_CELLS, N_GENES, adopt, has_problem, make_adata, reference

from cellucid_dask.errors import InputError
from cellucid_dask.verify import verify
from cellucid_dask.verify.source_data.anndata_file import open_source_data
from cellucid_dask.verify.source_data.derive import column_to_float32, is_continuous
from cellucid_dask.verify.source_data.gene_columns import read_gene_columns


@pytest.mark.parametrize("level", [6, None])
@pytest.mark.parametrize("bits", [8, 16, None])
def test_reference_export_is_ok(
    exports: dict[Any, Path], atlas: Path, bits: int | None, level: int | None
) -> None:
    alone = verify(exports[bits, level])
    assert alone.problems == ()
    assert alone.ok
    assert alone.files == len([p for p in exports[bits, level].rglob("*") if p.is_file()])
    assert alone.bytes == sum(
        p.stat().st_size for p in exports[bits, level].rglob("*") if p.is_file()
    )
    assert (alone.genes_compared, alone.largest_error) == (0, 0.0)
    compared = verify(exports[bits, level], atlas, latent_key="X_pca")
    assert compared.problems == compared.not_compared == ()
    assert compared.genes_compared == N_GENES
    if bits is None:
        assert compared.largest_error == 0
    else:
        assert 0.5 < compared.largest_error <= 1.02


@pytest.mark.parametrize("level", [6, None])
def test_stricter_rules_hold_for_our_exports(
    exports: dict[Any, Path], atlas: Path, tmp_path: Path, level: int | None
) -> None:
    for bits in (8, 16, None):
        folder = adopt(Path(shutil.copytree(exports[bits, level], tmp_path / str(bits))))
        assert verify(folder, atlas).problems == ()


def test_outlier_quantiles_of_the_reference_in_a_large_category(tmp_path: Path) -> None:
    """It adds up float32 one by one, which is a little off far from 0."""
    n, rng = 60_000, np.random.default_rng(0)
    adata = anndata.AnnData(
        sparse.csr_matrix((n, 1), dtype=np.float32),
        obs=pd.DataFrame({"one": pd.Categorical(["a"] * n)}, index=[f"cell{i}" for i in range(n)]),
        obsm={
            "X_pca": (rng.normal(size=(n, 4)) + 100).astype(np.float32),
            "X_umap": rng.normal(size=(n, 2)),
            "X_umap_3d": rng.normal(size=(n, 3)),
            "velocity_umap": rng.normal(size=(n, 2)).astype(np.float32),
        },
        obsp={"connectivities": sparse.csr_matrix((n, n))},
    )
    adata.write_h5ad(tmp_path / "a.h5ad")
    folder = reference(adata, tmp_path / "out", None, None)
    (line,) = verify(folder, tmp_path / "a.h5ad").not_compared
    assert line.startswith("outlier quantiles of 1 column: obsm has no 'latent_space'")
    found = verify(folder, tmp_path / "a.h5ad", latent_key="X_pca")
    assert found.not_compared == ()
    assert not has_problem(found, "quantiles are not those of")


def test_ranges_beyond_float32_are_reported(tmp_path: Path) -> None:
    adata = make_adata()
    adata.obs["tiny"] = np.where(np.arange(N_CELLS) % 2, 1e-35, 0)
    adata.write_h5ad(tmp_path / "a.h5ad")
    folder = reference(adata, tmp_path / "out", 8, None)
    found = verify(folder, tmp_path / "a.h5ad", latent_key="X_pca")
    text = "codes of 1 file: float32 has no steps for their range"
    assert found.not_compared == (text,)


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_every_layout_layer_and_raw_is_compared(tmp_path: Path, layout: str, suffix: str) -> None:
    adata = make_adata(layout)
    adata.raw = adata
    data = save(adata, tmp_path / f"a.{suffix}")
    folder = reference(adata, tmp_path / "out", 8, 6)
    assert verify(folder, data).problems == ()
    assert verify(folder, data, raw=True).problems == ()
    assert len(verify(folder, data, layer="twice").problems) == N_GENES - 1  # one is all 0
    twice = reference(adata, tmp_path / "twice", 8, 6, gene_expression=adata.layers["twice"])
    assert verify(twice, data, layer="twice").problems == ()


def test_a_zarr_zip_is_compared(tmp_path: Path) -> None:
    adata = make_adata()
    data = save(adata, tmp_path / "a.zarr.zip")
    assert verify(reference(adata, tmp_path / "out", 8, 6), data).ok


@pytest.mark.parametrize("bands", [100, 1000])
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_gene_columns_are_read_in_pieces(
    tmp_path: Path, suffix: str, layout: str, bands: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    adata = make_adata(layout)[:30].copy()
    data = save(adata, tmp_path / f"a.{suffix}")
    monkeypatch.setattr("cellucid_dask.verify.source_data.gene_columns._BAND_BYTES", bands)
    monkeypatch.setattr("cellucid_dask.verify.source_data.gene_columns._RUN_BYTES", 2 * bands)
    wanted = adata.layers["twice"]
    wanted = wanted if layout == "dense" else wanted.toarray()
    with open_source_data(data) as found:
        matrix = found.matrices["layers/twice"]
        assert not isinstance(matrix, np.ndarray | sparse.spmatrix | sparse.sparray)
        for chosen in (range(N_GENES), [7, 2, 3, 4, 15], [5], []):
            several = list(read_gene_columns(matrix, chosen))
            assert all(column.dtype == np.float32 for column in several)
            assert len(several) == len(chosen)
            for gene, column in zip(chosen, several, strict=True):
                np.testing.assert_array_equal(column, wanted[:, gene])


def test_entries_stored_twice_are_added(tmp_path: Path) -> None:
    twice = sparse.csr_matrix(([1, 2, 3], [0, 0, 1], [0, 2, 3]), shape=(2, 2), dtype="f4")
    found = [column.tolist() for column in read_gene_columns(twice, [0, 1])]
    assert found == [[3, 0], [0, 3]]


def test_files_of_old_anndata_releases_are_compared(
    exports: dict[Any, Path], atlas: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copy(atlas, tmp_path / "old.h5ad"))
    with h5py.File(data, "r+") as file:
        del file.attrs["encoding-type"], file.attrs["encoding-version"]
    assert verify(exports[8, 6], data).problems == ()
    assert len(verify(exports[8, 6], data, layer="twice").problems) == N_GENES - 1


def test_gene_id_column_subset_and_sample(atlas: Path, tmp_path: Path) -> None:
    folder = reference(
        make_adata(),
        tmp_path / "out",
        8,
        6,
        var_gene_id_column="symbol",
        gene_identifiers=["SYM/7", "SYM/2", "SYM/11"],
    )
    report = verify(folder, atlas, sample=2)
    assert (report.problems, report.genes_compared) == ((), 2)
    assert verify(folder, atlas, sample=100).genes_compared == 3
    assert verify(folder, atlas, sample=0).genes_compared == 0
    assert has_problem(verify(adopt(folder)), "n_genes")  # here it must count what is exported


def test_repeated_genes_are_found_by_the_names_that_anndata_gives_them(tmp_path: Path) -> None:
    adata = make_adata()
    names = [f"g{i // 2}" for i in range(N_GENES)]
    adata.var["name"] = names
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.var["name"] = list(anndata.utils.make_index_unique(pd.Index(names)))
    folder = reference(adata, tmp_path / "out", 8, 6, var_gene_id_column="name")
    assert verify(folder, tmp_path / "a.h5ad").problems == ()


def test_another_embedding_and_graph_must_be_named(tmp_path: Path) -> None:
    adata = make_adata()
    adata.obsm["X_tsne"] = pd.DataFrame(
        adata.obsm["X_umap"][::-1] * 2, index=adata.obs_names, columns=["x", "y"]
    )
    adata.obsp["other"] = adata.obsp["connectivities"].copy()
    del adata.obsp["connectivities"]
    adata.write_h5ad(tmp_path / "a.h5ad")
    folder = reference(
        make_adata(),
        tmp_path / "out",
        8,
        6,
        X_umap_2d=np.asarray(adata.obsm["X_tsne"]),
        vector_fields=None,
    )
    report = verify(folder, tmp_path / "a.h5ad")
    assert len(report.problems) == 2
    assert has_problem(report, "points_2d.bin.gz")
    assert has_problem(report, "obsp['connectivities']")
    right = verify(folder, tmp_path / "a.h5ad", embeddings={2: "X_tsne"}, graph="other")
    assert right.problems == ()
    with pytest.raises(InputError, match="X_umap_3d"):
        verify(folder, tmp_path / "a.h5ad", embeddings={2: "X_nothing"})


def test_an_export_without_genes_graph_and_obs(tmp_path: Path) -> None:
    adata = make_adata()
    adata.write_h5ad(tmp_path / "a.h5ad")
    folder = reference(
        adata, tmp_path / "out", None, None, gene_expression=None, connectivities=None, obs_keys=[]
    )
    report = verify(folder, tmp_path / "a.h5ad")
    assert (report.problems, report.genes_compared) == ((), 0)


def test_graph_without_edges_and_with_loops(tmp_path: Path) -> None:
    adata = make_adata()
    for name, graph in (
        ("none", sparse.csr_matrix((N_CELLS, N_CELLS))),
        ("loops", sparse.eye(N_CELLS).tocsr()),
    ):
        adata.obsp["connectivities"] = graph
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
        folder = reference(adata, tmp_path / name, 8, 6)
        assert verify(folder, tmp_path / f"{name}.h5ad").problems == ()


def test_which_dtypes_of_columns_are_continuous() -> None:
    column = pd.Series([3, None, 1], dtype="Int64")
    assert is_continuous(column)
    np.testing.assert_array_equal(column_to_float32(column), np.float32([3, np.nan, 1]))
    np.testing.assert_array_equal(column_to_float32(pd.Series([1, 2])), np.float32([1, 2]))
    np.testing.assert_array_equal(column_to_float32(pd.Series([1e300, 2])), np.float32([np.inf, 2]))
    for dtype in ("boolean", "bool", "category", "string", "object", "datetime64[ns]"):
        assert not is_continuous(pd.Series([], dtype=dtype))


def test_another_dataset_differs(exports: dict[Any, Path], tmp_path: Path) -> None:
    other = make_adata(seed=1)
    other.write_h5ad(tmp_path / "other.h5ad")
    assert len(verify(exports[8, 6], tmp_path / "other.h5ad").problems) > N_GENES
    other[:100].write_h5ad(tmp_path / "fewer.h5ad")
    report = verify(exports[8, 6], tmp_path / "fewer.h5ad")
    assert report.problems == ("the data has 100 cells, the export has 240",)
