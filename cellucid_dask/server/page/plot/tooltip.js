// The tooltip that says which cell is under the pointer, and its value.

import { $, formatCount } from "../dom.js";
import { cellAt, EYE_DISTANCE } from "./projection.js";

const REST_MS = 30; // how long the pointer must rest before the page searches the cells
const REACH = 4; // CSS pixels from the pointer to a cell that it does not touch

/**
 * Shows the tooltip for the cells of a scatter plot.
 *
 * describeCell(i): text of a cell.
 */
export function addTooltip(scatter, { describeCell }) {
  const { canvas, camera } = scatter;
  let timer = 0;
  const hide = () => {
    clearTimeout(timer);
    $("tooltip").hidden = true;
  };
  const show = ({ offsetX: x, offsetY: y }) => {
    const pixel = 2 / (camera.canvasSize[0] * camera.scale[0]); // in plane units
    const perspective = (depth) =>
      camera.eyeDistance ? EYE_DISTANCE / (EYE_DISTANCE - depth) : 1;
    const radius = (depth) => scatter.radius * pixel * perspective(depth);
    const cell = cellAt(scatter.points, scatter.width, camera, camera.toPlane(x, y),
      { radius, reach: radius(0) + REACH * pixel, heightOf: scatter.createHeightOf() });
    if (cell < 0) return;
    const box = $("tooltip");
    const parts = [`cell ${formatCount(cell)}`, describeCell(cell)];
    box.textContent = parts.filter(Boolean).join(" · ");
    box.hidden = false;
    const [width, height] = camera.canvasSize;
    box.style.left = `${Math.max(4, Math.min(x + 14, width - box.offsetWidth - 4))}px`;
    const isTooLow = y + 18 + box.offsetHeight > height;
    box.style.top = `${isTooLow ? y - box.offsetHeight - 10 : y + 18}px`;
  };
  canvas.addEventListener("pointermove", (event) => {
    hide();
    if (!event.buttons) timer = setTimeout(show, REST_MS, event);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (event.pointerType !== "mouse") timer = setTimeout(show, REST_MS, event); // a tap
  });
  for (const type of ["pointerleave", "pointerdown", "wheel"]) canvas.addEventListener(type, hide);
}
