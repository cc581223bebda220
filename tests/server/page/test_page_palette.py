"""Colors of categories: of the table, of the file, of the user."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_data import GROUP, GROUPS, codes

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Color, Page, needs_browser, pixels_at

from cellucid_dask.previewer.colors import category_shades

pytestmark = needs_browser


def test_colors_are_of_the_user_else_of_the_file_else_of_the_table(
    page: Page, serve: Any, exports: Path
) -> None:
    """In the legend and at the cells; a link has those of the user."""
    manifest = exports / "uint8" / "obs_manifest.json"
    fields = json.loads(manifest.read_text())
    fields["_categoryColors"] = {GROUP: ["#ff0000", "#00ff00", "#0000ff"]}
    manifest.write_text(json.dumps(fields))
    server = serve(exports / "uint8")
    table = [tuple(map(int, shade)) for shade in category_shades(40)]

    def seen(key: str, names: list[str], colors: list[Color]) -> None:
        page.color_by(key)
        assert [page.swatch(name) for name in names] == colors
        known = codes(key)
        places, image = page.cell_pixels()[known >= 0], page.picture()
        assert (pixels_at(image, places) == np.array(colors)[known[known >= 0]]).all()

    page.open(server, "d=2&labels=0")
    of_file = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    seen(GROUP, [*GROUPS], of_file)
    seen("many", [f"kind {i:02d}" for i in range(40)], table)

    edits = f"colors=1-123456:obs:{GROUP}&colors=3-ff00ff,39-00ffff:obs:many"
    page.open(server, f"d=2&labels=0&{edits}")
    seen(GROUP, [*GROUPS], [of_file[0], (0x12, 0x34, 0x56), of_file[2]])
    table[3], table[39] = (255, 0, 255), (0, 255, 255)
    seen("many", [f"kind {i:02d}" for i in range(40)], table)
    assert "colors=3-ff00ff,39-00ffff:obs:many" in page.hash().replace("%2C", ",")
