// Which cells of a large dataset are seen most in a picture that rests.
//
// Of a million cells most lie under others. A slow card takes as long for those: it is quicker to
// go through all cells here, and to draw first the one on top of each pixel. What the others add is
// less than a pixel of their rims.

import { forEachPlace } from "./project.js";

const HIDDEN = -1; // else as the shader has it: 0 is beneath all others, up to 1

/** The layer of a cell by its index; `held` is what the card holds. The same as in the shader. */
export function layers(look, { code: codes, outlier, selected, palette }) {
  const [origin, step, absent, shift] = look.decode;
  const [low, high] = look.range;
  const ofValue = (code) => {
    if (code >= absent) return 0;
    const value = origin + code * step;
    const at = look.logarithmic ? Math.log(value + shift) : value;
    return 0.01 + 0.98 * Math.min(1, Math.max(0, (at - low) / Math.max(high - low, 1e-30)));
  };
  const ofCategory = (code) => {
    const alpha = palette[4 * Math.min(code, absent) + 3];
    return alpha ? Number(alpha > 127) : HIDDEN;
  };
  const ofCode = [() => 1, ofCategory, ofValue][look.kind];
  const short = codes && !(codes instanceof Float32Array);
  const known = short ? 256 ** codes.BYTES_PER_ELEMENT : 0;
  const table = Float32Array.from({ length: known }, (_, code) => ofCode(code));
  const [from, to] = look.filtered;
  return (i) => {
    if (outlier && outlier[i] > from && outlier[i] < to) return HIDDEN;
    const layer = short ? table[codes[i]] : ofCode(codes?.[i]);
    return selected && !selected[i] && layer > 0 ? 0 : layer;
  };
}

/**
 * Indices, in order, of the cells that are on top of a pixel, and of those just outside.
 *
 * points: (n, width) as drawn; extent: [w, h] in pixels; radius: of a cell in pixels; flat views
 * have a `share` of their depth for the index, as in the shader.
 */
export function onTop(points, width, camera, { extent: [w, h], radius, layer, share }) {
  const { scale, pan } = camera;
  const n = points.length / width;
  const best = new Float32Array(w * h).fill(-Infinity);
  const tops = new Int32Array(w * h).fill(-1);
  const marks = new Uint8Array(n);
  forEachPlace(points, width, camera, (i, x, y, z) => {
    const px = Math.floor(((x * scale[0] + pan[0] + 1) * w) / 2);
    const py = Math.floor(((y * scale[1] + pan[1] + 1) * h) / 2);
    if (px < -radius || py < -radius || px >= w + radius || py >= h + radius) return;
    const at = layer(i);
    if (at < 0) return;
    if (px < 0 || py < 0 || px >= w || py >= h) {
      marks[i] = 1;
      return;
    }
    const height = width === 3 ? z : at * (1 - share) + (i / n) * share;
    const key = at > 0 ? height : height - 10;
    const pixel = py * w + px;
    if (key < best[pixel]) return;
    best[pixel] = key;
    tops[pixel] = i;
  });
  for (let pixel = 0; pixel < tops.length; pixel++) if (tops[pixel] >= 0) marks[tops[pixel]] = 1;
  let count = 0;
  for (let i = 0; i < n; i++) count += marks[i];
  const found = new Uint32Array(count);
  for (let i = 0, end = 0; i < n; i++) if (marks[i]) found[end++] = i;
  return found;
}
