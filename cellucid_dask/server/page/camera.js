// Where the view is: a centre and a zoom in every dimension, and a turn in 3D.
//
// "Plane" units are those of the embedding after the turn and the perspective, before centre and
// zoom: a view or an outline kept in them is the same in a window of any size.

export const EYE = 3.5; // how far away the eye is in 3D
const KEYS = { ArrowLeft: [-30, 0], ArrowRight: [30, 0], ArrowUp: [0, -30], ArrowDown: [0, 30] };
const ZOOMS = { "+": 1.25, "=": 1.25, "-": 0.8 };
const START = { zoom: 1, centre: [0, 0], yaw: 0.5, rise: 0.4 };

/** To right, up and towards the eye from x, y, z, which is up: a mat3, column by column. */
export function turn(dimension, yaw, rise) {
  if (dimension < 3) return [1, 0, 0, 0, 1, 0, 0, 0, 1];
  const [c, s] = [Math.cos(yaw), Math.sin(yaw)];
  const [near, high] = [Math.cos(rise), Math.sin(rise)];
  return [c, s * high, -s * near, -s, c * high, -c * near, 0, near, high];
}

/** A camera that listens to the pointers, the wheel and the keys of a canvas. */
export class Camera {
  dimension = 2;
  drags = true; // else somebody else takes what is drawn with the pointer
  #pointers = new Map();

  constructor(canvas, changed) {
    Object.assign(this, { canvas, changed });
    this.reset();
    this.#listen();
  }

  reset() {
    this.set({});
  }

  /** The view as numbers: centre, zoom, and the turn in 3D; null for that of the start. */
  get numbers() {
    const { centre, zoom, yaw, rise } = this;
    const found = [...centre, zoom, ...(this.dimension === 3 ? [yaw, rise] : [])];
    const start = [0, 0, 1, START.yaw, START.rise];
    return found.every((x, i) => x === start[i]) ? null : found;
  }

  set numbers(given) {
    const [x = 0, y = 0, zoom, yaw, rise] = given ?? [];
    this.set({ centre: [x, y], zoom, yaw, rise });
  }

  set({ centre = START.centre, zoom = START.zoom, yaw = START.yaw, rise = START.rise }) {
    Object.assign(this, { centre, zoom, yaw, rise });
    this.changed();
  }

  /** Width and height of the canvas in CSS pixels. */
  get extent() {
    return [Math.max(1, this.canvas.clientWidth), Math.max(1, this.canvas.clientHeight)];
  }

  get matrix() {
    return turn(this.dimension, this.yaw, this.rise);
  }

  get eye() {
    return this.dimension === 3 ? EYE : 0;
  }

  /** Clip units per plane unit, so that -1 to 1 fits into the canvas. */
  get scale() {
    const side = this.dimension === 1 ? this.extent[0] : Math.min(...this.extent);
    const share = this.dimension === 3 ? 0.78 : 0.94; // what is near looks larger
    return this.extent.map((length) => (share * this.zoom * side) / length);
  }

  get pan() {
    return this.scale.map((scale, i) => -scale * this.centre[i]);
  }

  /** Plane coordinates of a CSS pixel of the canvas. */
  toPlane(x, y) {
    const [width, height] = this.extent;
    const clip = [(2 * x) / width - 1, 1 - (2 * y) / height];
    return this.scale.map((scale, i) => clip[i] / scale + this.centre[i]);
  }

  /** CSS pixel of the canvas of plane coordinates. */
  toPixel(x, y) {
    const [[width, height], scale] = [this.extent, this.scale];
    return [
      ((scale[0] * (x - this.centre[0]) + 1) * width) / 2,
      ((1 - scale[1] * (y - this.centre[1])) * height) / 2,
    ];
  }

  /** Moves by CSS pixels; in 3D that turns, unless `slide`. */
  move(dx, dy, slide) {
    if (this.dimension === 3 && !slide) {
      this.yaw += dx / 150;
      this.rise = Math.min(Math.PI / 2, Math.max(-Math.PI / 2, this.rise + dy / 150));
    } else {
      const [[width, height], scale] = [this.extent, this.scale];
      const [x, y] = this.centre;
      this.centre = [x - (2 * dx) / width / scale[0], y + (2 * dy) / height / scale[1]];
    }
    this.changed();
  }

  /** Zooms; what is at the CSS pixel (x, y) of the canvas stays there. */
  zoomAt(factor, x, y) {
    const before = this.toPlane(x, y);
    this.zoom = Math.min(2000, Math.max(0.2, this.zoom * factor));
    const after = this.toPlane(x, y);
    this.centre = this.centre.map((centre, i) => centre + before[i] - after[i]);
    this.changed();
  }

  #listen() {
    const on = (type, listener) => this.canvas.addEventListener(type, listener);
    const at = ({ clientX, clientY }) => [clientX, clientY];
    on("pointerdown", (event) => {
      this.#pointers.set(event.pointerId, at(event)); // movementX has other pixels in some browsers
      this.canvas.setPointerCapture(event.pointerId);
    });
    for (const type of ["pointerup", "pointercancel"]) {
      on(type, (event) => this.#pointers.delete(event.pointerId));
    }
    on("pointermove", (event) => this.#moved(event, at(event)));
    on("contextmenu", (event) => event.preventDefault());
    on("dblclick", () => this.drags && this.reset());
    on("wheel", (event) => {
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode ? 30 : 1) * (event.ctrlKey ? 5 : 1);
      const factor = Math.exp(-Math.max(-300, Math.min(300, pixels)) / 600);
      this.zoomAt(factor, event.offsetX, event.offsetY);
    });
    on("keydown", (event) => {
      const [width, height] = this.extent;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (KEYS[event.key]) this.move(...KEYS[event.key], event.shiftKey);
      else if (ZOOMS[event.key]) this.zoomAt(ZOOMS[event.key], width / 2, height / 2);
      else if (event.key === "0") this.reset();
      else return;
      event.preventDefault();
    });
  }

  #moved(event, now) {
    const last = this.#pointers.get(event.pointerId);
    if (!last || !this.drags) return;
    this.#pointers.set(event.pointerId, now);
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId);
    if (!others.length) {
      this.move(now[0] - last[0], now[1] - last[1], event.shiftKey || event.buttons > 1);
      return;
    }
    const [, other] = others[0]; // two fingers: pinch to zoom, and move by half of each
    const apart = ([x, y]) => Math.max(1, Math.hypot(x - other[0], y - other[1]));
    const box = this.canvas.getBoundingClientRect();
    const middle = [(now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top];
    this.move((now[0] - last[0]) / 2, (now[1] - last[1]) / 2, true);
    this.zoomAt(apart(now) / apart(last), ...middle);
  }
}
