// SVG as plain nodes, which become elements of the page or the text of a file.

/**
 * @typedef {{tag: string, attributes: Record<string, string | number>,
 *   children: (SvgNode | string)[]}} SvgNode
 */

const NAMESPACE = "http://www.w3.org/2000/svg";
const LINK_NAMESPACE = "http://www.w3.org/1999/xlink";
// Characters that XML has no way to write, such as control characters and halves of surrogate pairs.
const NOT_XML = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu;
const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...(SvgNode | string)} children
 * @returns {SvgNode}
 */
export const createNode = (tag, attributes, ...children) => ({ tag, attributes, children });

/**
 * The elements of nodes, for the page.
 *
 * @param {SvgNode} node
 * @returns {SVGElement}
 */
export function createSvgElement({ tag, attributes, children }) {
  const element = /** @type {SVGElement} */ (document.createElementNS(NAMESPACE, tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children.map((child) =>
    (typeof child === "string" ? child : createSvgElement(child))));
  return element;
}

/**
 * The text of a file with one picture.
 *
 * @param {SvgNode} root
 */
export function formatSvgFile({ tag, attributes, children }) {
  const namespaces = { xmlns: NAMESPACE, "xmlns:xlink": LINK_NAMESPACE };
  const root = createNode(tag, { ...namespaces, ...attributes }, ...children);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${formatNode(root)}\n`;
}

/**
 * @param {SvgNode | string} node
 * @returns {string}
 */
function formatNode(node) {
  if (typeof node === "string") return escapeXml(node);
  const { tag, attributes, children } = node;
  const pairs = Object.entries(attributes)
    .map(([name, value]) => ` ${name}="${escapeXml(String(value))}"`);
  const isContainer = ["svg", "g", "defs"].includes(tag);
  const inside = children.map(formatNode).join(isContainer ? "\n" : "");
  return inside ? `<${tag}${pairs.join("")}>${inside}</${tag}>` : `<${tag}${pairs.join("")}/>`;
}

/** @param {string} text */
const escapeXml = (text) => text.replace(NOT_XML, "\uFFFD")
  .replace(/[&<>"]/g, (sign) => ESCAPES[/** @type {keyof typeof ESCAPES} */ (sign)]);
