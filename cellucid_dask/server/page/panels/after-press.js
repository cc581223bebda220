// Redraws that wait until a press of the pointer is over: an element that is replaced or moves between
// press and release gets no click. Pressing one control changes the view if that takes the focus from
// a box with a typed number or name.

/** @type {Set<() => void>} */
const waiting = new Set();
let isPressed = false;
let timer = 0;

/**
 * Redraws at once; but while a pointer is pressed, once for all changes, after its click. A drag is
 * followed at once.
 *
 * @param {() => void} redraw the same function each time, for one call of it
 */
export function afterPress(redraw) {
  if (isPressed) {
    waiting.add(redraw);
    return;
  }
  waiting.delete(redraw);
  redraw();
}

/** Whether a press is over, and what waited for it comes next. */
export const isRedrawDue = () => waiting.size > 0 && !isPressed;

/** @param {MouseEvent} event */
function onPress({ button }) {
  if (button !== 0) return; // a menu may get its release
  clearTimeout(timer);
  isPressed = true;
}

/** The click comes in the same task as the release. */
function endSoon() {
  clearTimeout(timer);
  timer = setTimeout(end);
}

function end() {
  isPressed = false;
  const redraws = [...waiting];
  waiting.clear();
  for (const redraw of redraws) redraw();
}

// A tap presses the mouse only after the finger is released.
for (const type of /** @type {const} */ (["pointerdown", "mousedown"])) {
  addEventListener(type, onPress, { capture: true });
}
// Also if the press becomes a drag: of the plot, for example.
for (const type of ["pointerup", "pointercancel", "mouseup", "contextmenu", "gotpointercapture"]) {
  addEventListener(type, endSoon, { capture: true });
}
addEventListener("input", ({ target }) => {
  if (/** @type {Element} */ (target).matches("[type='range'], select")) endSoon();
}, { capture: true });
// The list of a select may get the release.
addEventListener("pointermove", ({ buttons }) => {
  if (isPressed && !buttons) endSoon();
}, { capture: true, passive: true });
// What the click changes is shown at once.
addEventListener("click", () => { isPressed = false; }, { capture: true });
