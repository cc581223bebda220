"""What an export refuses, a server of live data refuses with the same words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from comparing import LIVE
from oracle import make_atlas, silent

from cellucid_dask import AnnDataServer, CellucidDaskError, CellucidServer, check

Save = Callable[..., Path]
Made = tuple[Any, dict[str, Any]]  # what is served, and options of it
GENE = "var/gene0.values.f32"


# ------------------------------------------------------------------- what an export refuses


def _nan(atlas: AnnData) -> Any:
    atlas.obsm["X_umap_2d"][[3, 7], 1] = np.nan


def _no_embedding(atlas: AnnData) -> Any:
    for key in ("X_umap_2d", "X_umap_3d"):
        del atlas.obsm[key]


def _twice(atlas: AnnData) -> Any:
    atlas.var_names = ["A", "A", *atlas.var_names[2:]]


def _colliding_columns(atlas: AnnData) -> Any:
    atlas.obs["a b"] = atlas.obs["A_b"] = 1.0


def _colliding_genes(atlas: AnnData) -> Any:
    atlas.var_names = ["HLA-A", "hla-a", *atlas.var_names[2:]]


def _lists(atlas: AnnData) -> Any:
    atlas.obs["listed"] = [[1]] * atlas.n_obs


def _complex(atlas: AnnData) -> Any:
    atlas.obs["complex"] = np.arange(atlas.n_obs) * 1j


def _many_problems(atlas: AnnData) -> Any:
    for spoil in (_nan, _twice, _colliding_columns):
        spoil(atlas)


def _bad_vector(atlas: AnnData) -> Any:
    atlas.obsm["a b_umap"] = atlas.obsm["velocity_umap"]


def _nothing(_: AnnData) -> Any:
    """The options are wrong, not the data."""


REFUSED: dict[str, tuple[Callable[[AnnData], Any], dict[str, Any]]] = {
    "NaN in an embedding": (_nan, {}),
    "no embedding": (_no_embedding, {}),
    "duplicate genes": (_twice, {}),
    "colliding columns": (_colliding_columns, {}),
    "colliding genes": (_colliding_genes, {}),
    "columns of lists": (_lists, {}),
    "complex numbers": (_complex, {}),
    "vector field id": (_bad_vector, {}),
    "many problems": (_many_problems, {"obs_keys": ["grop"], "graph": "distances"}),
    "unknown column": (_nothing, {"obs_keys": ["grop"]}),
    "unknown gene": (_nothing, {"genes": ["gene1O", "gene2"]}),
    "unknown layer": (_nothing, {"layer": "count"}),
    "no raw": (_nothing, {"raw": True}),
    "unknown graph": (_nothing, {"graph": "connectivity"}),
    "unknown latent space": (_nothing, {"latent_key": "X_pcaa"}),
    "unknown embedding": (_nothing, {"embeddings": {2: "X_umap2d"}}),
    "embedding of another width": (_nothing, {"embeddings": {2: "X_umap_3d"}}),
    "no dimension": (_nothing, {"embeddings": {4: "X_umap_3d"}}),
    "unknown id column": (_nothing, {"gene_id_column": "symbl"}),
    "quantile": (_nothing, {"centroid_quantile": 2}),
    "quantile and data": (_many_problems, {"centroid_quantile": 2}),
    "dataset id": (_nothing, {"dataset_id": "a/b"}),
    "a time that is none": (_nothing, {"created_at": "soon"}),
    "layer and raw": (_nothing, {"layer": "counts", "raw": True}),
    "an option there is not": (_nothing, {"obs_kys": ["group"]}),
    "uint8 for too many": (_nothing, {"categorical_dtype": "uint8", "obs_keys": ["many"]}),
}


def problems_of(refuse: Callable[[], Any]) -> list[str]:
    """What a call that must be refused says."""
    with pytest.raises(CellucidDaskError) as caught:
        refuse()
    return [str(problem) for problem in caught.value.problems]


def problems_of_check(data: Any, **options: Any) -> list[str]:
    """What `check` finds, which raises where nothing can be opened at all."""
    try:
        found = check(data, **options)
    except CellucidDaskError as error:
        return [str(problem) for problem in error.problems]
    return [str(problem) for problem in found.problems]


def without_options(problems: list[str]) -> list[str]:
    """Problems without the list of options there are, which a server has more of."""
    return [text.partition("\n")[0] if "no such option" in text else text for text in problems]


CASES = [
    (name, where)
    for name in REFUSED
    for where in ("h5ad", "memory")
    if (name, where) != ("columns of lists", "h5ad")  # no file can hold it
]


@pytest.mark.parametrize(("name", "where"), CASES)
def test_what_an_export_refuses_is_refused_with_the_same_words(
    tmp_path: Path, saved: Save, temporary: Path, name: str, where: str
) -> None:
    spoil, options = REFUSED[name]
    atlas = make_atlas(300)
    atlas.obs["many"] = pd.Categorical(range(300))
    spoil(atlas)
    data = saved(atlas) if where == "h5ad" else atlas
    expected = problems_of_check(data, **options)
    assert expected
    cache = tmp_path / "cache"
    told = problems_of(lambda: CellucidServer(data, port=0, quiet=True, cache_dir=cache, **options))
    assert without_options(told) == without_options(expected)
    assert not cache.exists()
    assert list(temporary.iterdir()) == [], "nothing is left of a server that never was"


def _text(path: Path) -> None:
    path.write_text("cell,gene\n1,2\n" * 99)


def _other_hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["matrix"] = np.arange(3)


def _truncated(path: Path) -> None:
    silent(make_atlas().write_h5ad, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 5])


def _transposed(path: Path) -> None:
    import h5py

    silent(make_atlas().write_h5ad, path)
    with h5py.File(path, "r+") as file:
        del file["X"]
        file["X"] = np.zeros((30, 220), "f4")


def _empty(path: Path) -> None:
    silent(make_atlas()[:0].copy().write_h5ad, path)


@pytest.mark.parametrize(
    "make", [None, _text, _other_hdf5, _truncated, _transposed, _empty, Path.touch]
)
def test_files_that_are_refused_are_refused_with_the_same_words(
    tmp_path: Path, make: Callable[[Path], Any] | None
) -> None:
    path = tmp_path / "some.h5ad"
    if make is not None:
        make(path)
    expected = problems_of_check(path)
    assert expected
    for server in (CellucidServer, AnnDataServer):
        told = problems_of(lambda: server(path, port=0, quiet=True, cache_dir=tmp_path))  # noqa: B023
        assert told == expected


def test_what_is_no_anndata_at_all(tmp_path: Path) -> None:
    for data in (np.zeros(3), 7, pd.DataFrame({"a": [1]})):
        assert problems_of(lambda: CellucidServer(data, quiet=True)) == problems_of_check(data)  # noqa: B023
    (told,) = problems_of(lambda: CellucidServer(None, quiet=True))
    assert told.startswith("data: there is nothing to serve")


def test_problems_of_options_of_the_server_are_told_with_those_of_the_data(
    tmp_path: Path, saved: Save
) -> None:
    atlas = make_atlas()
    _nan(atlas)
    path = saved(atlas)
    wrong = {"port": -1, "cache_size": "much", "quantize": 7, "base_path": "a b"}
    told = "\n".join(problems_of(lambda: CellucidServer(path, quiet=True, **wrong)))
    for part in ("port: -1", "cache_size:", "quantize:", "base_path:", "NaN or Inf"):
        assert part in told


def test_fixed_options_are_not_taken(tmp_path: Path, saved: Save) -> None:
    path = saved(make_atlas())
    for name in LIVE:
        told = problems_of(lambda: CellucidServer(path, quiet=True, **{name: 8}))  # noqa: B023
        assert len(told) == 1
        assert name in told[0]
