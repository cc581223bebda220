"""Embeddings of the page: the list of all of them, where cells are, and which way is up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.typing import NDArray
from page_data import CELLS, atlas

from cellucid_dask import AnnDataServer

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, far_from_others, near, needs_browser, pixels_at, swatches
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser
ANGLE = np.radians(30)
TURN = np.array([[np.cos(ANGLE), np.sin(ANGLE)], [-np.sin(ANGLE), np.cos(ANGLE)]], "f4")


def embeddings() -> dict[str, NDArray[np.float32]]:
    flat = atlas().obsm["X_umap_2d"]
    return {"X_umap_2d": flat, "X_tsne": flat @ TURN, "spatial": flat * np.array([300, 100], "f4")}


@pytest.fixture
def live(serve: Any) -> Any:
    """A server of these, and of arrays that cannot be shown or are none of the kind."""
    adata = atlas()
    for key, points in embeddings().items():
        adata.obsm[key] = points
    adata.obsm["X_gaps"] = np.where(np.arange(CELLS)[:, None] == [7, 9], [np.nan, np.inf], 1)
    adata.obsm["X_empty"] = np.full((CELLS, 3), np.nan)
    adata.obsm["names"] = pd.DataFrame({"site": ["a"] * CELLS}, adata.obs_names)
    return serve(adata, AnnDataServer)


def shown_name(page: Page) -> str:
    return page.find("#embedding").get_property("value")


def assert_drawn_at(page: Page, points: NDArray[np.float32], *, y_down: bool = False) -> None:
    """Each cell is where its point is, with its color; both axes have the same scale."""
    places = page.cell_pixels()
    centered = points - points.mean(axis=0)
    (a, b), (c, d) = np.linalg.lstsq(centered, places - places.mean(axis=0))[0]
    assert a > 0
    assert [b / a, c / a, d / a] == pytest.approx([0, 0, 1 if y_down else -1], abs=1e-3)
    fitted = centered @ np.array([[a, b], [c, d]]) + places.mean(axis=0)
    assert np.abs(fitted - places).max() < 0.1
    apart = far_from_others(places, 6)
    assert apart.sum() > CELLS / 2
    found = pixels_at(page.picture(), places)
    assert np.array_equal(found[apart], swatches(page)[apart])


def test_list_of_embeddings_switches_between_them(page: Page, live: Any) -> None:
    page.open(live, "d=2&labels=0&size=4")
    points = embeddings()
    assert shown_name(page) == "X_umap_2d"
    assert_drawn_at(page, points["X_umap_2d"])
    page.click("#embedding")
    groups = page.texts("#embedding-list .choice-heading")
    assert groups == ["1D", "2D", "3D"]
    page.choose_embedding("tsne")
    assert_drawn_at(page, points["X_tsne"])
    assert "embedding=X_tsne" in page.hash()
    page.choose_embedding("spatial")
    assert_drawn_at(page, points["spatial"], y_down=True)
    page.reload()
    assert_drawn_at(page, points["spatial"], y_down=True)
    # The list and the buttons agree.
    assert page.choose_embedding("X_umap_3d")["dimension"] == 3
    assert page.texts("#dimensions [aria-pressed='true']") == ["3D"]
    assert page.show_dimension(2)["dimension"] == 2
    assert shown_name(page) == "spatial", "the last one of this dimension"
    page.choose_embedding("X_umap_2d")
    assert "embedding" not in page.hash(), "the default one"
    assert_drawn_at(page, points["X_umap_2d"])
    # Each of them is left and found at its own place.
    start = page.cell_pixels()
    page.press_keys("#cells", "+", Keys.ARROW_LEFT)
    places = page.cell_pixels()
    page.show_dimension(3)
    page.show_dimension(2)
    assert near(page.cell_pixels(), places)
    for dimension in (3, 2):
        page.click("#undo")
        page.wait_until(f"cellucid.ready && cellucid.dimension === {dimension}")
    assert near(page.cell_pixels(), places)
    page.click("#reset")
    assert near(page.cell_pixels(), start)


def test_selection_stays_in_another_embedding(page: Page, live: Any) -> None:
    page.open(live, "d=2&embedding=X_tsne&labels=0&size=4")
    places = page.cell_pixels()
    left, right = 0, (places[:, 0].min() + places[:, 0].max()) / 2
    page.click("#lasso")
    page.drag((left + 2, 60), (right, 60), (right, 500), (left + 2, 500))
    n = int((places[:, 0] < right).sum())
    assert 50 < n < CELLS - 50
    assert page.find("#selection-size").text == f"{n} cells selected"
    page.choose_embedding("X_umap_2d")
    assert page.find("#selection-size").text == f"{n} cells selected"
    page.reload()
    assert page.find("#selection-size").text == f"{n} cells selected"


def test_link_names_an_embedding(page: Page, live: Any) -> None:
    state = page.open(live, "embedding=X_tsne&labels=0&size=4")
    assert state["dimension"] == 2, "that of the embedding"
    assert_drawn_at(page, embeddings()["X_tsne"])
    state = page.open(live, "d=3&embedding=X_gone")
    assert state["dimension"] == 3
    assert page.texts("#notice p") == [
        'This dataset has no embedding "X_gone". The page shows "X_umap_3d".'
    ]


def test_embeddings_with_missing_values_are_not_shown(page: Page, live: Any) -> None:
    """A link to one opens another; the list says why it cannot be chosen, once that is known."""
    page.expected_errors = ("/points/",)
    assert page.open(live, "embedding=X_gaps&labels=0&size=4")["dimension"] == 2
    said = "cannot be shown: 2 of 400 cells have NaN or Inf (rows 7, 9)"
    assert page.texts("#notice p") == [
        f'The embedding "X_gaps" {said}. The page shows "X_umap_2d".'
    ]
    assert_drawn_at(page, embeddings()["X_umap_2d"])
    assert page.choose_embedding("gaps")["dimension"] == 2
    assert page.texts("#embedding-list [aria-disabled='true']") == [f"X_gaps\n{said}"]
    page.press_keys("#embedding", Keys.ESCAPE)
    page.choose_embedding("X_empty")
    assert page.find("#error-message").text.startswith('The embedding "X_empty" cannot be shown')
    page.click("#close-error")
    assert_drawn_at(page, embeddings()["X_umap_2d"])
    page.open(live, "d=2")
    page.click("#embedding")
    assert len(page.texts("#embedding-list [aria-disabled='true']")) == 2, "the server knows them"
    assert not [text for text in page.texts("#embedding-list .choice") if "names" in text]


def test_arrays_of_a_dimension_without_a_default(page: Page, serve: Any) -> None:
    """Then the first one is shown for the dimension, and the list says which one it is."""
    flat = atlas().obsm["X_umap_2d"]
    adata = AnnData(obsm={"X_umap": flat, "first": flat[:, :1], "other": -flat[:, :1]})
    server = serve(adata, AnnDataServer)
    assert page.open(server, "d=1")["dimension"] == 1
    assert page.texts("#notice p") == []
    assert shown_name(page) == "first"
    assert page.choose_embedding("other")["dimension"] == 1
    assert shown_name(page) == "other"
    page.show_dimension(2)
    assert page.open(server, "d=1&embedding=X_gone")["dimension"] == 1
    assert page.texts("#notice p") == [
        'This dataset has no embedding "X_gone". The page shows "first".'
    ]


def test_one_embedding_of_each_dimension_needs_no_list(page: Page, served: Any) -> None:
    page.open(served("uint8"))
    assert not page.is_shown("#embedding")
    assert page.texts("#dimensions button") == ["1D", "2D", "3D"]
