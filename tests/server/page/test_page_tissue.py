"""Tissue coordinates are drawn as squidpy draws them: y points down, and pixels stay square."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_data import ACROSS, CELLS, atlas
from paging import Page, needs_browser

from cellucid_dask import export

pytestmark = needs_browser

# What the modules of the page read of the dataset at the root: points of each embedding, and
# vectors on the default.
READ = """
const done = arguments[0];
const at = (path) => new URL(path, document.baseURI);
const load = (name) => import(at(`_cellucid/page/data/${name}.js`));
Promise.all([load("dataset"), load("reader")]).then(async ([{ Dataset }, { Reader }]) => {
  const reader = new Reader(at("."), new AbortController().signal, () => {});
  const dataset = new Dataset(await reader.readJson("dataset_identity.json"));
  await dataset.readFields(reader);
  const points = {};
  for (const embedding of dataset.embeddings) {
    points[embedding.id] = [...await dataset.readPoints(reader, embedding)];
  }
  const again = await dataset.readPoints(reader, 2);
  const vectors = await dataset.readVectors(reader, "drift_umap", 2);
  const found = ["", "X_umap_2d", "nothing"].map((id) => dataset.findEmbedding(id, 2).id);
  done({ embeddings: dataset.embeddings, points, again: [...again],
    vectors: [...vectors], found });
});
"""


def tissue() -> Any:
    """An atlas whose cells are spots of an image, wide and with the first row on top."""
    adata = atlas()
    column, row = np.arange(CELLS) % ACROSS, np.arange(CELLS) // ACROSS
    adata.obsm["spatial"] = np.column_stack([100 * column + 40, 100 * row + 7])
    return adata


@pytest.mark.parametrize("kind", ["live", "export"])
def test_an_image_is_upright(
    page: Page, serve: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    adata, named = tissue(), {2: ["spatial", "X_umap_2d"]}
    if kind == "export":
        export(adata, tmp_path / "out", quiet=True, embeddings=named)
    server = serve(tmp_path / "out") if kind == "export" else serve(adata, embeddings=named)
    page.open(server, "d=2&labels=0&color=obs:quarter")
    places, spots = page.cell_pixels(), adata.obsm["spatial"]
    scale = np.ptp(places, axis=0) / np.ptp(spots, axis=0)
    assert scale[0] == pytest.approx(scale[1], rel=1e-3), "pixels are square"
    np.testing.assert_allclose(places, (spots - spots[0]) * scale + places[0], atol=0.01)
    read = page.driver.execute_async_script(READ)
    listed = {entry["id"]: entry for entry in read["embeddings"]}
    assert {key: entry["dimension"] for key, entry in listed.items()} == {
        "X_umap_1d": 1,
        "spatial": 2,
        "X_umap_3d": 3,
        "X_umap_2d": 2,
    }
    assert [key for key in listed if not listed[key]["isDefault"]] == ["X_umap_2d"]
    assert [key for key in listed if listed[key]["yDown"]] == ["spatial"]
    assert read["found"] == ["spatial", "X_umap_2d", "spatial"]
    points = {key: np.reshape(found, (CELLS, -1)) for key, found in read["points"].items()}
    for key, sign in {"spatial": -1, "X_umap_2d": 1}.items():
        rising = np.argsort(sign * adata.obsm[key][:, 1], kind="stable")
        assert (np.diff(points[key][rising, 1]) >= 0).all(), key
    assert read["again"] == read["points"]["spatial"], "turned once"
    assert np.unique(np.sign(read["vectors"][1::2])).tolist() == [-1], (
        "vectors turn with the points"
    )


def test_exports_that_do_not_list_their_embeddings(
    page: Page, exports: Path, serve: Callable[..., Any]
) -> None:
    """Of older versions, and of others."""
    path = exports / "uint8" / "dataset_identity.json"
    identity = json.loads(path.read_text())
    del identity["embeddings"]["sources"]
    path.write_text(json.dumps(identity))
    page.open(serve(path.parent), "d=2&labels=0")
    read = page.driver.execute_async_script(READ)
    found = [(entry["id"], entry["isDefault"], entry["yDown"]) for entry in read["embeddings"]]
    assert found == [(f"{d}d", True, False) for d in (1, 2, 3)]
    assert len(read["points"]["3d"]) == 3 * CELLS
