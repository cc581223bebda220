"""How the page draws many cells: the topmost ones first, of translucent ones a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, needs_browser

pytestmark = needs_browser


ON_TOP = """
const [flat, width, codes, flags, done] = arguments;
(async () => {
  const url = new URL("_cellucid/page/plot/topmost.js", document.baseURI);
  const { topmostCells } = await import(url);
  const { createHeightOf } = await import(new URL("heights.js", url));
  const appearance = { columnKind: 2, decoding: [0, 1, 200, 1], range: [0, 99], zeroCode: 0 };
  const arrays = { code: Uint8Array.from(codes), flags: Uint8Array.from(flags) };
  const heightOf = createHeightOf(appearance, arrays, codes.length, 1 / 256);
  const camera = { yaw: 0, pitch: 0, scale: [1, 1], pan: [0, 0] };
  const canvas = { size: [20, 10], radius: 2, heightOf };
  done([...topmostCells(Float32Array.from(flat), width, camera, canvas)]);
})();
"""


@pytest.mark.parametrize("width", [2, 3])
def test_topmost_cell_of_each_pixel_is_found(page: Page, served: Any, width: int) -> None:
    rng = np.random.default_rng(width)
    points = rng.uniform(-1.15, 1.15, (3000, width)).astype("f4")
    if width == 3:
        points[:, 1] *= 0.3  # with yaw and pitch 0 this is towards the eye
    codes = rng.integers(100, size=3000)
    codes[rng.random(3000) < 0.2] = 0
    codes[rng.random(3000) < 0.3] = 200  # without a value
    flags = rng.choice([0, 1, 2, 3], size=3000, p=[0.5, 0.2, 0.2, 0.1])
    page.open(served("uint8"))
    given = points.ravel().tolist(), width, codes.tolist(), flags.tolist()
    found = page.driver.execute_async_script(ON_TOP, *given)

    faded, is_hidden = flags & 2 > 0, flags & 1 > 0
    levels = [~faded & (codes == 200), ~faded & (codes == 0), ~faded & (codes % 200 > 0)]
    level = np.select(levels, [1, 2, 3], 0)  # from the bottom to the top; 0 is faded
    value = np.where(level == 3, 0.999 * codes / 99, 0)
    if width == 2:
        x, y = points.astype("f8").T
        height = value * (1 - 1 / 256) + np.arange(3000) / 3000 / 256
    else:
        far = points[:, 1].astype("f8")  # away from the eye
        x, y, height = points[:, 0] * 3.5 / (3.5 + far), points[:, 2] * 3.5 / (3.5 + far), -far
        height = np.floor(value * 16) + 0.5 + height / 4  # by bands of the color scale
    height += 100 * level
    px, py = np.floor((x + 1) / 2 * 20).astype(int), np.floor((y + 1) / 2 * 10).astype(int)
    inside = ~is_hidden & (px >= 0) & (py >= 0) & (px < 20) & (py < 10)
    near = ~is_hidden & (px >= -2) & (py >= -2) & (px < 22) & (py < 12)
    top: dict[tuple[int, int], int] = {}
    for i in np.flatnonzero(inside):
        at = (px[i], py[i])
        if at not in top or height[i] >= height[top[at]]:
            top[at] = i
    assert found == sorted({*top.values(), *np.flatnonzero(near & ~inside)})


MANY = """
const done = arguments[0];
(async () => {
  const { Scatter } = await import(new URL("_cellucid/page/plot/scatter.js", document.baseURI));
  const canvas = document.body.appendChild(document.createElement("canvas"));
  canvas.style.cssText = "position: fixed; inset: 0 auto auto 0; width: 200px; height: 200px";
  let tops = 0;
  const real = WebGL2RenderingContext.prototype.drawElements;
  WebGL2RenderingContext.prototype.drawElements = function (...given) {
    tops += given[1];
    return real.apply(this, given);
  };
  const n = 600_000;
  const points = Float32Array.from({ length: 2 * n }, () => 2 * Math.random() - 1);
  const codes = Uint8Array.from({ length: n }, (_, i) =>
    i % 10 ? (points[2 * i] > 0) + 2 * (points[2 * i + 1] > 0) : 4);
  const scatter = new Scatter(canvas, () => {});
  scatter.setPoints(points, 2);
  const appearance = {
    columnKind: 1, decoding: [0, 0, 5, 0], pointSize: 3 };
  Object.assign(scatter.appearance, appearance);
  scatter.codes = codes;
  scatter.flags = codes.map((code) => Number(code === 4)); // filtered out
  scatter.palette = Uint8Array.from([
    200, 0, 0, 255, 0, 200, 0, 255, 0, 0, 200, 255, 9, 9, 9, 255, 99, 99, 99, 255]);
  const read = () => {
    const context = new OffscreenCanvas(200, 200).getContext("2d");
    context.drawImage(canvas, 0, 0, 200, 200);
    return [[50, 50], [150, 50], [50, 150], [150, 150], [2, 2]].map(([x, y]) =>
      [...context.getImageData(x - 2, y - 2, 5, 5).data].filter((_, i) => i % 4 < 3));
  };
  await scatter.draw();
  const [first, drawn] = [read(), tops];
  while (!scatter.isIdle) await new Promise(requestAnimationFrame);
  done([first, read(), drawn, tops]);
})();
"""


def test_topmost_cells_are_drawn_before_all_others(page: Page, served: Any) -> None:
    """The picture of the topmost cells has the same colors as that of all cells."""
    page.open(served("uint8"))
    first, last, drawn, tops = page.driver.execute_async_script(MANY)
    assert 20_000 < drawn == tops < 100_000, "one cell for each pixel, and each of them once"
    quarters = [(0, 0, 200), (9, 9, 9), (200, 0, 0), (0, 200, 0), (255, 255, 255)]
    for found in (first, last):
        differences = np.abs(np.array(found) - [list(color) * 25 for color in quarters])
        # The rim of a cell in the first sample leaves one pixel in some thousands paler.
        assert np.count_nonzero(differences) < 20


TRANSLUCENT = """
const done = arguments[0];
(async () => {
  const { Scatter } = await import(new URL("_cellucid/page/plot/scatter.js", document.baseURI));
  const canvas = document.body.appendChild(document.createElement("canvas"));
  canvas.style.cssText = "position: fixed; inset: 0 auto auto 0; width: 100px; height: 100px";
  const context = new OffscreenCanvas(100, 100).getContext("2d", { willReadFrequently: true });
  const read = () => {
    context.drawImage(canvas, 0, 0);
    return [...context.getImageData(20, 20, 60, 60).data].filter((_, i) => i % 4 < 3);
  };
  const prototype = WebGL2RenderingContext.prototype;
  const { drawElements, blitFramebuffer } = prototype;
  let [nDrawn, before] = [0, null];
  prototype.drawElements = function (mode, n, ...given) {
    nDrawn += n;
    return drawElements.call(this, mode, n, ...given);
  };
  prototype.blitFramebuffer = function (...given) {
    before ??= [read(), nDrawn];
    return blitFramebuffer.apply(this, given);
  };
  const n = 250_000;
  const scatter = new Scatter(canvas, () => {});
  for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame); // drawn for its size
  scatter.setPoints(Float32Array.from({ length: 3 * n }, () => 2 * Math.random() - 1), 3);
  Object.assign(scatter.appearance, {
    columnKind: 2, decoding: [0, 1, 255, 0], range: [0, 99], opacity: 0.5, showsContext: true });
  scatter.codes = Uint8Array.from({ length: n }, (_, i) => 99 * (i < n / 8)); // first the high ones
  scatter.flags = Uint8Array.from({ length: n }, (_, i) => i > n / 2); // filtered out
  scatter.palette = Uint8Array.from({ length: 1024 }, (_, i) =>
    [i / 4, 0, 255 - i / 4, 255][i % 4]);
  await scatter.draw();
  const figure = new OffscreenCanvas(100, 100).getContext("2d");
  const shown = [read(), nDrawn];
  scatter.drawTo(figure, 1);
  const saved = [...figure.getImageData(20, 20, 60, 60).data].filter((_, i) => i % 4 < 3);
  done([before, shown, saved]);
})();
"""


def test_translucent_cells_are_drawn_by_value_in_the_sample_and_the_whole(
    page: Page, served: Any
) -> None:
    page.open(served("uint8"))
    sample, whole, saved = page.driver.execute_async_script(TRANSLUCENT)
    assert sample[1] == whole[1] == 125_000 + 250_000, "a sample, then all cells once"
    for picture in (sample[0], whole[0]):
        red, _, blue = np.reshape(picture, (-1, 3)).T
        assert (red > 200).mean() > 0.9, "high values cover the low ones, whatever their rows"
        assert (blue < 55).mean() > 0.9
    assert whole[0] == saved
