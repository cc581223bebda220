// Values as text that can be read back.

const MAX_DIGITS = 9; // of a float32
const FIRST_ROUNDED = 2 ** 24; // float32 has all whole numbers below, not all beyond

/**
 * Whether a float32 stands for several whole numbers of a file.
 *
 * @param {number} value
 */
export const isRounded = (value) => Math.abs(value) >= FIRST_ROUNDED;

/**
 * The text of a value with few digits, but so many that it is within `tolerance` of the value, or
 * stands for the same float32.
 *
 * @param {number} value
 * @param {number} [tolerance]
 * @param {number} [digits] at least, if the value has them
 */
export function formatValue(value, tolerance = 0, digits = 6) {
  if (Number.isInteger(value) && !isRounded(value)) return String(value);
  for (; digits < MAX_DIGITS; digits++) {
    const shown = Number(value.toPrecision(digits));
    const isNear = Math.abs(shown - value) <= tolerance;
    if (isNear || Math.fround(shown) === Math.fround(value)) return String(shown);
  }
  return String(Number(value.toPrecision(MAX_DIGITS)));
}
