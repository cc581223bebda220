"""`prepare` takes the arguments of the reference exporter and writes the same export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from oracle import assert_same_export, oracle_arguments, oracle_prepare, read_export
from scipy import sparse

from cellucid_dask import prepare


@pytest.mark.parametrize("kind", ["numpy", "matrix", "array", "csc", "coo", "dask", "dask sparse"])
def test_prepare_takes_arrays_of_every_kind(tmp_path: Path, atlas: AnnData, kind: str) -> None:
    import dask.array as da

    arguments = oracle_arguments(atlas) | {
        "var_quantization": 8,
        "obs_continuous_quantization": 16,
        "compression": 6,
        "dataset_name": "Loose arrays",
        "vector_fields": {"velocity_umap_2d": atlas.obsm["velocity_umap"], "drift": np.ones(220)},
        "X_umap_1d": atlas.obsm["X_umap_2d"][:, :1],
        "gene_identifiers": ["gene7", "gene2"],
        "obs_keys": ["depth", "group"],
    }
    x, graph, pca = arguments["gene_expression"], arguments["connectivities"], atlas.obsm["X_pca"]
    mine: dict[str, Any] = {
        "numpy": {"gene_expression": x.toarray(), "connectivities": graph.toarray()},
        "matrix": {"latent_space": sparse.csr_matrix(pca)},
        "array": {
            "gene_expression": sparse.csr_array(x),
            "connectivities": sparse.csr_array(graph),
            "latent_space": sparse.csr_array(pca),
        },
        "csc": {"gene_expression": sparse.csc_array(x), "connectivities": graph.tocsc()},
        "coo": {"gene_expression": sparse.coo_array(x), "connectivities": graph.tocoo()},
        "dask": {
            "gene_expression": da.from_array(x.toarray(), chunks=(50, 7)),
            "latent_space": da.from_array(pca, chunks=(64, 2)),
            "X_umap_2d": da.from_array(atlas.obsm["X_umap_2d"], chunks=(100, 1)),
            "connectivities": da.from_array(graph.toarray(), chunks=(90, 90)),
        },
        "dask sparse": {
            "gene_expression": da.concatenate(
                [da.from_array(x[i : i + 60], chunks=-1, asarray=False) for i in range(0, 220, 60)]
            ),
        },
    }[kind]
    theirs = oracle_prepare(tmp_path / "theirs" / "out", **arguments)
    ours = tmp_path / "ours" / "out"
    prepare(out_dir=ours, quiet=True, **arguments | mine)
    assert_same_export(read_export(ours), theirs, same_latent_key=True)


def test_prepare_has_the_defaults_of_the_oracle(tmp_path: Path, atlas: AnnData) -> None:
    arguments = oracle_arguments(atlas)
    theirs = oracle_prepare(tmp_path / "theirs" / "out", **arguments)
    prepare(out_dir=tmp_path / "ours" / "out", quiet=True, **arguments)
    assert_same_export(read_export(tmp_path / "ours" / "out"), theirs, same_latent_key=True)


def test_prepare_has_the_signature_of_the_oracle() -> None:
    import inspect

    import cellucid

    mine, theirs = (inspect.signature(f).parameters for f in (prepare, cellucid.prepare))
    assert list(theirs) == [n for n, p in mine.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    different = {n for n in theirs if mine[n].default != theirs[n].default}
    assert different == {"out_dir"}  # the oracle's is the folder of its import
