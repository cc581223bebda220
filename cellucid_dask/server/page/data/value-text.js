// Values as text that can be read back.

const MAX_DIGITS = 9; // of a float32

/**
 * The text of a value with few digits, but so many that it is within `tolerance` of the value, or
 * stands for the same float32.
 *
 * @param {number} value
 * @param {number} [tolerance]
 * @param {number} [digits] at least, if the value has them
 */
export function formatValue(value, tolerance = 0, digits = 6) {
  if (Number.isSafeInteger(value)) return String(value);
  for (; digits < MAX_DIGITS; digits++) {
    const shown = Number(value.toPrecision(digits));
    const isNear = Math.abs(shown - value) <= tolerance;
    if (isNear || Math.fround(shown) === Math.fround(value)) return String(shown);
  }
  return String(Number(value.toPrecision(MAX_DIGITS)));
}
