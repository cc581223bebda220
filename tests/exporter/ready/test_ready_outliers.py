"""Outlier quantiles of ready files: to the bit as the rule says, whatever is read at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ready_units import catalog_of, chunk_stores, read_array, run_units

from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog, ReadyColumn
from cellucid_dask.exporter.checks.ready.cell_arrays import find_complete_cells, survey_obsm
from cellucid_dask.exporter.checks.ready.columns import describe_column
from cellucid_dask.exporter.checks.ready.outliers import survey_outliers
from cellucid_dask.exporter.planning import ready_memory
from cellucid_dask.exporter.stages.ready import outliers
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.layout import vector_node
from cellucid_dask.source.arrays.row_array import RowArray
from cellucid_dask.source.arrays.typed_column import TypedColumn
from cellucid_dask.source.model import Source
from cellucid_dask.source.select_cells import select_cells

N = 300


def reference(codes: Any, latent: Any, least: int) -> np.ndarray:
    """The rule of the format, one number after the other."""
    points = np.asarray(latent, np.float32).astype(np.float64)
    found = np.full(len(codes), np.nan, np.float32)
    for code in set(codes.tolist()) - {-1}:
        cells = np.flatnonzero(codes == code)
        if cells.size < least:
            continue
        mean = []
        for axis in range(points.shape[1]):
            total = 0.0
            for cell in cells:
                total += points[cell, axis]
            mean.append(total / cells.size)
        distances = []
        for cell in cells:
            square = 0.0
            for axis, center in enumerate(mean):
                square += (points[cell, axis] - center) ** 2
            distances.append(np.sqrt(square))
        for cell, distance in zip(cells, distances, strict=True):
            nearer = sum(other <= distance for other in distances)
            found[cell] = np.float32(nearer) / np.float32(cells.size)
    return found


def atlas(latent: Any) -> ad.AnnData:
    rng = np.random.default_rng(2)
    cells = [f"c{i}" for i in range(N)]
    kinds = pd.Categorical.from_codes(rng.integers(-1, 6, N), list("abcdefg"))
    obs = pd.DataFrame(
        {
            "kind": kinds,
            "text": rng.choice(["x", "y", "z"], N),
            "flag": rng.random(N) < 0.5,
            "maybe": pd.array(rng.choice([True, False, None], N), dtype="boolean"),
            "rare": pd.Categorical([f"r{i // 3}" for i in range(N)]),
            "number": rng.random(N),
            "name": [f"n{i}" for i in range(N)],
        },
        index=cells,
    )
    obsm = {"X_pca": latent, "X_umap": np.asarray(latent)[:, :2]}
    return ad.AnnData(obs=obs, obsm=obsm)


def columns(source: Source) -> list[ReadyColumn]:
    return [
        describe_column(key, column.typed())  # type: ignore[union-attr]
        for key, column in source.obs.columns.items()
    ]


def survey(source: Source, named: str | None = None, least: int = 10, **options: Any) -> Any:
    catalog = ReadyCatalog(source.n_cells, source, min_points=least, obs=columns(source))
    chosen = ExportOptions(**options)
    survey_obsm(source, chosen, catalog)
    survey_outliers(source, chosen, catalog, named)
    return catalog


def stored(catalog: ReadyCatalog, folder: Path) -> dict[str, np.ndarray]:
    assert catalog.problems == []
    assert ready_memory.outlier_bytes(catalog) > 0
    works = run_units(outliers.outlier_units(catalog, chunk_stores(folder)))
    found = {}
    for number in catalog.outliers:
        key = catalog.obs[number].layout.key
        node = vector_node(f"{outliers.PATH}/{key}", catalog.n_cells, "<f4")
        found[key] = read_array(works.values(), node)
    return found


def points(width: int = 6) -> np.ndarray:
    return (np.random.default_rng(8).normal(size=(N, width)) * 1e3).astype("f4")


def assert_as_the_rule(
    found: dict[str, np.ndarray], source: Source, latent: Any, least: int
) -> None:
    for key, quantiles in found.items():
        column: Any = source.obs.columns[key]
        expected = reference(column.codes(), latent, least)
        np.testing.assert_array_equal(quantiles, expected, err_msg=key)


@pytest.mark.parametrize("name", ["", "a.h5ad", "a.zarr"])
def test_quantiles_are_as_the_rule_says(
    tmp_path: Path, saved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(outliers, "STEP", 37)
    monkeypatch.setattr("cellucid_dask.source.arrays.row_array.BLOCK_BYTES", 6 * 4 * 50)
    latent = points()
    adata = atlas(latent)
    source = catalog_of(saved(adata, name) if name else adata).source
    catalog = survey(source)
    assert catalog.latent == "X_pca"
    found = stored(catalog, tmp_path)
    assert set(found) == {"kind", "text", "flag", "maybe"}
    assert_as_the_rule(found, source, latent, 10)
    assert np.isnan(found["kind"]).any()


def test_every_cell_counts_where_one_is_enough(tmp_path: Path) -> None:
    source = catalog_of(atlas(points())).source
    found = stored(survey(source, least=1), tmp_path)
    assert set(found) == {"kind", "text", "flag", "maybe", "rare", "name"}
    assert_as_the_rule(found, source, points(), 1)
    assert (found["name"] == 1).all()


def test_columns_share_units_as_their_cells_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = catalog_of(atlas(points())).source
    whole = stored(survey(source, least=1), tmp_path)
    monkeypatch.setattr(ready_memory, "GROUP_BYTES", ready_memory.HELD_BYTES * N * 4)
    catalog = survey(source, least=1)
    units = outliers.outlier_units(catalog, chunk_stores(tmp_path))
    assert [unit.key for unit in units] == ["uns/outliers/0-4", "uns/outliers/4-6"]
    for key, quantiles in stored(catalog, tmp_path).items():
        np.testing.assert_array_equal(quantiles, whole[key])


def test_cells_at_one_distance_have_one_quantile(tmp_path: Path) -> None:
    latent = np.tile([[0, 1], [0, -1], [3, 0], [-3, 0]], (N // 4, 3)).astype("f4")
    source = catalog_of(atlas(latent)).source
    found = stored(survey(source), tmp_path)
    assert_as_the_rule(found, source, latent, 10)


def test_quantiles_of_some_cells_are_those_of_their_categories(tmp_path: Path) -> None:
    latent = points()
    latent[[3, 50, 51]] = np.nan
    source = catalog_of(atlas(latent)).source
    kept = find_complete_cells(source)
    assert kept is not None
    chosen = select_cells(source, kept)
    found = stored(survey(chosen), tmp_path)
    assert_as_the_rule(found, chosen, np.delete(latent, [3, 50, 51], axis=0), 10)


def test_the_latent_space_is_named_by_options_then_the_record_then_its_name() -> None:
    adata = atlas(points())
    adata.obsm["scvi"] = points(4)
    adata.obsm["shift_pca"] = points(6)
    source = catalog_of(adata).source
    assert survey(source).latent == "scvi"
    assert survey(source, "X_pca").latent == "X_pca"
    assert survey(source, "X_pca", latent_key="X_umap").latent == "X_umap"
    (problem,) = survey(source, "nothing").problems
    assert problem.where == "uns/cellucid/defaults/latentKey"
    (problem,) = survey(source, latent_key="shift_pca").problems
    assert problem.where == "--latent-key"
    assert "is a vector field" in problem.what


def test_a_table_is_no_latent_space() -> None:
    adata = atlas(points())
    adata.obsm["table"] = pd.DataFrame({"a": np.ones(N)}, index=adata.obs_names)
    (problem,) = survey(catalog_of(adata).source, latent_key="table").problems
    assert "is not in the ready file" in problem.what


def test_an_embedding_is_no_latent_space_unless_named(tmp_path: Path) -> None:
    source = catalog_of(atlas(points(3))).source
    catalog = survey(source)
    assert (catalog.latent, catalog.outliers) == ("", [])
    assert outliers.outlier_units(catalog, chunk_stores(tmp_path)) == []
    assert ready_memory.outlier_bytes(catalog) == 0
    assert survey(source, latent_key="X_pca").latent == "X_pca"


@settings(max_examples=80)
@given(
    cells=st.lists(
        st.tuples(
            st.integers(-1, 4), st.lists(st.sampled_from([0, 1, -1, 0.1, 50, 3]), min_size=2)
        ),
        min_size=1,
        max_size=40,
    ),
    least=st.integers(1, 5),
    block=st.integers(1, 50),
)
def test_any_cells(cells: list[tuple[int, list[float]]], least: int, block: int) -> None:
    codes = np.array([code for code, _ in cells], np.int8)
    latent = np.array([values[:2] for _, values in cells], "f4")
    column = describe_column("c", TypedColumn("category", codes, categories=np.arange(5)))
    (found,) = outliers.find_quantiles([column], RowArray(latent, block), least)
    np.testing.assert_array_equal(found, reference(codes, latent, least))
