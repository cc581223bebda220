// Colours of categories and values, as tables of RGBA bytes that codes are looked up in.
//
// The alpha byte says where a cell goes: 0 hides it, 1 is beneath all others (missing), and
// 2 to 255 are the layers of flat views, so that high values lie on top.

const CATEGORIES = (
  "3b82c4 f08a24 3fa34d d9484a 8e63c7 9a6a4f e377b9 b0a828 22b1c4 a11d5b " +
  "7fb3e6 f9b96b 8fd18a f29a98 bfa3e0 c9a58f 2c6e63 6b7a1c 7fdce6 5b4fd6"
).split(" ").map(bytes);
const VIRIDIS =
  "4c1d74 482f7f 3b528b 2c728e 21918c 28ae80 5ec962 addc30 fde725".split(" ").map(bytes);
const [HIDDEN, BENEATH, TOP] = [0, 1, 255];

/** [r, g, b] of "rrggbb" or "#rrggbb". */
export function bytes(hex) {
  return [-6, -4, -2].map((at) => parseInt(hex.slice(at, at + 2 || undefined), 16));
}

const css = (rgb) => `rgb(${rgb.join(" ")})`;
const pack = ([r, g, b], layer) => ((layer << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** [r, g, b] of the category at `index`; past the table, hues a golden angle apart. */
function categoryBytes(index) {
  if (index < CATEGORIES.length) return CATEGORIES[index];
  const light = [0.45, 0.6, 0.7][index % 3];
  return [0, 8, 4].map((shift) => {
    const k = (shift + index * 4.58359) % 12;
    const wave = Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * (light - 0.6 * Math.min(light, 1 - light) * wave));
  });
}

function valueBytes(t) {
  const at = Math.min(t * (VIRIDIS.length - 1), VIRIDIS.length - 1.001);
  const next = VIRIDIS[Math.floor(at) + 1];
  return VIRIDIS[Math.floor(at)].map((from, i) => Math.round(from + (at % 1) * (next[i] - from)));
}

export const categoryColour = (index) => css(categoryBytes(index));
export const gradient = `linear-gradient(to right, ${VIRIDIS.map(css)})`;

/** Packed colour of every code of a categorical field; a code of no category is missing. */
export function categoryTable({ rows, missing, hidden }, grey) {
  const rest = pack(bytes(grey), hidden.has(missing) ? HIDDEN : BENEATH);
  const table = new Uint32Array(missing + 1).fill(rest);
  for (const { code } of rows) {
    if (code !== missing) table[code] = pack(categoryBytes(code), hidden.has(code) ? HIDDEN : TOP);
  }
  return table;
}

/** Packed colour of the levels 0 to 254, and of 255, which is missing. */
export function valueTable(grey) {
  const layer = (level) => BENEATH + 1 + Math.floor((level * 253) / 254);
  return Uint32Array.from({ length: 256 }, (_, level) =>
    level < 255 ? pack(valueBytes(level / 254), layer(level)) : pack(bytes(grey), BENEATH));
}

/** RGBA bytes of every cell. */
export function lookUp(codes, table) {
  const packed = new Uint32Array(codes.length);
  for (let i = 0; i < codes.length; i++) packed[i] = table[codes[i]];
  return new Uint8Array(packed.buffer);
}

/** RGBA bytes of `n` cells of one colour. */
export function plain(n, hex) {
  return new Uint8Array(new Uint32Array(n).fill(pack(bytes(hex), TOP)).buffer);
}
