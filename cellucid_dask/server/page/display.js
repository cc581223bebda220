// Shows what is loaded: cells in their colours, the legend, and what lies over the cells.

import { css } from "./colours.js";
import { split } from "./data.js";
import { $ } from "./elements.js";
import { hover } from "./hover.js";
import { Lasso } from "./lasso.js";
import { showCategories } from "./legend.js";
import { arrows, paintArrows, paintLabels, paintOutline } from "./overlay.js";
import { picture } from "./picture.js";
import { place } from "./project.js";
import { showValues } from "./scale.js";
import { Scatter } from "./scatter.js";
import { edgeColour, look, palette, seenEdges, theme, visibility } from "./shown.js";
import { have, state, view } from "./state.js";

const every = () => true;

/** The stage; `act` says what follows from what the user does on it. */
export class Display {
  colours = theme();
  #arrows = [];
  #labels = [];

  constructor(act) {
    this.act = act;
    this.over = $("overlay").getContext("2d"); // what is drawn over the cells
    this.scatter = new Scatter($("cells"), () => this.#follow());
    const draw = () => this.scatter.draw();
    this.lasso = new Lasso(this.scatter, { changed: draw, done: act.lassoed });
    hover(this.scatter, {
      tell: (i) => have.column && `${have.column.key}: ${have.column.text(i)}`,
      seen: (i) => !have.seen || have.seen(i),
      above: (i, j) => {
        if (have.marks && have.marks[i] !== have.marks[j]) return have.marks[i] > 0;
        return have.column ? have.column.above(i, j) : i > j;
      },
    });
    state.at = (i) => this.#pixel(i);
    state.rests = () => this.scatter.rests;
  }

  /** CSS pixel of a cell on the canvas. */
  #pixel(i) {
    const { points, width, camera } = this.scatter;
    const [x, y] = place([...points.subarray(width * i, width * i + width)], camera);
    return camera.toPixel(x, y);
  }

  clear() {
    this.scatter.setPoints(new Float32Array(0), 2);
    Object.assign(this.scatter, { codes: null, outliers: null, selected: null, edges: null });
    this.#arrows = this.#labels = [];
    this.scatter.draw();
  }

  /** Sends the column to the card, and shows its legend. */
  showColumn() {
    const { column, colour } = have;
    state.colorBy = colour || null;
    this.scatter.codes = column?.codes ?? null;
    this.scatter.outliers = null;
    this.showLegend();
    this.showCells();
  }

  showLegend() {
    const { column, dataset, hidden } = have;
    const parts = () => [...$("legend").querySelectorAll("button, input, select")];
    const focused = parts().indexOf(document.activeElement);
    $("legend").inert = false;
    if (!column) $("legend").replaceChildren();
    else if (column.categorical) {
      const can = dataset.obs._obsSchemas.categorical.outlierPathPattern;
      const filter = (quantile) => this.act[have.outliers ? "seen" : "ask"]({ outliers: quantile });
      showCategories($("legend"), column, hidden, {
        changed: () => this.act.seen({ hide: [...hidden] }),
        quantile: view.outliers,
        filter: can && filter,
      });
    } else {
      showValues($("legend"), column, view, (change, anew) => {
        this.act.painted(change);
        if (anew) this.showLegend(); // the bar has other ends or colours
      });
    }
    if (focused >= 0) parts()[focused]?.focus();
  }

  /** Which cells are seen and in which colours, and what follows from that. */
  showCells() {
    const { dataset, column, hidden, outliers, vectors, edges, dimension } = have;
    const { scatter } = this;
    have.seen = visibility(column, hidden, outliers, view.outliers);
    const seen = have.seen ?? every;
    state.drawn = have.seen ? this.#count() : dataset.nCells;
    this.#arrows = view.vectors && vectors
      ? arrows(scatter.points, scatter.width, vectors, dimension, seen) : [];
    const pairs = view.edges && edges ? seenEdges(edges, seen) : null;
    scatter.edges = pairs;
    if (pairs) scatter.look.edge = edgeColour(pairs.length / 2, this.colours);
    this.paint();
    this.act.shown(pairs && pairs.length / 2);
  }

  #count() {
    const { column, hidden, outliers, seen } = have;
    if (!outliers || view.outliers === 1) {
      return column.rows.reduce((n, { code, cells }) => n + (hidden.has(code) ? 0 : cells), 0);
    }
    let n = 0;
    for (let i = 0; i < column.codes.length; i++) n += Number(seen(i));
    return n;
  }

  paint() {
    const { scatter, colours } = this;
    this.#labels = this.#namesInSight();
    Object.assign(scatter.look, look(have, view, colours), { pointSize: this.size });
    scatter.palette = palette(have.column, have.hidden, view, colours);
    scatter.draw();
  }

  /** Diameter of cells in CSS pixels: what is asked for, else the smaller the more there are. */
  get size() {
    const usual = Math.round(120 / (have.dataset?.nCells || 1) ** 0.28) / 2;
    return view.size ?? Math.min(7, Math.max(1.5, usual));
  }

  /** When a picture begins: what lies over the cells follows them. */
  #follow() {
    const { over, scatter } = this;
    const { width, height } = scatter.canvas;
    const { canvas } = over;
    const fits = canvas.width === width && canvas.height === height;
    if (!fits) Object.assign(canvas, { width, height });
    const ratio = width / scatter.camera.extent[0];
    over.setTransform(1, 0, 0, 1, 0, 0);
    over.globalCompositeOperation = "copy"; // Chromium 156 forgets clearRect if nothing follows it
    over.fillStyle = "transparent";
    over.fillRect(0, 0, width, height);
    over.globalCompositeOperation = "source-over";
    over.scale(ratio, ratio);
    this.#paintOver(over);
    this.act.moved();
  }

  #paintOver(context) {
    const { scatter: { camera }, colours, lasso } = this;
    const [text, ground, accent] = ["text", "canvas", "accent"].map((name) => css(colours[name]));
    if (this.#arrows.length) paintArrows(context, camera, this.#arrows, { text, ground });
    state.labels = paintLabels(context, camera, this.#labels, { text, ground });
    if (lasso?.outline.length > 1) paintOutline(context, camera, lasso.outline, { accent });
  }

  #namesInSight() {
    const { column, dimension, hidden } = have;
    if (!view.labels || !column?.categorical) return [];
    const codes = new Map(column.names.map((name, code) => [name, code]));
    return (column.centroids[dimension] ?? [])
      .filter(({ category }) => !hidden.has(codes.get(category)))
      .sort((a, b) => b.n_points - a.n_points)
      .map(({ category, position }) => ({
        text: category, position: dimension === 1 ? [position[0], 0.15] : position,
      }));
  }

  /** The picture as a PNG with the legend, and a name for it. */
  async picture(scale) {
    const { column, dataset, colour, hidden } = have;
    const { text, soft, missing } = this.colours;
    const inks = { text: css(text), soft: css(soft), missing };
    const legend = column && { column, hidden, ...view, ...inks };
    const blob = await picture(this.scatter, (over) => this.#paintOver(over), legend, scale);
    return [blob, `${[dataset.identity.id, split(colour ?? "")[1]].filter(Boolean).join("-")}.png`];
  }

  /** Takes the colours of the theme that holds now. */
  themed() {
    this.colours = theme();
    if (!have.dimension) return;
    this.showLegend();
    this.showCells();
  }
}
