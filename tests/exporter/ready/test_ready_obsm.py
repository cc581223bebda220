"""Arrays of obsm in ready files: which are stored, as what, and which are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from multimodal import write_mudata
from ready_units import catalog_of, chunk_stores, read_array, run_units
from scipy import sparse

from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.checks.ready.cell_arrays import find_complete_cells, survey_obsm
from cellucid_dask.exporter.planning import ready_memory
from cellucid_dask.exporter.stages.ready import cell_arrays
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.layout import rows_node
from cellucid_dask.ready.vector_fields import find_vector_fields
from cellucid_dask.source.select_cells import select_cells

N = 60
RNG = np.random.default_rng(1)


def atlas(**obsm: Any) -> ad.AnnData:
    """A dataset of so many cells with these arrays."""
    return ad.AnnData(obs=pd.DataFrame(index=[f"c{i}" for i in range(N)]), obsm=obsm)


def survey(data: Any, modality: str | None = None, **options: Any) -> ReadyCatalog:
    """Look at obsm as an export does."""
    catalog = catalog_of(data, modality)
    survey_obsm(catalog.source, ExportOptions(**options), catalog)
    return catalog


def stored(catalog: ReadyCatalog, folder: Path) -> dict[str, np.ndarray]:
    """Values of all arrays as they are stored."""
    assert catalog.problems == []
    assert ready_memory.obsm_bytes(catalog) > 0
    works = run_units(cell_arrays.obsm_units(catalog, chunk_stores(folder))).values()
    return {
        key: read_array(works, rows_node(f"obsm/{key}", array.shape))
        for key, array in catalog.obsm.items()
    }


def points(width: int, dtype: str = "f8") -> np.ndarray:
    return (RNG.normal(size=(N, width)) * 100).astype(dtype)


MIXED = {
    "velocity_umap": points(2, "f4"),
    "X_umap": points(2),
    "X_pca": points(7, "f2"),
    "counts": points(3, "i8"),
    "peaks": sparse.csr_matrix(np.where(RNG.random((N, 40)) < 0.1, 1.5, 0)),
    "flags": RNG.random((N, 2)) < 0.5,
    "table": pd.DataFrame({"a": np.arange(N), "b": np.ones(N)}, index=[f"c{i}" for i in range(N)]),
    "speed_pca": points(2),  # not as wide as X_pca
    "cube": RNG.normal(size=(N, 2, 2)),
}
KEPT = ["X_umap", "X_pca", "counts", "peaks", "speed_pca", "velocity_umap"]


@pytest.mark.parametrize("name", ["", "a.h5ad", "a.zarr"])
def test_every_array_of_numbers_is_stored_whole(
    tmp_path: Path, saved: Callable[..., Path], name: str
) -> None:
    adata = atlas(**MIXED)
    catalog = survey(saved(adata, name) if name else adata)
    found = stored(catalog, tmp_path)
    assert list(found) == [k for k in found if k in KEPT]
    assert set(found) == set(KEPT)
    assert list(found)[-1] == "velocity_umap", "vector fields come last"
    for key, array in found.items():
        given: Any = MIXED[key]
        dense = given.toarray() if sparse.issparse(given) else given
        np.testing.assert_array_equal(array, dense.astype("f4"))
    told = "\n".join(catalog.notes)
    assert "obsm/table: a table" in told
    assert "obsm/flags: holds bool, not numbers" in told
    assert "obsm/cube: has shape" in told
    assert any("obsm/peaks is sparse" in text for text in catalog.warnings)


def test_vector_fields_can_be_left_out(tmp_path: Path) -> None:
    catalog = survey(atlas(**MIXED), vectors=False)
    assert "velocity_umap" not in stored(catalog, tmp_path)


def test_one_axis_is_one_column(tmp_path: Path, saved: Callable[..., Path]) -> None:
    import h5py

    path = saved(atlas(X_umap=points(2)))
    with h5py.File(path, "r+") as file:
        made = file.create_dataset("obsm/time", data=np.arange(N, dtype="f8"))
        made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    assert stored(survey(path), tmp_path)["time"].tolist() == [[float(i)] for i in range(N)]


def test_units_are_cut_by_the_shape_alone_and_read_each_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dask.array as da

    monkeypatch.setattr("cellucid_dask.ready.layout.WHOLE", 30)
    monkeypatch.setattr(cell_arrays, "UNIT_BYTES", 4 * 30 * 3)
    values, reads = points(3), []
    source = da.from_array(values, chunks=(7, 3)).map_blocks(
        lambda block: (reads.append(len(block)), block)[1], dtype=values.dtype
    )
    catalog = survey(atlas(X_umap=source))
    reads.clear()
    found = stored(catalog, tmp_path)
    np.testing.assert_array_equal(found["X_umap"], values.astype("f4"))
    units = cell_arrays.obsm_units(catalog, chunk_stores(tmp_path))
    assert [unit.key for unit in units] == ["obsm/X_umap/0-3", "obsm/X_umap/3-6"]
    assert len(reads) <= 10, "a block is read once by each unit"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.5e38, -1e300])
def test_a_number_that_cannot_be_stored_is_refused(value: float) -> None:
    array = points(2)
    array[[4, 9], 1] = value
    (problem,) = survey(atlas(X_umap=points(2), X_pca=array)).problems
    assert problem.where == "obsm/X_pca"
    assert "2 of 60 cells have NaN, Inf or a number beyond float32 (rows 4, 9)" in problem.what
    assert "--drop-cells-without-embedding" in problem.fix


def test_the_largest_float32_is_stored(tmp_path: Path) -> None:
    largest = float(np.finfo(np.float32).max)
    array = np.full((N, 2), largest)
    array[0] = -largest
    np.testing.assert_array_equal(stored(survey(atlas(X_a=array)), tmp_path)["X_a"], array)


def test_vectors_without_numbers_are_refused_unless_left_out() -> None:
    vectors = points(2)
    vectors[3] = np.nan
    adata = atlas(X_umap=points(2), velocity_umap=vectors)
    (problem,) = survey(adata).problems
    assert "--no-vectors" in problem.fix
    assert survey(adata, vectors=False).problems == []


@pytest.mark.parametrize("name", ["", "a.h5ad", "a.zarr"])
def test_only_complete_cells_are_stored(
    tmp_path: Path, saved: Callable[..., Path], name: str
) -> None:
    first, second, vectors = points(2, "f4"), points(5, "f4"), points(2, "f4")
    first[[0, 7], 0], second[[7, 33], 4], vectors[8] = np.nan, np.inf, 0
    adata = atlas(X_umap=first, X_pca=second, velocity_umap=vectors)
    source = catalog_of(saved(adata, name) if name else adata).source
    kept = find_complete_cells(source)
    assert kept is not None
    assert kept.dropped.tolist() == [0, 7, 33]
    chosen = select_cells(source, kept)
    catalog = ReadyCatalog(chosen.n_cells, chosen)
    survey_obsm(chosen, ExportOptions(drop_cells_without_embedding=True), catalog)
    found = stored(catalog, tmp_path)
    for key, array in (("X_umap", first), ("X_pca", second), ("velocity_umap", vectors)):
        np.testing.assert_array_equal(found[key], np.delete(array, [0, 7, 33], axis=0))


def test_complete_cells_are_not_selected() -> None:
    assert find_complete_cells(catalog_of(atlas(X_umap=points(2))).source) is None


def test_arrays_that_do_not_fit_are_refused_together(saved: Callable[..., Path]) -> None:
    import h5py

    path = saved(atlas(X_umap=points(2), X_none=points(2)))
    with h5py.File(path, "r+") as file:
        for key, shape in (("short", (N - 1, 2)), ("across", (2, N)), ("X_none", (N, 0))):
            if key in file["obsm"]:
                del file[f"obsm/{key}"]
            made = file["obsm"].create_dataset(key, data=np.ones(shape))
            made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    told = {problem.where: problem.what for problem in survey(path).problems}
    assert set(told) == {"obsm/short", "obsm/across", "obsm/X_none"}
    assert "transposed" in told["obsm/across"]
    assert "no columns" in told["obsm/X_none"]


def test_a_file_without_array_is_refused() -> None:
    (problem,) = survey(atlas(flags=MIXED["flags"])).problems
    assert "at least one embedding" in problem.what


def test_names_that_zarr_cannot_hold_are_refused() -> None:
    (problem,) = survey(atlas(**{"X_umap": points(2), "a:b": points(2)})).problems
    assert problem.where == "obsm keys"


def test_a_modality_has_its_own_arrays_and_those_of_the_whole(tmp_path: Path) -> None:
    own, whole, joint = points(2, "f4"), points(2, "f4"), points(4, "f4")
    rna = atlas(X_umap=own)
    table = pd.DataFrame({"a": np.ones(N)}, index=rna.obs_names)
    path = write_mudata(
        tmp_path / "m.h5mu",
        {"rna": rna[: N - 5].copy()},
        rna.obs,
        obsm={"X_umap": whole, "X_wnn": joint, "table": table},
    )
    found = stored(survey(path, "rna"), tmp_path)
    assert set(found) == {"X_umap", "X_wnn"}
    np.testing.assert_array_equal(found["X_umap"], own[: N - 5])
    np.testing.assert_array_equal(found["X_wnn"], joint[: N - 5])


@pytest.mark.parametrize(
    ("widths", "fields"),
    [
        ({"velocity_umap": 2, "X_umap": 2}, {"velocity_umap": ("velocity", "X_umap")}),
        ({"velocity_umap": 3, "X_umap": 2}, {}),
        ({"X_velocity_umap": 2, "X_umap": 2}, {}),
        ({"a_b_c": 2, "X_c": 2, "X_b_c": 2}, {"a_b_c": ("a", "X_b_c")}),
        ({"a_b_c": 2, "X_c": 2, "X_b_c": 3}, {}),  # the longest basis decides, then its width
        ({"_umap": 2, "X_umap": 2, "umap_": 2, "X_": 2}, {}),
        ({"a__b": 1, "X__b": 1, "X_b": 1}, {"a__b": ("a", "X__b")}),
    ],
)
def test_names_tell_vector_fields(
    widths: dict[str, int], fields: dict[str, tuple[str, str]]
) -> None:
    assert find_vector_fields(widths) == fields


def test_fields_of_one_name_stand_together(tmp_path: Path) -> None:
    names = ["a_umap", "b_umap", "X_umap", "a_tsne", "X_tsne"]
    catalog = survey(atlas(**{name: points(2) for name in names}))
    assert list(stored(catalog, tmp_path)) == ["X_umap", "X_tsne", "a_umap", "a_tsne", "b_umap"]


def test_a_source_of_no_cells_reads_nothing() -> None:
    catalog = catalog_of(atlas(X_umap=points(2)))
    empty = replace(catalog.source, obs=replace(catalog.source.obs, length=0), obsm={})
    survey_obsm(empty, ExportOptions(), catalog)
    assert [problem.where for problem in catalog.problems] == [catalog.source.where]
