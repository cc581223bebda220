"""Shapes and values that cannot be exported."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from atlas import atlas, replace_array, save
from bad_inputs import Refuse, says
from scipy import sparse


def test_nan_and_inf_in_embeddings(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.obsm["X_umap_2d"][3:27:2, 0] = np.nan
    adata.obsm["X_umap_3d"][[5, 41], [0, 2]] = np.inf, -np.inf
    save(adata, tmp_path / "a.h5ad")
    says(
        refuse("export", "a.h5ad", "-o", "out"),
        "obsm/X_umap_2d: 12 of 60 cells have NaN or Inf (rows 3, 5, 7, 9, 11, 13, 15, 17, 19, 21,",
        "obsm/X_umap_3d: 2 of 60 cells have NaN or Inf (rows 5, 41)",
    )


def test_a_transposed_dense_matrix(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.X = adata.X.toarray()
    save(adata, tmp_path / "a.h5ad")
    replace_array(tmp_path / "a.h5ad", "X", adata.X.T)
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, "X", "(12, 60)", "(60, 12)", "transposed")


def test_a_transposed_sparse_matrix(refuse: Refuse, data: Path) -> None:
    with h5py.File(data, "r+") as file:
        matrix = sparse.csr_array(atlas().X.T)
        for part in ("data", "indices", "indptr"):
            del file[f"X/{part}"]
            file[f"X/{part}"] = getattr(matrix, part)
        file["X"].attrs["shape"] = matrix.shape
    says(refuse("export", data.name, "-o", "out"), "(12, 60)", "(60, 12)", "transposed")


def test_a_matrix_of_another_shape_is_not_called_transposed(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.X = adata.X.toarray()
    save(adata, tmp_path / "a.h5ad")
    replace_array(tmp_path / "a.h5ad", "X", adata.X[:-1])
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, "(59, 12)", "(60, 12)")
    assert "transposed" not in message


def test_row_counts_that_differ_are_told_together(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.obsm["velocity_umap"] = np.ones((60, 2), "f4")
    path = save(adata, tmp_path / "a.h5ad")
    replace_array(path, "obsm/X_pca", np.ones((59, 5), "f4"))
    replace_array(path, "obsm/X_umap_3d", np.ones((3, 60), "f4"))
    replace_array(path, "obsm/velocity_umap", np.ones((61, 2), "f4"))
    replace_array(path, "obs/n_counts", np.ones(58, "f4"))
    with h5py.File(path, "r+") as file:
        graph = sparse.csr_array((60, 61), dtype="f4")
        for part in ("data", "indices", "indptr"):
            del file[f"obsp/connectivities/{part}"]
            file[f"obsp/connectivities/{part}"] = getattr(graph, part)
        file["obsp/connectivities"].attrs["shape"] = graph.shape
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, "5 problems", "(59, 5)", "(3, 60)", "transposed", "(61, 2)", "58", "(60, 61)")


def test_an_empty_dataset(refuse: Refuse, tmp_path: Path) -> None:
    save(atlas()[:0].copy(), tmp_path / "none.h5ad")
    says(refuse("export", "none.h5ad", "-o", "out"), "none.h5ad", "no cells")


def test_no_embedding_lists_what_obsm_holds(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.obsm["X_tsne"] = adata.obsm["X_umap_2d"]
    del adata.obsm["X_umap_2d"], adata.obsm["X_umap_3d"]
    save(adata, tmp_path / "a.h5ad")
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, "no embedding", "X_tsne (60, 2)", "X_pca (60, 5)", "--embedding 2d=X_tsne")


def test_an_embedding_of_the_wrong_width(refuse: Refuse, data: Path) -> None:
    message = refuse("export", data.name, "-o", "out", "--embedding", "2d=X_umap_3d")
    says(message, "X_umap_3d", "(60, 3)", "(60, 2)")


def test_text_where_numbers_belong(refuse: Refuse, data: Path) -> None:
    replace_array(data, "X/data", np.array([b"x"] * atlas().X.nnz))
    says(refuse("export", data.name, "-o", "out"), "X", "not real numbers")


def test_a_vector_field_id_that_is_no_path(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.obsm["my velocity_umap"] = np.ones((60, 2), "f4")
    save(adata, tmp_path / "a.h5ad")
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, "'my velocity_umap'", "'my_velocity_umap'", "--no-vectors")
