// The legend of a continuous field or a gene: a color bar with two handles, logarithm and colormap.

import { COLORMAP_NAMES, colormapGradient } from "../color/colormaps.js";
import { createButton, createElement, formatCount, formatNumber } from "../dom.js";

const STEPS = 1000; // of the handles along the bar

/** Functions from a value to its position on the color bar, 0 to 1, and back. */
function createBarScale(column, useLog) {
  const [lo, hi] = [column.lo, column.hi].map((value) => column.toScale(value, useLog));
  return {
    toPosition: (value) => (hi > lo ? (column.toScale(value, useLog) - lo) / (hi - lo) : 0),
    toValue: (position) => {
      if (position <= 0) return column.lo;
      return position >= 1 ? column.hi : column.fromScale(lo + position * (hi - lo), useLog);
    },
  };
}

/**
 * Shows the legend of a continuous column in `container`.
 *
 * Calls `onChange({range, log, map}, needsNewLegend)` with the parts that the user changed. The
 * legend stays the same while the user drags a handle.
 */
export function showValueLegend(container, column, { range, log, map }, onChange) {
  container.replaceChildren(createElement("div", "heading",
    Object.assign(createElement("h2", "", column.key), { title: column.key }),
    createButton("small-button", "Reset to the whole range",
      () => onChange({ range: null }, true), "Reset")));
  if (!column.isEmpty) {
    container.append(
      ...createColorBar(column, { range, log, map }, onChange),
      createElement("div", "row",
        createLogCheckbox(log, (checked) => onChange({ log: checked }, true)),
        createColormapSelect(map, (name) => onChange({ map: name }, true))));
  }
  if (column.missingCount) {
    const text = `${formatCount(column.missingCount)} cells without a value`;
    container.append(createElement("p", "note", createElement("span", "swatch"), text));
  }
}

/** The bar with a handle for each end of the range, and the values of the two below it. */
function createColorBar(column, { range, log, map }, onChange) {
  const { toPosition, toValue } = createBarScale(column, log);
  const limits = [...(range ?? [column.lo, column.hi])];
  const bar = createElement("div", "color-bar");
  const texts = limits.map((limit) => createElement("span", "", formatNumber(limit)));
  const handles = ["Lower end of the colors", "Upper end of the colors"].map((label, side) => {
    const handle = Object.assign(createElement("input", "handle"), {
      type: "range", min: "0", max: String(STEPS),
      value: String(Math.round(STEPS * toPosition(limits[side]))),
    });
    handle.setAttribute("aria-label", label);
    return handle;
  });
  const update = () => {
    const [start, end] = handles.map((handle) => Number(handle.value) / STEPS);
    bar.style.backgroundImage = colormapGradient(map, start, end);
    handles.forEach((handle, side) => {
      texts[side].textContent = formatNumber(limits[side]);
      handle.setAttribute("aria-valuetext", texts[side].textContent);
    });
    handles[0].classList.toggle("on-top", start > 0.5); // the handle that still has room to move
  };
  handles.forEach((handle, side) => handle.addEventListener("input", () => {
    const other = Number(handles[1 - side].value);
    const [min, max] = side ? [other + 1, STEPS] : [0, other - 1];
    const value = Math.min(max, Math.max(min, Number(handle.value)));
    handle.value = String(value);
    limits[side] = toValue(value / STEPS);
    update();
    const [start, end] = handles.map(({ value }) => Number(value));
    const isWholeRange = start === 0 && end === STEPS;
    onChange({ range: isWholeRange ? null : [...limits] });
  }));
  update();
  return [
    createElement("div", "range-slider", bar, ...handles),
    createElement("div", "range-limits", ...texts),
  ];
}

function createLogCheckbox(checked, onChange) {
  const input = Object.assign(createElement("input"), { type: "checkbox", id: "log", checked });
  input.addEventListener("change", () => onChange(input.checked));
  const label = createElement("label", "checkbox", input, "Log");
  label.title = "log(value) if all values are positive, else log(1 + value - lowest value)";
  return label;
}

function createColormapSelect(value, onChange) {
  const options = COLORMAP_NAMES.map((name) => new Option(name, name));
  const select = createElement("select", "", ...options);
  Object.assign(select, { id: "map", value });
  select.addEventListener("change", () => onChange(select.value));
  const label = createElement("label", "inline-label", "Colors");
  label.htmlFor = "map";
  return createElement("div", "row", label, select);
}
