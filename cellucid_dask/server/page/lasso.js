// Draws an outline around cells with the pointer.

import { short } from "./link.js";

const APART = 4; // CSS pixels between two corners
const MOST = 120; // corners, so that the outline fits into a link

/** While it is `on`, what is drawn on the canvas goes to `done(lasso, add)`. */
export class Lasso {
  outline = []; // plane coordinates, while it is drawn
  #last = null;
  #pointer = null; // that draws: another finger does not

  constructor(scatter, { changed, done }) {
    Object.assign(this, { scatter, changed, done });
    const { canvas } = scatter;
    canvas.addEventListener("pointerdown", (event) => {
      if (this.on && event.button === 0 && !this.#last) this.#begin(event);
    });
    const draws = ({ pointerId }) => this.#last && pointerId === this.#pointer;
    canvas.addEventListener("pointermove", (event) => draws(event) && this.#go(event));
    canvas.addEventListener("pointerup", (event) => draws(event) && this.#end(event));
    canvas.addEventListener("pointercancel", (event) => draws(event) && this.#clear());
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#clear();
      else if (event.key === "Enter" && this.on) this.#all(event.shiftKey);
    });
  }

  set on(on) {
    this.scatter.camera.drags = !on;
    this.scatter.canvas.classList.toggle("choosing", on);
    this.#clear();
  }

  get on() {
    return !this.scatter.camera.drags;
  }

  #begin(event) {
    this.#clear();
    this.#last = [-Infinity, 0];
    this.#pointer = event.pointerId;
    this.#go(event);
  }

  #go({ offsetX: x, offsetY: y }) {
    if (Math.hypot(x - this.#last[0], y - this.#last[1]) < APART) return;
    this.#last = [x, y];
    this.outline.push(this.scatter.camera.toPlane(x, y).map(short));
    this.changed();
  }

  #end({ shiftKey }) {
    const { outline } = this;
    this.#clear();
    if (outline.length < 3) return;
    const step = Math.ceil(outline.length / MOST);
    this.#tell(outline.filter((_, i) => i % step === 0), shiftKey);
  }

  /** With the keyboard: all that the view shows. */
  #all(add) {
    const { camera } = this.scatter;
    const [w, h] = camera.extent;
    const corners = [[0, 0], [w, 0], [w, h], [0, h]];
    this.#tell(corners.map((corner) => camera.toPlane(...corner).map(short)), add);
  }

  #tell(outline, add) {
    const { dimension: d, yaw, rise } = this.scatter.camera;
    this.done({ d, yaw: short(yaw), rise: short(rise), outline }, add);
  }

  #clear() {
    this.#last = null;
    this.outline = [];
    this.changed();
  }
}
