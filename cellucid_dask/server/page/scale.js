// The legend of a continuous field or a gene: a bar of colours with handles, a logarithm, a map.

import { gradient, MAP_NAMES } from "./colours.js";
import { button, count, element, number } from "./elements.js";

const STEPS = 1000; // of the bar

/** Place from 0 to 1 of a value on the bar, and the value at a place. */
function bar(column, logarithmic) {
  const [lo, hi] = [column.lo, column.hi].map((x) => column.scaled(x, logarithmic));
  return {
    place: (value) => (hi > lo ? (column.scaled(value, logarithmic) - lo) / (hi - lo) : 0),
    value: (at) => {
      if (at <= 0) return column.lo;
      return at >= 1 ? column.hi : column.unscaled(lo + at * (hi - lo), logarithmic);
    },
  };
}

/**
 * Shows a column of values.
 *
 * `changed({range, log, map}, anew)` is called with what the user changed, and whether that is
 * to be shown anew: not for a handle, which is still held.
 */
export function showValues(place, column, { range, log, map }, changed) {
  place.replaceChildren(element("div", "heading",
    Object.assign(element("h2", "", column.key), { title: column.key }),
    button("all", "Whole range", () => changed({ range: null }, true), "Reset")));
  if (!column.empty) place.append(...controls(column, { range, log, map }, changed));
  if (column.missing) {
    const text = `${count(column.missing)} cells without a value`;
    place.append(element("p", "note", element("span", "swatch"), text));
  }
}

function controls(column, { range, log, map }, changed) {
  const { place, value } = bar(column, log);
  const now = [...(range ?? [column.lo, column.hi])];
  const picture = element("div", "bar");
  const ends = now.map((end) => element("span", "", number(end)));
  const handles = ["Lowest colour at", "Highest colour at"].map((label, side) => {
    const handle = Object.assign(element("input", "handle"), {
      type: "range", min: 0, max: STEPS, value: Math.round(STEPS * place(now[side])),
    });
    handle.setAttribute("aria-label", label);
    return handle;
  });
  const paint = () => {
    const [start, end] = handles.map((handle) => handle.value / STEPS);
    picture.style.backgroundImage = gradient(map, start, end);
    handles.forEach((handle, side) => {
      ends[side].textContent = number(now[side]);
      handle.setAttribute("aria-valuetext", ends[side].textContent);
    });
    handles[0].classList.toggle("upper", start > 0.5); // the one that can still be moved is on top
  };
  handles.forEach((handle, side) => handle.addEventListener("input", () => {
    const other = Number(handles[1 - side].value);
    const least = side ? other + 1 : 0;
    const most = side ? STEPS : other - 1;
    handle.value = Math.min(most, Math.max(least, handle.value));
    now[side] = value(handle.value / STEPS);
    paint();
    const [start, end] = handles.map((each) => Number(each.value));
    const whole = start === 0 && end === STEPS;
    changed({ range: whole ? null : [...now] });
  }));
  paint();
  return [
    element("div", "scale", picture, ...handles),
    element("div", "ends", ...ends),
    element("div", "row", check("log", "Log", log, (on) => changed({ log: on }, true)),
      choice("map", "Colours", MAP_NAMES, map, (name) => changed({ map: name }, true))),
  ];
}

function check(id, text, on, changed) {
  const input = Object.assign(element("input"), { type: "checkbox", id, checked: on });
  input.addEventListener("change", () => changed(input.checked));
  const label = element("label", "check", input, text);
  label.title = "log(value) where all are positive, else log(1 + value - lowest)";
  return label;
}

function choice(id, text, names, chosen, changed) {
  const select = element("select", "", ...names.map((name) => new Option(name, name)));
  Object.assign(select, { id, value: chosen });
  select.addEventListener("change", () => changed(select.value));
  const label = element("label", "choice", text);
  label.htmlFor = id;
  return element("div", "row", label, select);
}
