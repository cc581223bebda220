// The picture to save: the cells as they are seen, at a multiple of their size, and the legend.

import { categoryColour, css, mapStops } from "./colours.js";
import { count, number } from "./elements.js";

const LEGEND = 230; // CSS pixels
const MARGIN = 16;
const LINE = 20;
const family = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif';

/** PNG of `scale` pixels for each CSS pixel. `legend` is as `paintLegend` takes it, or null. */
export async function picture(scatter, paintOver, legend, scale) {
  const [width, height] = scatter.camera.extent;
  const canvas = document.createElement("canvas");
  canvas.width = Math.round((width + (legend ? LEGEND : 0)) * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.fillStyle = css(scatter.look.ground);
  context.fillRect(0, 0, canvas.width, canvas.height);
  scatter.paintTo(context, scale);
  context.save();
  context.beginPath();
  context.rect(0, 0, Math.round(width * scale), canvas.height);
  context.clip();
  context.scale(scale, scale);
  paintOver(context);
  context.restore();
  context.scale(scale, scale);
  context.translate(width + MARGIN, 0);
  if (legend) paintLegend(context, legend, height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob) return blob;
  throw new Error("The picture is too large for this browser; choose a smaller size.");
}

function paintLegend(context, { column, hidden, map, range, log, text, soft, missing }, height) {
  context.textBaseline = "middle";
  context.fillStyle = text;
  context.font = `600 14px ${family}`;
  context.fillText(cut(context, column.key, LEGEND - 2 * MARGIN), 0, MARGIN + 8);
  context.font = `12px ${family}`;
  const top = MARGIN + 34;
  const paint = column.categorical ? paintRows : paintBar;
  paint(context, { column, hidden, map, range, log, text, soft, missing, top, height });
}

function paintRows(context, { column, hidden, text, soft, missing, top, height }) {
  const rows = column.rows.filter(({ code }) => !hidden.has(code));
  const room = Math.max(1, Math.floor((height - top - MARGIN) / LINE));
  const shown = rows.length > room ? rows.slice(0, room - 1) : rows;
  const right = LEGEND - 2 * MARGIN;
  shown.forEach(({ name, code, cells }, i) => {
    const y = top + i * LINE;
    context.beginPath();
    context.arc(6, y, 5.5, 0, 2 * Math.PI);
    context.fillStyle = code === column.missing ? css(missing) : categoryColour(code);
    context.fill();
    const n = count(cells);
    context.fillStyle = soft;
    context.textAlign = "right";
    context.fillText(n, right, y);
    context.textAlign = "left";
    context.fillStyle = text;
    context.fillText(cut(context, name, right - 26 - context.measureText(n).width), 18, y);
  });
  const more = rows.length - shown.length;
  if (more) context.fillText(`and ${count(more)} more`, 18, top + shown.length * LINE);
}

function paintBar(context, { column, map, range, log, text, soft, missing, top }) {
  const width = LEGEND - 2 * MARGIN;
  const colours = context.createLinearGradient(0, 0, width, 0);
  mapStops(map).forEach(([at, colour]) => colours.addColorStop(at, colour));
  context.fillStyle = colours;
  context.fillRect(0, top - 7, width, 14);
  context.fillStyle = text;
  const [lo, hi] = (range ?? [column.lo, column.hi]).map(number);
  context.fillText(lo, 0, top + 20);
  context.textAlign = "right";
  context.fillText(hi, width, top + 20);
  context.textAlign = "center";
  context.fillStyle = soft;
  if (log) context.fillText("log", width / 2, top + 20);
  context.textAlign = "left";
  if (!column.missing) return;
  context.fillText(`${count(column.missing)} cells without a value`, 18, top + 46);
  context.beginPath();
  context.arc(6, top + 46, 5.5, 0, 2 * Math.PI);
  context.fillStyle = css(missing);
  context.fill();
}

/** As much of a text as there is room for. */
function cut(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = Math.min(text.length, 100); // more never fit
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end)}…`;
}
