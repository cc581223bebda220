// The legend: categories to switch on and off, or a bar of values.

import { categoryColour, gradient } from "./colours.js";

const MOST = 500; // more rows than that help nobody and make the page slow

export const count = (n) => n.toLocaleString("en");
const number = (x) => x.toLocaleString("en", { maximumSignificantDigits: 4 });

/** An element of a class that holds text or elements. */
export function element(tag, name, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...children);
  return made;
}

function button(name, title, clicked, ...children) {
  const made = element("button", name, ...children);
  made.addEventListener("click", clicked);
  return Object.assign(made, { type: "button", title });
}

/** Shows a categorical field; `changed()` is called when its set `hidden` was changed. */
export function showCategories(place, { rows, hidden, missing }, title, changed) {
  const listed = rows.slice(0, MOST);
  const press = () => buttons.forEach((each, i) => {
    each.ariaPressed = String(!hidden.has(listed[i].code));
  });
  const update = (codes) => {
    hidden.clear();
    codes.forEach((code) => hidden.add(code));
    press();
    changed();
  };
  const buttons = listed.map(({ name, code, cells }) => {
    const swatch = element("span", "swatch");
    if (code !== missing) swatch.style.backgroundColor = categoryColour(code);
    const toggle = () => update(hidden.has(code)
      ? [...hidden].filter((other) => other !== code)
      : [...hidden, code]);
    return button("entry", name, toggle, swatch, element("span", "text", name),
      element("span", "number", count(cells)));
  });
  place.replaceChildren(
    element("div", "heading", element("h2", "", title),
      button("all", "Show all", () => update([]), "All"),
      button("all", "Hide all", () => update(rows.map(({ code }) => code)), "None")),
    element("ul", "entries", ...buttons.map((each) => element("li", "", each))),
  );
  if (rows.length > MOST) {
    place.append(element("p", "note", `and ${count(rows.length - MOST)} more`));
  }
  press();
}

/** Shows a continuous field or a gene. */
export function showValues(place, { lo, hi, missing }, title) {
  const bar = element("div", "bar");
  bar.style.backgroundImage = gradient;
  place.replaceChildren(element("div", "heading", element("h2", "", title)));
  if (lo <= hi) {
    place.append(bar, element("div", "ends", ...[lo, hi].map((end) =>
      element("span", "", number(end)))));
  }
  if (missing) {
    const text = `${count(missing)} cells without a value`;
    place.append(element("p", "note", element("span", "swatch"), text));
  }
}
