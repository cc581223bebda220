// Where the view is: pan and zoom on the screen in every dimension, and a turn in 3D.

const KEYS = { ArrowLeft: [-30, 0], ArrowRight: [30, 0], ArrowUp: [0, -30], ArrowDown: [0, 30] };
const ZOOMS = { "+": 1.25, "=": 1.25, "-": 0.8 };

/** A camera that listens to the pointer, the wheel and the keys of a canvas. */
export class Camera {
  dimension = 2;

  constructor(canvas, changed) {
    Object.assign(this, { canvas, changed });
    this.reset();
    this.#listen();
  }

  reset() {
    Object.assign(this, { zoom: 1, pan: [0, 0], yaw: 0.5, rise: 0.4 });
    this.changed();
  }

  /** Width and height of the canvas in CSS pixels. */
  get extent() {
    return [Math.max(1, this.canvas.clientWidth), Math.max(1, this.canvas.clientHeight)];
  }

  /** To right, up and towards the eye from x, y, z, which is up: a mat3, column by column. */
  get matrix() {
    if (this.dimension < 3) return [1, 0, 0, 0, 1, 0, 0, 0, 1];
    const [c, s] = [Math.cos(this.yaw), Math.sin(this.yaw)];
    const [near, high] = [Math.cos(this.rise), Math.sin(this.rise)];
    return [c, s * high, -s * near, -s, c * high, -c * near, 0, near, high];
  }

  /** Clip units per unit of the embedding, so that -1 to 1 fits into the canvas. */
  get scale() {
    const side = this.dimension === 1 ? this.extent[0] : Math.min(...this.extent);
    const share = this.dimension === 3 ? 0.78 : 0.94; // what is near looks larger
    return this.extent.map((length) => (share * this.zoom * side) / length);
  }

  /** Moves by CSS pixels; in 3D that turns, unless `slide`. */
  move(dx, dy, slide) {
    if (this.dimension === 3 && !slide) {
      this.yaw += dx / 150;
      this.rise = Math.min(Math.PI / 2, Math.max(-Math.PI / 2, this.rise + dy / 150));
    } else {
      const [width, height] = this.extent;
      this.pan = [this.pan[0] + (2 * dx) / width, this.pan[1] - (2 * dy) / height];
    }
    this.changed();
  }

  /** Zooms; what is at the CSS pixel (x, y) of the canvas stays there. */
  zoomAt(factor, x, y) {
    const zoom = Math.min(2000, Math.max(0.2, this.zoom * factor));
    const at = [(2 * x) / this.extent[0] - 1, 1 - (2 * y) / this.extent[1]];
    this.pan = this.pan.map((pan, i) => at[i] + ((pan - at[i]) * zoom) / this.zoom);
    this.zoom = zoom;
    this.changed();
  }

  #listen() {
    const on = (type, listener) => this.canvas.addEventListener(type, listener);
    let last = null; // movementX is in other pixels in some browsers
    on("pointerdown", (event) => {
      last = event;
      this.canvas.setPointerCapture(event.pointerId);
    });
    on("pointermove", (event) => {
      if (!event.buttons || event.pointerId !== last?.pointerId) return;
      const [dx, dy] = [event.clientX - last.clientX, event.clientY - last.clientY];
      this.move(dx, dy, event.shiftKey || event.buttons > 1);
      last = event;
    });
    on("contextmenu", (event) => event.preventDefault());
    on("dblclick", () => this.reset());
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
}
