// A context that draws an SVG: it takes those calls of a 2D canvas context that figures need, so
// that the same functions draw a PNG and an SVG.

import { formatHex } from "../color/rgb.js";
import { measureText } from "../dom.js";
import { createNode } from "./svg-nodes.js";
import { FONT_FAMILY } from "./text.js";

/** @typedef {import("./svg-nodes.js").SvgNode} SvgNode */
/** @typedef {CanvasRenderingContext2D | SvgContext} Painter */

const ANCHORS = { left: "start", start: "start", center: "middle", right: "end", end: "end" };
const MIDDLE = 0.35; // of the font size: from the middle of letters down to their baseline

/** @param {number} x */
const round = (x) => Math.round(x * 100) / 100;

/**
 * "#rrggbb" of "rgb(1 2 3)", which older programs do not read; other colors stay.
 *
 * @param {string} color
 */
function formatColor(color) {
  const [, ...channels] = color.match(/^rgb\((\d+) (\d+) (\d+)\)$/) ?? [];
  return channels.length ? formatHex(channels.map(Number)) : color;
}

/** A gradient of a context; it becomes a definition of the picture. */
class SvgGradient {
  /** @type {SvgNode[]} */
  stops = [];

  /** @param {string} id */
  constructor(id) {
    this.id = id;
  }

  /**
   * @param {number} offset
   * @param {string} color
   */
  addColorStop(offset, color) {
    this.stops.push(createNode("stop", { offset: round(offset), "stop-color": formatColor(color) }));
  }
}

export class SvgContext {
  /** @type {any} CSS color, or a gradient */
  fillStyle = "#000";
  /** @type {any} */
  strokeStyle = "#000";
  font = "10px sans-serif";
  /** @type {CanvasTextAlign} */
  textAlign = "left";
  /** @type {CanvasTextBaseline} */
  textBaseline = "alphabetic";
  lineWidth = 1;
  /** @type {CanvasLineCap} */
  lineCap = "butt";
  /** @type {CanvasLineJoin} */
  lineJoin = "miter";
  globalAlpha = 1;

  #root = createNode("g", { "font-family": FONT_FAMILY });
  #group = this.#root; // takes what is drawn
  /** @type {SvgNode[]} gradients and outlines to clip to */
  #definitions = [];
  #origin = [0, 0];
  #scale = 1;
  #path = "";
  /** @type {{state: object, group: SvgNode, origin: number[], scale: number}[]} */
  #saved = [];

  /**
   * The picture, `width` by `height` units, as large as `size` says: ["180mm", "120mm"].
   *
   * @param {number} width
   * @param {number} height
   * @param {(string | number)[]} [size]
   */
  createPicture(width, height, size = [width, height]) {
    const attributes = {
      width: size[0], height: size[1], viewBox: `0 0 ${round(width)} ${round(height)}`,
    };
    return createNode("svg", attributes, createNode("defs", {}, ...this.#definitions), this.#root);
  }

  save() {
    const [group, origin, scale] = [this.#group, this.#origin, this.#scale];
    this.#saved.push({ state: { ...this }, group, origin, scale });
  }

  restore() {
    const { state, group, origin, scale } = this.#saved.pop();
    Object.assign(this, state);
    this.#group = group;
    this.#origin = origin;
    this.#scale = scale;
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  translate(x, y) {
    this.#origin = [this.#origin[0] + x * this.#scale, this.#origin[1] + y * this.#scale];
  }

  /**
   * @param {number} x
   * @param {number} _y the same: figures keep their shapes
   */
  scale(x, _y) {
    this.#scale *= x;
  }

  /**
   * Shapes up to `restore` belong together, and have this text as a tooltip.
   *
   * @param {string} title
   */
  beginGroup(title) {
    this.save();
    this.#openGroup({}, createNode("title", {}, title));
  }

  beginPath() {
    this.#path = "";
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  moveTo(x, y) {
    this.#path += `M${this.#place(x, y)}`;
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  lineTo(x, y) {
    this.#path += `${this.#path ? "L" : "M"}${this.#place(x, y)}`;
  }

  closePath() {
    this.#path += "Z";
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   */
  rect(x, y, width, height) {
    const [wide, high] = [width, height].map((side) => round(side * this.#scale));
    this.#path += `M${this.#place(x, y)}h${wide}v${high}h${-wide}Z`;
  }

  /**
   * A whole circle; no figure needs a part of one.
   *
   * @param {number} x
   * @param {number} y
   * @param {number} radius
   * @param {number} _start
   * @param {number} _end
   */
  arc(x, y, radius, _start, _end) {
    const r = round(radius * this.#scale);
    this.#path += `M${this.#place(x - radius, y)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;
  }

  fill() {
    this.#add("path", { d: this.#path, ...this.#fillAttributes() });
  }

  stroke() {
    this.#add("path", { d: this.#path, fill: "none", ...this.#strokeAttributes() });
  }

  /** Only what is inside the path is drawn, up to `restore`. */
  clip() {
    const id = this.#nextId("clip");
    this.#definitions.push(createNode("clipPath", { id }, createNode("path", { d: this.#path })));
    this.#openGroup({ "clip-path": `url(#${id})` });
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   */
  fillRect(x, y, width, height) {
    this.#add("rect", {
      ...this.#box(x, y, width, height),
      "shape-rendering": "crispEdges", // no seams between rectangles that touch
      ...this.#fillAttributes(),
    });
  }

  /**
   * @param {string} text
   * @param {number} x
   * @param {number} y
   */
  fillText(text, x, y) {
    this.#addText(text, x, y, this.#fillAttributes());
  }

  /**
   * @param {string} text
   * @param {number} x
   * @param {number} y
   */
  strokeText(text, x, y) {
    this.#addText(text, x, y, { fill: "none", ...this.#strokeAttributes() });
  }

  /** @param {string} text */
  measureText(text) {
    const { weight, size } = this.#fontParts();
    return { width: measureText(text, `${weight} ${size}px ${FONT_FAMILY}`) };
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   */
  drawImage(canvas, x, y, width, height) {
    this.#add("image", {
      ...this.#box(x, y, width, height),
      preserveAspectRatio: "none",
      "xlink:href": canvas.toDataURL("image/png"), // `href` alone is unknown to older programs
    });
  }

  /**
   * @param {number} x0
   * @param {number} y0
   * @param {number} x1
   * @param {number} y1
   */
  createLinearGradient(x0, y0, x1, y1) {
    const gradient = new SvgGradient(this.#nextId("gradient"));
    const [[left, top], [right, bottom]] = [this.#move(x0, y0), this.#move(x1, y1)];
    const attributes = {
      id: gradient.id, gradientUnits: "userSpaceOnUse", x1: left, y1: top, x2: right, y2: bottom,
    };
    const node = createNode("linearGradient", attributes);
    node.children = gradient.stops;
    this.#definitions.push(node);
    return gradient;
  }

  /**
   * @param {string} tag
   * @param {Record<string, string | number>} attributes
   * @param {...(SvgNode | string)} children
   */
  #add(tag, attributes, ...children) {
    this.#group.children.push(createNode(tag, attributes, ...children));
  }

  /**
   * @param {Record<string, string | number>} attributes
   * @param {...SvgNode} children
   */
  #openGroup(attributes, ...children) {
    const group = createNode("g", attributes, ...children);
    this.#group.children.push(group);
    this.#group = group;
  }

  /**
   * @param {string} text
   * @param {number} x
   * @param {number} y
   * @param {Record<string, string | number>} colors
   */
  #addText(text, x, y, colors) {
    const { weight, size } = this.#fontParts();
    const isMiddle = this.textBaseline === "middle";
    const [left, baseline] = this.#move(x, y + (isMiddle ? MIDDLE * size : 0));
    this.#add("text", {
      x: left,
      y: baseline,
      "font-size": round(size * this.#scale),
      ...(weight === "normal" ? {} : { "font-weight": weight }),
      "text-anchor": ANCHORS[this.textAlign],
      ...colors,
    }, text);
  }

  /** Weight and size of a font such as "600 12px sans-serif"; all text has the family of figures. */
  #fontParts() {
    const [, weight, size] = this.font.match(/^(?:(\S+) )?([\d.]+)px/);
    return { weight: weight ?? "normal", size: Number(size) };
  }

  #fillAttributes() {
    const { fillStyle } = this;
    const fill = fillStyle instanceof SvgGradient ? `url(#${fillStyle.id})` : formatColor(fillStyle);
    return { fill, ...this.#alphaAttributes() };
  }

  #strokeAttributes() {
    return {
      stroke: formatColor(this.strokeStyle),
      "stroke-width": round(this.lineWidth * this.#scale),
      "stroke-linecap": this.lineCap,
      "stroke-linejoin": this.lineJoin,
      ...this.#alphaAttributes(),
    };
  }

  /** @returns {Record<string, number>} */
  #alphaAttributes() {
    return this.globalAlpha < 1 ? { opacity: round(this.globalAlpha) } : {};
  }

  /** @param {string} kind */
  #nextId(kind) {
    return `${kind}${this.#definitions.length + 1}`;
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  #move(x, y) {
    return [round(x * this.#scale + this.#origin[0]), round(y * this.#scale + this.#origin[1])];
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  #place(x, y) {
    return this.#move(x, y).join(" ");
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   */
  #box(x, y, width, height) {
    const [left, top] = this.#move(x, y);
    const [wide, high] = [width, height].map((side) => round(side * this.#scale));
    return { x: left, y: top, width: wide, height: high };
  }
}
