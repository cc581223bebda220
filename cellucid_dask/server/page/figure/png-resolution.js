// The resolution of a PNG, which says how large it is on paper.

const SIGNATURE_AND_HEADER = 8 + 25; // bytes; the chunk with the resolution comes after them
const METERS_PER_INCH = 0.0254;

/**
 * A PNG that says its resolution, in a chunk "pHYs".
 *
 * @param {Blob} png
 * @param {number} dpi
 */
export function setResolution(png, dpi) {
  const chunk = new DataView(new ArrayBuffer(21));
  const perMeter = Math.round(dpi / METERS_PER_INCH);
  chunk.setUint32(0, 9); // bytes of data
  [..."pHYs"].forEach((letter, i) => chunk.setUint8(4 + i, letter.charCodeAt(0)));
  chunk.setUint32(8, perMeter);
  chunk.setUint32(12, perMeter);
  chunk.setUint8(16, 1); // pixels per meter
  chunk.setUint32(17, crc32(new Uint8Array(chunk.buffer, 4, 13)));
  const [start, end] = [png.slice(0, SIGNATURE_AND_HEADER), png.slice(SIGNATURE_AND_HEADER)];
  return new Blob([start, chunk.buffer, end], { type: "image/png" });
}

/** @param {Uint8Array} bytes */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
