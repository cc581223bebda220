// What all parts of the page write with: elements, numbers, files to save.

export const $ = (id) => document.getElementById(id);
export const count = (n) => n.toLocaleString("en");
export const number = (x) => {
  const plain = x === 0 || (Math.abs(x) >= 1e-4 && Math.abs(x) < 1e9);
  const notation = plain ? "standard" : "scientific"; // else a number is wider than the page
  return x.toLocaleString("en", { maximumSignificantDigits: 4, notation });
};

/** An element of a class that holds text or elements. */
export function element(tag, name, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...children);
  return made;
}

export function button(name, title, clicked, ...children) {
  const made = element("button", name, ...children);
  made.addEventListener("click", clicked);
  return Object.assign(made, { type: "button", title });
}

/** Lets the user save a blob under a name. */
export function save(blob, name) {
  const link = Object.assign(document.createElement("a"), {
    href: URL.createObjectURL(blob),
    download: name.replace(/[^\w.-]+/g, "_"),
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
