// What is in the way of a label: other labels, and leader lines. A grid keeps the search short.

/**
 * @typedef {[left: number, top: number, right: number, bottom: number]} Rectangle
 * @typedef {[fromX: number, fromY: number, toX: number, toY: number]} Line
 * @typedef {{ boxes: Rectangle[], leaders: Line[] }} Cell what touches a cell of the grid
 */

const CELL = [96, 32]; // width and height of the cells of the grid
const LONGEST_BELOW = 40; // pixels of a leader line below the label that covers its start

/** Labels and leader lines that have a place. */
export class Obstacles {
  #nColumns;
  #nRows;
  /** @type {Cell[]} */
  #cells;

  /** @param {number[]} size width and height of the plot; all labels are inside */
  constructor(size) {
    this.#nColumns = Math.floor(size[0] / CELL[0]) + 1;
    this.#nRows = Math.floor(size[1] / CELL[1]) + 1;
    this.#cells = Array.from({ length: this.#nColumns * this.#nRows }, () =>
      /** @type {Cell} */ ({ boxes: [], leaders: [] }));
  }

  /** @param {Rectangle} box */
  addBox(box) {
    this.#someCell(box, ({ boxes }) => {
      boxes.push(box);
      return false;
    });
  }

  /** @param {Line} line */
  addLeader(line) {
    this.#someCell(boundsOf(line), ({ leaders }) => {
      leaders.push(line);
      return false;
    });
  }

  /**
   * Whether a label may be there.
   *
   * @param {Rectangle} box
   */
  isFree(box) {
    const [left, top, right, bottom] = box;
    return !this.#someCell(box, ({ boxes, leaders }) =>
      boxes.some((other) =>
        left <= other[2] && right >= other[0] && top <= other[3] && bottom >= other[1])
      || leaders.some((line) => lengthInside(line, box) > 0));
  }

  /**
   * Whether a leader line crosses no label. The start of many is covered by the label that took
   * the place: they may come out of it on a short way.
   *
   * @param {Line} line
   */
  isLeaderFree(line) {
    return !this.#someCell(boundsOf(line), ({ boxes }) => boxes.some((box) =>
      lengthInside(line, box) > (containsPoint(box, line[0], line[1]) ? LONGEST_BELOW : 0)));
  }

  /**
   * Whether a leader line crosses another.
   *
   * @param {Line} line
   */
  doesCrossLeader(line) {
    return this.#someCell(boundsOf(line), ({ leaders }) =>
      leaders.some((other) => doCross(line, other)));
  }

  /**
   * Whether `test` is true for any cell of the grid that a rectangle touches.
   *
   * @param {Rectangle} box
   * @param {(cell: Cell) => boolean} test
   */
  #someCell([left, top, right, bottom], test) {
    const lastColumn = Math.min(this.#nColumns - 1, Math.floor(right / CELL[0]));
    const lastRow = Math.min(this.#nRows - 1, Math.floor(bottom / CELL[1]));
    for (let row = Math.max(0, Math.floor(top / CELL[1])); row <= lastRow; row++) {
      for (let column = Math.max(0, Math.floor(left / CELL[0])); column <= lastColumn; column++) {
        if (test(this.#cells[row * this.#nColumns + column])) return true;
      }
    }
    return false;
  }
}

/**
 * @param {Rectangle} box
 * @param {number} x
 * @param {number} y
 */
export const containsPoint = (box, x, y) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];

/**
 * @param {Line} line
 * @returns {Rectangle}
 */
const boundsOf = ([x0, y0, x1, y1]) =>
  [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];

/**
 * Length of the part of a line that is inside a rectangle.
 *
 * @param {Line} line
 * @param {Rectangle} box
 */
function lengthInside(line, box) {
  let [from, to] = [0, 1]; // the shares of the line at which it enters and leaves
  for (let axis = 0; axis < 2; axis++) {
    const step = line[axis + 2] - line[axis];
    const [low, high] = [box[axis] - line[axis], box[axis + 2] - line[axis]];
    if (step === 0) {
      if (low > 0 || high < 0) return 0;
    } else {
      from = Math.max(from, Math.min(low / step, high / step));
      to = Math.min(to, Math.max(low / step, high / step));
    }
    if (from >= to) return 0;
  }
  return (to - from) * Math.hypot(line[2] - line[0], line[3] - line[1]);
}

/**
 * Whether two lines cross; they do not if they only touch.
 *
 * @param {Line} a
 * @param {Line} b
 */
const doCross = (a, b) =>
  sideOf(a, b[0], b[1]) * sideOf(a, b[2], b[3]) < 0 && sideOf(b, a[0], a[1]) * sideOf(b, a[2], a[3]) < 0;

/**
 * Above or below 0: on which side of a line a point is.
 *
 * @param {Line} line
 * @param {number} x
 * @param {number} y
 */
const sideOf = ([x0, y0, x1, y1], x, y) => (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0);
