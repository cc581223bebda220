"""One thumbnail: its picture, and what stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask import format as fmt
from cellucid_dask.previewer.canvas import NONE, Canvas, Pixels, blocks
from cellucid_dask.previewer.colors import MISSING, PLAIN, Shades, category_shades, value_shades
from cellucid_dask.previewer.open_export import Opened
from cellucid_dask.previewer.select_panels import Field
from cellucid_dask.verify.export_folder.contents import CategoricalField, Values

LEVELS: Final = 255  # steps of a color scale


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a legend.

    Parameters
    ----------
    colour
        RGB; None for a line that is of no colour.
    cells
        How many there are; None where that is not said.
    """

    label: str
    colour: tuple[int, ...] | None = None
    cells: int | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """A thumbnail.

    Parameters
    ----------
    title, note
        What it shows, and of what kind that is.
    picture
        (height, width, 3) RGB.
    entries
        Lines of the legend.
    span
        Lowest and highest value, where there is a color scale.
    """

    title: str
    note: str
    picture: Shades
    entries: tuple[Entry, ...] = ()
    span: tuple[float, float] | None = None


def make_panel(opened: Opened, field: Field | None, canvas: Canvas, rows: int) -> Panel:
    """Draw the thumbnail of a field, or of nothing but the cells; its legend has up to `rows`.

    Raises
    ------
    DamagedError
        When the file of the field is not what it should be.
    """
    if field is None:
        picture = canvas.draw(lambda part: _ranked(canvas.order[part], 1), np.array([PLAIN]))
        return Panel("cells", "no obs columns", picture)
    if isinstance(field, CategoricalField):
        return _categories(opened, field, canvas, rows)
    return _values(opened, field, canvas)


def _ranked(ranks: NDArray[np.generic], slots: NDArray[np.generic] | int) -> Pixels:
    return (ranks.astype(np.uint32) << np.uint32(16)) | np.asarray(slots, np.uint32)


def _categories(opened: Opened, field: CategoricalField, canvas: Canvas, rows: int) -> Panel:
    codes, missing = opened.codes(field), field.code.missing
    counts = np.zeros(missing + 1, np.int64)
    for part in blocks(codes.size):
        counts += np.bincount(codes[part], minlength=missing + 1)
    shades = category_shades(len(field.labels), field.colors or ())

    def packed(part: slice) -> Pixels:
        block = codes[part]
        known = _ranked(canvas.order[part], block.astype(np.uint32) + 1)
        return np.where(block == missing, np.uint32(NONE), known)

    picture = canvas.draw(packed, shades)
    used = int(np.count_nonzero(counts[:missing]))
    note = f"{used:,} categor{'y' if used == 1 else 'ies'}"
    return Panel(field.key, note, picture, _legend(field.labels, counts, shades, rows))


def _legend(
    labels: list[str], counts: NDArray[np.int64], shades: Shades, rows: int
) -> tuple[Entry, ...]:
    """Lines of the largest categories, and how many more there are; those of no cell are left out.

    Parameters
    ----------
    counts
        (marker + 1,) cells of each code; the last is of missing ones.
    """
    largest = np.argsort(-counts[: len(labels)], kind="stable")
    used = int(np.count_nonzero(counts[:-1]))
    last = _without(int(counts[-1]))
    room = rows - len(last)
    shown = used if used <= room else room - 1
    listed = [
        Entry(labels[code], tuple(map(int, shades[code])), int(counts[code]))
        for code in largest[:shown]
    ]
    more = [Entry(f"and {used - shown:,} more")] if used > shown else []
    return (*listed, *more, *last)


def _without(cells: int) -> tuple[Entry, ...]:
    return (Entry("missing", MISSING, cells),) if cells else ()


def _values(opened: Opened, field: Values, canvas: Canvas) -> Panel:
    stored = opened.stored(field)
    known, number = _reading(field)
    lowest, highest, missing = np.inf, -np.inf, 0
    for part in blocks(stored.size):
        good = stored[part][known(stored[part])]
        missing += len(stored[part]) - len(good)
        if good.size:
            lowest, highest = min(lowest, float(good.min())), max(highest, float(good.max()))
    span = None if highest < lowest else (number(lowest), number(highest))
    scale = (LEVELS - 1) / (highest - lowest) if highest > lowest else 0.0
    floor = lowest if span is not None else 0.0

    def packed(part: slice) -> Pixels:
        block = stored[part]
        good = known(block)
        level = (np.where(good, block, floor).astype(np.float64) - floor) * scale + 1.5
        slots = level.astype(np.uint32)
        return np.where(good, _ranked(slots, slots), np.uint32(NONE))

    picture = canvas.draw(packed, value_shades(LEVELS))
    gene = field.resource.kind == "gene"
    return Panel(field.key, "gene" if gene else "values", picture, _without(missing), span)


def _reading(
    field: Values,
) -> tuple[Callable[[NDArray[np.generic]], NDArray[np.bool_]], Callable[[float], float]]:
    """Say which stored values there are, and what number one stands for."""
    if field.bits is None:
        return np.isfinite, float
    missing, (lo, hi) = fmt.CODES[field.bits].missing, field.span
    return lambda codes: codes != missing, lambda code: lo + code * (hi - lo) / (missing - 1)
