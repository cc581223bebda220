// Tells which cell is under the pointer, and its value.

import { $, count } from "./elements.js";
import { EYE } from "./camera.js";
import { cellAt } from "./project.js";

const REST = 30; // milliseconds that the pointer rests before cells are looked through
const REACH = 4; // CSS pixels from the pointer to a cell that it does not touch

/** `tell(i)` gives the text of a cell; seen(i) whether it is shown; above(i, j) which is on top. */
export function hover(scatter, { tell, seen, above }) {
  const { canvas, camera } = scatter;
  let timer = 0;
  const hide = () => {
    clearTimeout(timer);
    $("hover").hidden = true;
  };
  const look = ({ offsetX: x, offsetY: y }) => {
    const unit = 2 / (camera.extent[0] * camera.scale[0]); // plane units of a pixel
    const radius = (z) => scatter.radius * unit * (camera.eye ? EYE / (EYE - z) : 1);
    const cell = cellAt(scatter.points, scatter.width, camera, camera.toPlane(x, y),
      { radius, reach: radius(0) + REACH * unit, seen, above });
    if (cell < 0) return;
    const box = $("hover");
    box.textContent = [`cell ${count(cell)}`, tell(cell)].filter(Boolean).join(" · ");
    box.hidden = false;
    const [width, height] = camera.extent;
    box.style.left = `${Math.max(4, Math.min(x + 14, width - box.offsetWidth - 4))}px`;
    box.style.top = `${y + 18 + box.offsetHeight > height ? y - box.offsetHeight - 10 : y + 18}px`;
  };
  canvas.addEventListener("pointermove", (event) => {
    hide();
    if (!event.buttons) timer = setTimeout(look, REST, event);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (event.pointerType !== "mouse") timer = setTimeout(look, REST, event); // a tap
  });
  for (const type of ["pointerleave", "pointerdown", "wheel"]) canvas.addEventListener(type, hide);
}
