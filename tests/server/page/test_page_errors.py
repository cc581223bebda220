"""What the page shows while it loads, and when something cannot be loaded or drawn."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import numpy as np
import pytest
from page_data import CELLS, GROUP, atlas, names, outlier_quantiles
from serving import wait_until

from cellucid_dask import export
from cellucid_dask.synthetic import AtlasSpec, make_anndata

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import (
    BARE,
    FAILED_REQUEST,
    Page,
    count_colors,
    decode_png,
    far_from_others,
    needs_browser,
    pixels_at,
    swatches,
)

pytestmark = needs_browser


DELAY_RESPONSES = """
const real = window.fetch;
const held = new Promise((release) => { window.release = release; });
window.fetch = async (url, options) => {
  if (!url.pathname.includes(arguments_[0])) return real(url, options);
  const response = await real(url); // also when the page has lost interest in it
  const body = await response.arrayBuffer();
  await held;
  return new Response(body);
};
""".replace("arguments_", "given")


def delay_responses(page: Page, part: str) -> None:
    """Delay responses to paths with this part until ``release()``."""
    page.js(f"const given = arguments; {DELAY_RESPONSES}", part)


def test_last_of_two_choices_wins_and_progress_is_shown(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&labels=0")
    assert not page.is_shown("#progress")
    delay_responses(page, "score")
    page.type_color("score")
    assert page.is_shown("#progress")
    assert page.find("#status").text.startswith("Loading obs/score.values.u8.gz…")
    state = page.js("return cellucid.ready")
    assert not state
    shown = page.cell_pixels()
    assert len(shown) == CELLS, "the cells stay meanwhile"
    page.driver.execute_async_script("setTimeout(arguments[0], 100)")
    image = decode_png(base64.b64decode(page.find("#cells").screenshot_as_base64))
    assert count_colors(image)[page.swatch("b")] > 300, "and their colors, and the legend"
    assert page.js("return document.getElementById('legend').inert"), "which takes no clicks"
    assert page.color_by("quarter")["colorBy"] == "obs:quarter"
    assert not page.is_shown("#progress")
    assert not page.js("return document.getElementById('legend').inert")
    page.js("window.release()")
    page.driver.execute_async_script("setTimeout(arguments[0], 50)")
    assert page.state()["colorBy"] == "obs:quarter"
    assert page.texts("h2")[0] == "quarter"
    assert page.texts(".color-bar") == []
    assert page.color_by("score")["colorBy"] == "obs:score"


def test_broken_file_is_an_error_until_a_retry_succeeds(
    page: Page, serve: Any, exports: Path
) -> None:
    """A file that is missing, cut short, not gzip, or of another length."""
    page.expected_errors = (FAILED_REQUEST,)
    folder = exports / "uint8"
    cases = {"score": "404", "quarter": "cut short", "many": "damaged", "Gene3": "398 bytes"}
    paths = {key: next(folder.glob(f"*/{key}.[vc]*")) for key in cases}
    good = {key: path.read_bytes() for key, path in paths.items()}
    paths["score"].unlink()
    paths["quarter"].write_bytes(good["quarter"][: len(good["quarter"]) // 2])
    paths["many"].write_bytes(b"no gzip")
    paths["Gene3"].write_bytes(gzip.compress(gzip.decompress(good["Gene3"])[:-2]))
    page.open(serve(folder), "d=2&labels=0")
    before, entries = page.picture(), page.texts("#legend *")
    for key, word in cases.items():
        state = page.color_by(key)
        assert not state["ready"]
        path = paths[key].relative_to(folder).as_posix()
        assert state["error"]["path"] == path
        assert state["error"]["status"] == (404 if word == "404" else 0)
        message = page.find("#error-message").text
        what = "gene" if key == "Gene3" else "column"
        assert message.startswith(f"Could not load {what} {key}: {path}: ")
        assert word in message
        assert (state["colorBy"], page.texts("#legend *")) == (f"obs:{GROUP}", entries)
        assert np.array_equal(page.picture(), before), "the picture stays"
    for key, path in paths.items():
        path.write_bytes(good[key])
    touch_identity(folder)
    retry_until_loaded(page)
    assert page.state()["colorBy"] == "gene:Gene3"
    assert page.color_by("score")["colorBy"] == "obs:score"


def touch_identity(folder: Path) -> None:
    """Touch the identity file, which an export writes last, so that the server reads it again."""
    identity = folder / "dataset_identity.json"
    identity.write_bytes(identity.read_bytes())


def retry_until_loaded(page: Page) -> None:
    """Click Retry until it helps: the server looks for a new export once a second."""
    page.wait_until(
        "(cellucid.ready && !cellucid.error)"
        " || (cellucid.error && !document.getElementById('retry').click() && false)"
    )
    page.state()
    assert not page.is_shown("#error")


def test_filters_that_cannot_be_loaded_are_off_and_the_others_apply(
    page: Page, serve: Any, exports: Path
) -> None:
    """Also a group whose column is missing; Retry or a reload applies them, once they are there."""
    page.expected_errors = (FAILED_REQUEST,)
    folder, gene = exports / "uint8", np.asarray(atlas()[:, "Gene3"].X.todense()).ravel()
    paths = [next(folder.glob(f"obs/{name}*")) for name in ("quarter.codes", "the_group*outliers")]
    good = [path.read_bytes() for path in paths]
    paths[0].unlink()
    paths[1].write_bytes(b"no gzip")
    cells = quote(json.dumps(["g1", "North", "#d55e00", "in:0,1:obs:quarter"]))
    link = f"{BARE}&filter=out:0:obs:quarter&filter=range:1,:gene:Gene3"
    link += f"&filter=outliers:0.5:obs:{quote(GROUP)}&filter=group:g1&group={cells}"
    state = page.open(serve(folder), link)
    texts = [f"{GROUP}: without the farthest 50%", "quarter: not north east", "in North"]

    def assert_off(state: dict[str, Any]) -> None:
        assert state["ready"]
        assert state["drawn"] == (gene >= 1).sum()
        assert sorted(page.texts(".filter-chip.off .chip-text")) == sorted(texts)
        assert page.texts(".filter-chip.off .note") == ["could not be loaded"] * 3
        assert page.texts(".group-list .number") == ["not loaded"]
        said = page.find("#error-message").text
        files = [path.relative_to(folder).as_posix() for path in paths]
        assert [said.count(part) for part in (*files, *texts)] == [1] * 5
        assert 'group "North"' in said

    assert_off(state)
    assert_off(page.reload())
    before = page.picture()
    page.click(".filter-chip.off input")
    assert page.texts(".filter-chip.off .note") == ["could not be loaded"] * 3
    assert np.array_equal(page.picture(), before), "and the picture stays"
    assert not page.find("#undo").is_enabled()
    assert_off(page.reload())
    page.entry("b").click()  # the message stays, and Retry keeps this change
    for path, contents in zip(paths, good, strict=True):
        path.write_bytes(contents)
    touch_identity(folder)
    retry_until_loaded(page)
    quantiles, quarter = outlier_quantiles(atlas(), GROUP), names("quarter")
    kept = (gene >= 1) & ~(quantiles > 0.5) & (quarter == "north west") & (names() != "b")
    assert page.state()["drawn"] == kept.sum() > 0
    told = page.texts(".group-list .number")
    assert [text.split()[-1] for text in told] == [str((quarter < "o").sum())]
    page.click("#undo")
    page.wait_until("document.querySelectorAll('#filters .filter-chip').length === 4")


def test_undo_and_redo_know_nothing_of_a_change_that_failed(
    page: Page, serve: Any, exports: Path
) -> None:
    """One press takes back the last change that was shown, and what could be redone stays."""
    page.expected_errors = (FAILED_REQUEST,)
    next((exports / "uint8").glob("obs/score.*")).unlink()

    def go(press: str, color: str, *, undo: bool, redo: bool) -> None:
        page.driver.back() if press == "back" else page.click(press)
        page.wait_until(f"cellucid.ready && cellucid.colorBy === 'obs:{color}'")
        assert page.state()["error"] is None
        can_undo_redo = [page.find(button).is_enabled() for button in ("#undo", "#redo")]
        assert can_undo_redo == [undo, redo]

    page.open(serve(exports / "uint8"), BARE)
    page.color_by("quarter")
    assert page.color_by("score")["error"]
    assert page.hash() == "d=2&color=obs:quarter&labels=0"
    go("#undo", GROUP, undo=False, redo=True)
    go("#redo", "quarter", undo=True, redo=False)
    go("back", GROUP, undo=False, redo=True)
    assert page.color_by("score")["error"]
    go("#redo", "quarter", undo=True, redo=False)
    page.color_by("many")
    go("#undo", "quarter", undo=True, redo=True)
    delay_responses(page, "Gene3")
    page.type_color("Gene3")  # takes back what still loads
    go("#undo", "quarter", undo=True, redo=True)
    go("#redo", "many", undo=True, redo=False)


def test_dataset_stays_if_another_one_is_broken(page: Page, serve: Any, exports: Path) -> None:
    """With its picture, legend and controls, which all work; also if Back fails."""
    page.expected_errors = (FAILED_REQUEST,)
    page.open(serve(exports), f"{BARE}&dataset=uint8&filter=out:0:obs:{GROUP}")
    page.drag((300, 300), (260, 280))
    page.find("#datasets").send_keys("")  # the outline of what has the focus is in the picture
    shown = "h1, h2, #legend .entry, #filters, #dataset-counts"
    page.wait_until("location.hash.includes('&at=')")
    before = page.picture(), page.texts(shown), page.hash()

    def move(paths: list[Path], folder: Path) -> list[Path]:
        return [path.rename(folder / path.name) for path in paths]

    for name, files in (("uint16", "dataset_identity.json"), ("float32", "points_*")):
        moved = move([*(exports / name).glob(files)], exports)
        page.choose("#datasets", f"Atlas {name}")
        said = page.find("#error-message").text
        assert [path.name for path in moved if path.name not in said] == []
        assert np.array_equal(page.picture(), before[0])
        assert (page.texts(shown), page.hash()) == before[1:]
        assert page.js("return document.getElementById('datasets').value") == "/uint8/"
        move(moved, exports / name)
    retry_until_loaded(page)
    assert page.state()["dataset"] == "float32"
    moved = move([*(exports / "uint8").glob("points_*")], exports)
    page.driver.back()
    page.wait_until("cellucid.error && history.state.index === 1")
    assert page.state()["dataset"] == "float32"
    assert len(page.texts(".entry")) == 4
    move(moved, exports / "uint8")
    touch_identity(exports / "uint8")
    retry_until_loaded(page)
    assert page.texts(shown) == before[1]


def test_cells_stay_if_outliers_vectors_or_edges_are_broken(
    page: Page, serve: Any, exports: Path
) -> None:
    """After the file is repaired, Retry shows what was missing."""
    folder = exports / "uint8"
    page.expected_errors = (FAILED_REQUEST,)
    page.open(serve(folder), "d=2&labels=0")
    page.open_display()
    changes = {
        f"obs/{next((folder / 'obs').glob('the_group*outliers*')).name}": lambda: page.set_slider(
            "#outliers", 0.8
        ),
        "vectors/velocity_umap_2d.bin.gz": lambda: page.choose("#vectors", "Velocity (UMAP)"),
        "connectivity/edges.dst.bin.gz": lambda: page.click("#edges"),
    }
    for number, (name, change) in enumerate(changes.items()):
        good = (folder / name).read_bytes()
        (folder / name).write_bytes(b"noise") if number else (folder / name).unlink()
        touch_identity(folder)
        before = page.picture()
        state = change()
        assert state["error"]["path"] == name
        assert name in page.find("#error-message").text
        assert len(page.texts(".entry")) == 4
        hidden = page.picture()
        assert np.array_equal(hidden, before), "the cells stay as they were"
        (folder / name).write_bytes(good)
        touch_identity(folder)
        retry_until_loaded(page)
        assert not np.array_equal(page.picture(), before), "what was asked for is seen"


def test_a_link_opens_without_the_colors_labels_vectors_and_edges_that_are_broken(
    page: Page, serve: Any, exports: Path
) -> None:
    """One message names them; Retry shows what the link asks for."""
    folder = exports / "uint8"
    patterns = ("obs/score.values*", "vectors/velocity_umap_2d*", "connectivity/edges.dst*")
    paths = [next(folder.glob(pattern)) for pattern in (*patterns, "obs/the_group*codes*")]
    good = [path.read_bytes() for path in paths]
    link = "d=2&color=obs:score&vectors=velocity_umap&edges=1"
    page.open(serve(folder), link)
    whole = page.picture()
    for path in paths[:3]:
        path.write_bytes(b"no gzip")
    touch_identity(folder)
    state = page.reload()
    assert (state["ready"], state["drawn"], state["colorBy"]) == (True, CELLS, None)
    lines = ["The cells have no colors.", "Vectors are off.", "Edges are off."]
    files = [path.relative_to(folder).as_posix() for path in paths]

    def said() -> list[int]:
        text = page.find("#error-message").text
        return [text.count(part) for part in (*files, *lines, "There are no labels.")]

    assert said() == [1, 1, 1, 0, 1, 1, 1, 0]
    assert page.hash() == link, "a reload asks for them again"
    for path, contents in zip(paths, good, strict=True):
        path.write_bytes(contents)
    touch_identity(folder)
    retry_until_loaded(page)
    assert np.array_equal(page.picture(), whole)
    paths[3].write_bytes(b"no gzip")
    touch_identity(folder)
    state = page.reload()
    assert said() == [0, 0, 0, 1, 0, 0, 0, 1]
    assert (state["ready"], state["colorBy"]) == (True, "obs:score")
    assert page.color_by("Gene3")["error"] is None, "it is said once"


def test_another_embedding_is_shown_if_that_of_the_link_is_broken(
    page: Page, serve: Any, exports: Path
) -> None:
    """One message names all that is broken, once each; without any embedding it says that."""
    page.expected_errors = (FAILED_REQUEST,)
    folder = exports / "uint8"
    paths = [folder / f"points_{d}d.bin.gz" for d in (3, 1, 2)]
    paths.append(next(folder.glob("obs/quarter.codes*")))
    good = [path.read_bytes() for path in paths]

    def said() -> list[int]:
        text = page.find("#error-message").text
        return [text.count(path.relative_to(folder).as_posix()) for path in paths]

    def shown_name() -> str:
        return page.find("#embedding").get_property("value")

    for path in (paths[0], paths[3]):
        path.write_bytes(b"no gzip")
    link = (
        f"labels=0&lasso=3,0,0,0,0,1,0,1,1&filter=in:0:obs:quarter&filter=in:1:obs:{quote(GROUP)}"
    )
    state = page.open(serve(folder), link)
    drawn = (names() == "b").sum()
    assert (state["ready"], state["dimension"], state["drawn"]) == (True, 2, drawn)
    assert said() == [1, 0, 0, 1]
    assert "An outline of the selection is left out." in page.find("#error-message").text
    assert not page.is_shown("#selection")
    assert 'The page shows "X_umap_2d".' in page.find("#error-message").text
    assert page.find("#status").text.startswith(f"{drawn} of 400 cells in 2D")
    assert shown_name() == "X_umap_2d"
    before = page.picture()
    page.click("#retry")
    assert said() == [1, 0, 0, 1]
    assert np.array_equal(page.picture(), before), "the picture stays"
    page.show_dimension(3)
    assert said() == [1, 0, 0, 0]
    assert np.array_equal(page.picture(), before), "the picture stays"
    page.click("#embedding")
    (text,) = page.texts("#embedding-list [aria-disabled='true']")
    assert text.startswith("X_umap_3d\ncannot be shown: points_3d.bin.gz: cut short or damaged")
    for path in paths[1:3]:
        path.unlink()
    page.open(serve(folder), "labels=0")
    assert said() == [1, 1, 1, 0]
    assert page.find("#status").text == "Loading failed."
    for path, contents in zip(paths, good, strict=True):
        path.write_bytes(contents)
    touch_identity(folder)
    retry_until_loaded(page)
    assert page.state()["dimension"] == 3
    assert not page.is_shown("#embedding"), "there is nothing to say of the embeddings"
    paths[0].write_bytes(b"no gzip")
    touch_identity(folder)
    at = "at=0.1,0.2,3,0.5,0.4"
    assert page.open(serve(folder), f"d=3&labels=0&{at}")["dimension"] == 2
    assert shown_name() == "X_umap_2d"
    paths[0].write_bytes(good[0])
    touch_identity(folder)
    retry_until_loaded(page)
    assert page.state()["dimension"] == 3
    page.wait_until(f"location.hash.includes('{at}')")


@pytest.mark.parametrize("name", ["points_3d.bin.gz", "obs_manifest.json"])
def test_retry_loads_a_required_file_that_was_missing(page: Page, served: Any, name: str) -> None:
    page.open(served("uint8"))
    page.cdp("Network.enable")
    page.cdp("Network.setBlockedURLs", urls=[f"*/{name}"])
    page.expected_errors = (FAILED_REQUEST,)
    try:
        state = page.reload()
        assert state["error"]["path"] == name
        assert f"{name}: no answer from the server" in page.find("#error-message").text
        assert page.texts("h1") == ["Atlas uint8"]
    finally:
        page.cdp("Network.setBlockedURLs", urls=[])
        page.cdp("Network.disable")
    state = page.click("#retry")
    assert state["ready"]
    assert (state["drawn"], state["colorBy"]) == (CELLS, f"obs:{GROUP}")
    assert page.color_counts()[page.swatch("b")] > 500


def test_new_export_is_not_mixed_with_what_is_shown_and_retry_shows_it(
    page: Page, serve: Any, exports: Path
) -> None:
    """It has as many cells, in another order; then fewer."""
    folder = exports / "uint8"
    server = serve(folder)
    page.open(server, BARE)
    opened, before = page.js("return performance.now()"), page.picture()
    shutil.rmtree(folder)
    export(atlas()[::-1].copy(), folder, quiet=True, dataset_name="turned", obs_quantization=8)

    def is_seen() -> bool:
        with urlopen(f"{server.url}/dataset_identity.json") as response:
            return json.load(response)["name"] == "turned"

    wait_until(is_seen, "the server looks for a new export once a second")
    page.wait_until(f"performance.now() > {opened + 1000}")
    state = page.color_by("quarter")
    assert (state["colorBy"], state["error"]["path"]) == (f"obs:{GROUP}", "obs/quarter.codes.u8.gz")
    assert "other data" in page.find("#error-message").text
    assert np.array_equal(page.picture(), before)
    assert page.click("#retry")["colorBy"] == "obs:quarter"
    places = page.cell_pixels()
    shown = pixels_at(page.picture(), places)[far_from_others(places)]
    assert (shown == swatches(page, "quarter")[::-1][far_from_others(places)]).all()
    shutil.rmtree(folder)
    export(make_anndata(AtlasSpec(cells=300, genes=5)), folder, quiet=True)
    assert page.show_dimension(3)["error"]["path"].startswith("points_3d")
    state = page.click("#retry")
    assert (state["error"], state["drawn"]) == (None, 300)


def test_browser_without_webgl2_gets_an_error(page: Page, served: Any) -> None:
    hide = "HTMLCanvasElement.prototype.getContext = () => null"
    script = page.cdp("Page.addScriptToEvaluateOnNewDocument", source=hide)
    try:
        state = page.open(served("uint8"))
        assert "WebGL2" in state["error"]["message"]
        assert "WebGL2" in page.find("#error-message").text
    finally:
        page.cdp("Page.removeScriptToEvaluateOnNewDocument", **script)


def test_picture_is_the_same_after_a_webgl_context_loss(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&outliers=0.9&edges=1&lasso=2,0,0,-1,-1,1,-1,1,1")
    before = page.picture()
    page.js(
        "window.lose = document.getElementById('cells').getContext('webgl2')"
        ".getExtension('WEBGL_lose_context'); window.lose.loseContext()"
    )
    page.driver.execute_async_script("setTimeout(arguments[0], 30)")
    page.js(
        "window.restored = false; document.getElementById('cells').addEventListener("
        "'webglcontextrestored', () => { window.restored = true });"
        "window.lose.restoreContext()"
    )
    page.wait_until("window.restored")
    assert np.array_equal(page.picture(), before)
    page.expected_errors = ("WebGL", "context")
