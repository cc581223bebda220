"""What the page shows, in a real headless Chromium, against the real servers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_data import CELLS, FORMS, GROUPS, MISSING, QUARTERS, atlas, outlier_quantiles, stacked

from cellucid_dask import AnnDataServer, export

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, alone, counted, needs_browser, pixels_at, rgb
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

pytestmark = needs_browser

# The two ends and the middle of the maps of these names in matplotlib.
MAPS = {
    "viridis": ((68, 1, 84), (33, 145, 140), (253, 231, 37)),
    "cividis": ((0, 34, 78), (125, 124, 120), (254, 232, 56)),
    "magma": ((0, 0, 4), (183, 55, 121), (252, 253, 191)),
    "plasma": ((13, 8, 135), (204, 71, 120), (240, 249, 33)),
    "coolwarm": ((59, 76, 192), (221, 220, 220), (180, 4, 38)),
    "greys": ((230, 230, 230), (124, 124, 124), (17, 17, 17)),
}


def codes(key: str = "the group (x)") -> np.ndarray[Any, Any]:
    return atlas().obs[key].cat.codes.to_numpy()


def score() -> np.ndarray[Any, Any]:
    return atlas().obs["score"].to_numpy()


# ------------------------------------------------------------------------------------- colours


def test_cells_appear_in_the_colours_of_the_legend(page: Page, served: Any) -> None:
    state = page.open(served("uint8"), "d=2&labels=0")
    assert state == {
        "ready": True,
        "error": None,
        "nCells": CELLS,
        "drawn": CELLS,
        "colorBy": "obs:the group (x)",
        "dataset": "uint8",
        "dimension": 2,
    }
    assert page.texts("h1") == ["Atlas uint8"]
    assert page.texts("#dataset-counts") == [f"{CELLS} cells · 30 genes"]
    assert not page.seen("#dataset-control")
    names = [*GROUPS, "missing"]
    assert page.texts(".entry .text") == names
    cells = [int(text) for text in page.texts(".entry .number")]
    known = codes()
    assert cells == [*np.bincount(known[known >= 0]).tolist(), MISSING]
    swatches = np.array([page.swatch(name) for name in names])
    assert len(np.unique(swatches, axis=0)) == 4
    image, places = page.picture(), page.places()
    assert alone(places).all()
    assert (pixels_at(image, places) == swatches[known]).all()
    found = counted(image)
    assert sum(found[tuple(colour)] for colour in swatches.tolist()) > CELLS * 25
    assert found[page.ground()] > image.shape[0] * image.shape[1] - CELLS * 60

    state = page.choose("#color", "None")
    assert (state["colorBy"], state["drawn"]) == (None, CELLS)
    assert page.texts("#legend *") == []
    plain = np.unique(pixels_at(page.picture(), places), axis=0)
    assert len(plain) == 1
    assert plain.tolist()[0] not in swatches.tolist()


def test_live_data_looks_like_its_export(page: Page, serve: Any, served: Any) -> None:
    page.open(served("float32"), "edges=1&vectors=velocity_umap&outliers=0.9")
    exported = page.picture()
    state = page.open(serve(atlas(), AnnDataServer), page.hash())
    assert state["drawn"] == CELLS - (outlier_quantiles(atlas(), "the group (x)") > 0.9).sum()
    assert np.array_equal(page.picture(), exported)
    assert page.choose("#color", "score")["colorBy"] == "obs:score"


DECODE = """
const [folder, columnId, done] = arguments;
(async () => {
  const part = (name) => import(new URL(`_cellucid/page/${name}.js`, document.baseURI));
  const [{ Dataset }, { Reader }] = await Promise.all([part("dataset"), part("reader")]);
  const { signal } = new AbortController();
  const reader = new Reader(new URL(folder, document.baseURI), signal, () => {});
  const dataset = new Dataset(await reader.readJson("dataset_identity.json"));
  await Promise.all([dataset.readFields(reader), dataset.readGenes(reader)]);
  const column = await dataset.readColumn(reader, columnId);
  const values = [...column.codes.keys()].map((i) => column.value(i));
  const { lo, hi, missingCount } = column;
  done({ values, lo, hi, missingCount, edges: [...(await dataset.readEdges(reader, 1e6))] });
})();
"""


def test_all_forms_are_decoded(page: Page, serve: Any, exports: Path) -> None:
    """Quantized and float32 values, compressed or not, and edges of any width."""
    adata = atlas()
    for name, dtype in (("uint16", "uint32"), ("float32", "uint64")):
        widen_edges(exports / name, dtype)
    page.open(serve(exports), "dataset=uint8")
    expected = edges_of(exports / "float32", "uint64").ravel().tolist()
    columns = {"obs:score": score(), "gene:Gene7": adata[:, "Gene7"].X.toarray().ravel()}
    for form, options in FORMS.items():
        for colour, values in columns.items():
            found = page.driver.execute_async_script(DECODE, f"{form}/", colour)
            lo, hi = np.nanmin(values), np.nanmax(values)
            assert (found["lo"], found["hi"]) == pytest.approx((lo, hi))
            assert found["missingCount"] == np.isnan(values).sum()
            bits = options["var_quantization"]
            step = (hi - lo) / (2**bits - 2) if bits else 1e-9
            read = np.array(found["values"], float)
            assert np.array_equal(np.isnan(read), np.isnan(values))
            assert np.nanmax(np.abs(read - values)) <= 1.01 * step, (form, colour)
        assert found["edges"] == expected


def edges_of(folder: Path, dtype: str) -> np.ndarray[Any, Any]:
    parts = (np.fromfile(folder / f"connectivity/edges.{end}.bin", dtype) for end in ("src", "dst"))
    return np.column_stack(list(parts))


def widen_edges(folder: Path, dtype: str) -> None:
    """Rewrite an export of few cells as one of many has its edges."""
    manifest = json.loads((folder / "connectivity_manifest.json").read_text())
    for key in ("sourcesPath", "destinationsPath"):
        stored = (folder / manifest[key]).read_bytes()
        raw = gzip.decompress(stored) if manifest[key].endswith(".gz") else stored
        wide = np.frombuffer(raw, manifest["index_dtype"]).astype(dtype).tobytes()
        (folder / manifest[key]).write_bytes(
            gzip.compress(wide) if manifest[key].endswith(".gz") else wide
        )
    manifest.update(index_dtype=dtype, index_bytes=np.dtype(dtype).itemsize)
    (folder / "connectivity_manifest.json").write_text(json.dumps(manifest))


def test_values_on_the_scale(page: Page, served: Any) -> None:
    """A range, a logarithm and a map give each cell the colour of its value."""
    page.open(served("uint16"), "d=2&color=obs:score")
    places, values = page.places(), score()
    grey = rgb(page.one(".note .swatch").value_of_css_property("background-color"))
    assert page.texts("#legend .note") == [f"{MISSING} cells without a value"]
    there = ~np.isnan(values)
    lo, hi = np.nanmin(values), np.nanmax(values)

    def seen(low: float, high: float, *, log: bool, name: str) -> None:
        """Ends, middle and what is beyond of the scale are at the cells of these values."""
        found = pixels_at(page.picture(), places).astype(int)
        assert (found[~there] == grey).all()
        scaled, ends = (np.log(values), np.log([low, high])) if log else (values, [low, high])
        at = (scaled - ends[0]) / (ends[1] - ends[0])
        cases = (at <= 0.002, np.abs(at - 0.5) < 0.004, at >= 0.998)
        for which, colour in zip(cases, MAPS[name], strict=True):
            assert which.any() or name != "viridis"
            assert np.abs(found[which] - colour).max(initial=0) <= 3, (name, colour)
        steps = np.abs(np.diff(found[there][np.argsort(values[there])], axis=0)).sum(axis=1)
        assert steps.max() < 400 if log else 800
        drawn = [float(text.replace(",", "")) for text in page.texts(".range-limits span")]
        assert drawn == pytest.approx([low, high], rel=1e-3)

    seen(lo, hi, log=False, name="viridis")
    page.keys("#log", Keys.SPACE)
    assert page.js("return document.activeElement.id") == "log", "the focus stays"
    for name in MAPS:
        page.choose("#map", name)
        seen(lo, hi, log=True, name=name)
    assert page.texts("#map option") == list(MAPS)
    page.choose("#map", "viridis")

    def handles() -> list[Any]:
        return page.driver.find_elements("css selector", ".handle")

    low, high = handles()
    low.send_keys(*[Keys.PAGE_UP] * 3)  # each a tenth of the bar
    high.send_keys(Keys.PAGE_DOWN)
    page.state()
    ends = lo * (hi / lo) ** 0.3, lo * (hi / lo) ** 0.9
    seen(*ends, log=True, name="viridis")
    assert float(low.get_attribute("aria-valuetext")) == pytest.approx(ends[0], rel=1e-3)
    low.send_keys(Keys.END)  # stops below the other
    assert page.texts(".range-limits span")[0] < page.texts(".range-limits span")[1]
    page.click("#legend .small-button")
    seen(lo, hi, log=True, name="viridis")

    page.hold(".handle:nth-of-type(2)", 1, 0.8, 1.05, 0.5)  # by the pointer, there and back
    middle = float(page.texts(".range-limits span")[1])
    assert middle == pytest.approx(np.sqrt(lo * hi), rel=0.05)
    seen(lo, middle, log=True, name="viridis")


def test_categories_are_hidden_and_shown(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&labels=0")
    places, known = page.places(), codes()
    names = np.array([*GROUPS, "missing"])[known]
    colours = {name: page.swatch(name) for name in (*GROUPS, "missing")}
    ground = page.ground()

    def seen(*shown: str) -> None:
        assert page.state()["drawn"] == np.isin(names, shown).sum()
        expected = [colours[name] if name in shown else ground for name in names]
        assert (pixels_at(page.picture(), places) == expected).all()
        pressed = "return [...document.querySelectorAll('.entry')].map((e) => e.ariaPressed)"
        told = dict(zip(page.texts(".entry .text"), page.js(pressed), strict=True))
        assert {name for name, on in told.items() if on == "true"} == set(shown)

    page.entry("b").click()
    seen("ä/1", "c", "missing")
    drawn = int((names != "b").sum())
    assert page.one("#status").text.startswith(f"{drawn} of {CELLS} cells")
    page.show(3)  # what is hidden stays so
    assert colours["b"] not in page.colours()
    page.show(2)
    page.mouse.move_to_element(page.entry("c")).perform()
    page.click(".only[title^='Show only c']")
    seen("c")
    page.click(".only[title^='Show only c']")
    seen(*colours)
    page.click(".small-button[title='Hide all']")
    seen()
    page.entry("missing").click()
    seen("missing")
    page.click(".small-button[title='Show all']")
    seen(*colours)

    # With the keyboard: one stop, arrows from row to row, Shift+Enter alone.
    stops = "return [...document.querySelectorAll('.entry')].map((e) => e.tabIndex)"
    assert sorted(page.js(stops)) == [-1, -1, -1, 0]
    page.entry("ä/1").send_keys(Keys.ARROW_DOWN)
    assert page.js(stops) == [-1, 0, -1, -1]
    page.driver.switch_to.active_element.send_keys(Keys.SPACE)
    seen("ä/1", "c", "missing")
    page.driver.switch_to.active_element.send_keys(Keys.END, Keys.ARROW_UP)
    active = page.driver.switch_to.active_element
    assert active.get_attribute("title") == "c"
    page.mouse.key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()
    seen("c")
    page.driver.switch_to.active_element.send_keys(Keys.HOME, Keys.ENTER)
    seen("c", "ä/1")


def test_a_category_is_found_among_many(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&labels=0&color=obs:many")
    names = page.texts(".entry .text")
    assert names == [f"kind {i:02d}" for i in range(40)]
    assert len({page.swatch(name) for name in names}) == 40
    find = page.one("#legend input[type='search']")
    find.send_keys("KIND 3")
    assert page.texts(".entry .text") == names[30:]
    page.entry("kind 31").click()
    assert page.state()["drawn"] == CELLS - 10
    find.send_keys("x")
    assert page.texts("#legend .note") == ["no category matches"]
    find.send_keys(*[Keys.BACKSPACE] * 7)
    assert page.texts(".entry .text") == names
    assert page.entry("kind 31").get_attribute("aria-pressed") == "false"


def test_what_lies_on_top(page: Page, serve: Any, tmp_path: Path) -> None:
    """Cells at the same places: high values above low ones above missing ones, in any order."""
    for upside_down in (False, True):
        folder = tmp_path / f"{upside_down}"
        adata = stacked(upside_down=upside_down)
        export(adata, folder, quiet=True, centroid_min_points=1, dataset_id=f"{upside_down}")
    server = serve(tmp_path)
    for name in ("False", "True"):
        page.open(server, f"dataset={name}&color=obs:kind&labels=0")
        grey, seen = page.swatch("missing"), page.swatch("seen")
        colours = page.colours()
        assert grey not in colours
        assert colours[seen] > 300
        page.choose("#color", "value")
        assert grey not in page.colours()
        page.show(2)
        found = pixels_at(page.picture(), page.places())
        assert (found == MAPS["viridis"][2]).all(), "the end of the colour bar"
        page.point(page.places()[30])
        page.until("!document.getElementById('tooltip').hidden")
        assert page.one("#tooltip").text.endswith(" · value: 9"), "the cell on top"
        page.slide("#opacity", 0.5)
        found = pixels_at(page.picture(), page.places()).astype(int)
        assert (found[:, 2] < 140).all(), "what is missing is beneath"


def test_the_outlier_filter(page: Page, served: Any) -> None:
    """Each category without the cells that are farthest from its mean; others have none."""
    adata = atlas()
    for name in ("uint8", "float32"):
        page.open(served(name), "d=2&labels=0")
        places, ground = page.places(), page.ground()
        far = outlier_quantiles(adata, "the group (x)")
        colours = np.array([page.swatch(text) for text in (*GROUPS, "missing")])[codes()]
        for quantile in (0.8, 0.5, 1) if name == "uint8" else (0.8,):
            state = page.slide("#outliers", quantile)
            slack = 1 / 254 if name == "uint8" else 1e-6
            sure = np.abs(far - quantile) > slack
            shown = np.isnan(far) | (far <= quantile) | (quantile == 1)
            found = pixels_at(page.picture(), places)
            expected = np.where(shown[:, None], colours, ground)
            assert (found == expected)[sure | np.isnan(far)].all()
            assert abs(state["drawn"] - shown.sum()) <= (~sure).sum()
            assert state["drawn"] == (found != ground).any(axis=1).sum()
            percent = f"farthest {round(100 - 100 * quantile)}% hidden"
            told = percent if quantile < 1 else "off"
            assert page.texts("#legend output") == [told]
            assert page.one("#outliers").get_attribute("aria-valuetext") == told
        if name == "uint8":  # by the pointer, which holds the slider while the file comes
            page.reload()
            page.hold("#outliers", 1, 0.9, 0.5)
            assert float(page.one("#outliers").get_attribute("value")) == pytest.approx(
                0.51, abs=0.02
            )
    page.entry("b").click()  # together with what is hidden
    shown &= codes() != 1
    assert page.state()["drawn"] == shown.sum()
    page.choose("#color", "quarter")  # each field has a filter of its own
    assert page.state()["drawn"] == CELLS
    assert page.one("#outliers").get_attribute("value") == "1"
    page.choose("#color", "the group (x)")
    assert page.state()["drawn"] == shown.sum()
    assert page.one("#outliers").get_attribute("value") == "0.8"
    page.choose("#color", "score")
    assert page.driver.find_elements("css selector", "#outliers") == []


def test_labels_stand_at_the_centroids(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&color=obs:quarter")
    places, known = page.places(), codes("quarter")
    page.display()
    page.click("#labels")
    assert page.js("return cellucid.labels") == 0
    bare = page.picture()
    page.click("#labels")
    image = page.picture()
    assert page.js("return cellucid.labels") == 4
    changed = (image != bare).any(axis=2)
    for code, name in enumerate(QUARTERS):
        x, y = places[known == code].mean(axis=0)
        box = changed[int(y) - 12 : int(y) + 12, int(x) - 60 : int(x) + 60]
        assert box.sum() > 150, name
        columns = np.flatnonzero(box.any(axis=0))
        assert np.mean(columns[[0, -1]]) == pytest.approx(60, abs=6), name
        changed[int(y) - 12 : int(y) + 12, int(x) - 60 : int(x) + 60] = False
    assert not changed.any(), "nothing else"
    page.entry("south east").click()
    page.state()
    assert page.js("return cellucid.labels") == 3
    for dimension in (1, 3):
        page.show(dimension)
        assert page.js("return cellucid.labels") >= 1
    page.choose("#color", "score")
    assert page.js("return cellucid.labels") == 0


# --------------------------------------------------------------------------------------- genes


def test_genes_are_completed(page: Page, serve: Any, exports: Path) -> None:
    folder = exports / "uint8"
    path = folder / "var_manifest.json"
    manifest = json.loads(path.read_text())
    real, other = (field[0] for field in manifest["fields"][3:5])
    manifest["fields"] += [[f"MADE-{i}", 0, 1] for i in range(60_000)]
    path.write_text(json.dumps(manifest))
    page.open(serve(folder), "d=2")
    gene = page.one("#gene")
    gene.send_keys("made-5")
    matches = page.texts("#gene-matches [role='option']")
    assert len(matches) == 30
    assert matches[0] == "MADE-5"
    gene.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP)
    assert page.texts("#gene-matches [aria-selected='true']") == [matches[1]]
    assert gene.get_attribute("aria-activedescendant") == "match-1"
    gene.send_keys("x")
    assert page.texts("#gene-matches *") == ["no gene matches"]
    assert page.texts("#gene-matches [aria-selected='true']") == []
    gene.send_keys(Keys.ENTER, Keys.ESCAPE)
    assert not page.seen("#gene-matches")
    assert page.state()["colorBy"] == "obs:the group (x)", "nothing was chosen"
    gene.clear()
    gene.send_keys(real.lower())
    assert page.texts("#gene-matches [role='option']")[0] == real
    assert page.click("#gene-matches [role='option']")["colorBy"] == f"gene:{real}"
    found = pixels_at(page.picture(), page.places())
    values = atlas()[:, real].X.toarray().ravel()
    assert tuple(found[values.argmax()]) == MAPS["viridis"][2]
    assert (found[values == 0] == MAPS["viridis"][0]).all()
    lo, hi = (float(text) for text in page.texts(".range-limits span"))
    assert (lo, hi) == pytest.approx((0, values.max()), rel=1e-3)
    state = page.keys("#gene", other, Keys.ENTER)
    assert state["colorBy"] == f"gene:{other}", "typed over the last one"
    assert page.texts("#gene-group option") == [real, other]
    assert page.choose("#color", real)["colorBy"] == f"gene:{real}"
    assert gene.get_attribute("value") == real
    page.choose("#color", "score")
    assert gene.get_attribute("value") == ""
    assert Select(page.one("#color")).first_selected_option.text == "score"


def test_an_export_without_genes(page: Page, serve: Any, tmp_path: Path) -> None:
    export(atlas(), tmp_path / "export", quiet=True, expression=False)
    assert page.open(serve(tmp_path / "export"))["ready"]
    assert not page.one("#gene").is_enabled()
    assert page.texts("#dataset-counts") == [f"{CELLS} cells · 0 genes"]
