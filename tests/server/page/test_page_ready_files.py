"""Ready files in the page: named by their record, drawn as the export of their data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_data import CELLS, GROUP, atlas

from cellucid_dask import export

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, needs_browser

pytestmark = needs_browser


@pytest.mark.parametrize("kind", ["h5ad", "zarr.zip"])
def test_a_ready_file_looks_like_its_export(
    page: Page, serve: Any, served: Any, tmp_path: Path, kind: str
) -> None:
    names = {"dataset_id": "float32", "dataset_name": "Atlas float32"}
    export(atlas(), tmp_path / f"any.{kind}", format=kind, quiet=True, **names)
    pictures = []
    for server in (served("float32"), serve(tmp_path / f"any.{kind}")):
        state = page.open(server, "d=2")
        assert (state["nCells"], state["colorBy"]) == (CELLS, f"obs:{GROUP}")
        assert page.texts("h1") == ["Atlas float32"]
        page.open_display()
        page.click("#edges")
        seen = [page.picture()]
        for link in ("d=3&color=obs:score", "d=2&color=gene:Gene2"):
            page.open(server, link)
            seen.append(page.picture())
        pictures.append(seen)
    for one, other in zip(*pictures, strict=True):
        assert np.array_equal(one, other)
