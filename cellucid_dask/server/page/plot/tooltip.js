// The tooltip that says which cell is under the pointer, and its values.

import { $, createElement, cutMiddle } from "../dom.js";
import { cellAt, EYE_DISTANCE } from "./projection.js";

const REST_MS = 30; // how long the pointer must rest before the page searches the cells
const REACH = 4; // CSS pixels from the pointer to a cell that it does not touch
const FINGER_REACH = 14; // the same for a finger
const MAX_TAP = 10; // CSS pixels by which a finger moves in a tap

/**
 * Shows the tooltip for the cells of a scatter plot. Returns a function that shows the lines of the
 * same cell again, for when more is known about it.
 *
 * @param {import("./scatter.js").Scatter} scatter
 * @param {(i: number) => string[]} describeCell lines of text, the first of which is not wrapped
 * @returns {() => void}
 */
export function addTooltip(scatter, describeCell) {
  const { canvas, camera } = scatter;
  const box = $("tooltip");
  let timer = 0;
  let [cell, x, y] = [-1, 0, 0]; // what the tooltip is of, and where the pointer is
  const hide = () => {
    clearTimeout(timer);
    cell = -1;
    box.hidden = true;
  };
  const update = () => {
    if (cell < 0) return;
    box.replaceChildren(...describeCell(cell).map((line) => createElement("span", "", line)));
    box.hidden = false;
    cutToWidth(box.firstElementChild);
    const [width, height] = camera.canvasSize;
    box.style.left = `${Math.max(4, Math.min(x + 14, width - box.offsetWidth - 4))}px`;
    const isTooLow = y + 18 + box.offsetHeight > height;
    box.style.top = `${isTooLow ? Math.max(4, y - box.offsetHeight - 10) : y + 18}px`;
  };
  const show = (/** @type {PointerEvent} */ event) => {
    [x, y] = [event.offsetX, event.offsetY];
    const reach = event.pointerType === "touch" ? FINGER_REACH : REACH;
    const pixel = 2 / (camera.canvasSize[0] * camera.scale[0]); // in plane units
    const perspective = (/** @type {number} */ depth) =>
      camera.eyeDistance ? EYE_DISTANCE / (EYE_DISTANCE - depth) : 1;
    const radius = (/** @type {number} */ depth) => scatter.radius * pixel * perspective(depth);
    cell = cellAt(scatter.points, scatter.width, camera, camera.toPlane(x, y),
      { radius, reach: radius(0) + reach * pixel, heightOf: scatter.createHeightOf() });
    update();
  };
  /** @type {PointerEvent | null} */
  let down = null; // where the only finger touched, as long as it may be a tap
  canvas.addEventListener("pointermove", (event) => {
    hide();
    if (!event.buttons) timer = setTimeout(show, REST_MS, event);
    if (down && !isNear(event, down)) down = null; // an outline ends near where it began
  });
  // A finger shows the tooltip with a tap, and hides it with the next touch of anything.
  document.addEventListener("pointerdown", (event) => {
    hide();
    const mayBeTap = event.isPrimary && event.target === canvas && camera.isDragEnabled; // no lasso
    down = mayBeTap ? event : null;
  });
  canvas.addEventListener("pointerup", (event) => {
    if (event.pointerType === "mouse" || !down) return;
    if (isNear(event, down)) show(event);
  });
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
  canvas.addEventListener("wheel", hide);
  return update;
}

/**
 * @param {PointerEvent} event
 * @param {PointerEvent} down
 */
const isNear = (event, down) => Math.hypot(event.x - down.x, event.y - down.y) <= MAX_TAP;

/**
 * Leaves out the middle of a line that is too long: the two ends of an id tell cells apart.
 *
 * @param {HTMLElement} line
 */
function cutToWidth(line) {
  const text = line.textContent;
  let length = text.length;
  while (line.scrollWidth > line.clientWidth && length > 8) {
    length = Math.min(length - 1, Math.ceil((length * line.clientWidth) / line.scrollWidth));
    line.textContent = cutMiddle(text, length);
  }
}
