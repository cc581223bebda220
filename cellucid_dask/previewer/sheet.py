"""The sheet: a head, and below it the thumbnails in rows, each with its legend at its right.

All lengths are in pixels, so that a pixel of a thumbnail is one of the sheet.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cellucid_dask.previewer.colors import value_shades
from cellucid_dask.previewer.panels import Entry, Panel
from cellucid_dask.previewer.text_layout import Letters, cut, number

DPI: Final = 110
EDGE: Final = 28  # around the sheet, and between thumbnails
HEAD: Final = 74  # name of the dataset, and what it holds
TITLE: Final = 24  # above a thumbnail
GAP: Final = 12  # between a thumbnail and its legend
LEGEND: Final = 186  # width
LINE: Final = 19  # of a legend
BAR: Final = (16, 190)  # width and height of a color scale
INK, FAINT, FRAME = "#1c2733", "#667380", "#d5dbe1"
_NO_DATES: Final[dict[str, dict[str, None]]] = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Creator": None, "Date": None},
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Measures of a sheet.

    Parameters
    ----------
    width, height
        Of the picture of a thumbnail.
    """

    columns: int
    width: int
    height: int

    @property
    def rows(self) -> int:
        """Lines of a legend."""
        return self.height // LINE

    def size(self, panels: int) -> tuple[int, int]:
        """Width and height of a sheet of so many thumbnails."""
        rows = -(-panels // self.columns)
        across = EDGE + self.columns * (self.width + GAP + LEGEND + EDGE)
        return across, HEAD + rows * (TITLE + self.height + EDGE)

    def corner(self, index: int) -> tuple[int, int]:
        """Upper left corner of the picture of a thumbnail, from that of the sheet."""
        row, column = divmod(index, self.columns)
        x = EDGE + column * (self.width + GAP + LEGEND + EDGE)
        return x, HEAD + TITLE + row * (TITLE + self.height + EDGE)


class Sheet:
    """A sheet that is being drawn."""

    def __init__(self, layout: Layout, panels: int, letters: Letters) -> None:
        self.layout, self.letters = layout, letters
        self.width, self.height = layout.size(panels)
        inches = (self.width / DPI, self.height / DPI)
        self.figure = Figure(figsize=inches, dpi=DPI, facecolor="white")
        self._renderer = FigureCanvasAgg(self.figure).get_renderer()

    def head(self, name: str, facts: Sequence[str]) -> None:
        """Write what the dataset is."""
        self.text(EDGE, 32, name, self.width - 2 * EDGE, size=15, weight="bold")
        self.text(EDGE, 55, "  ·  ".join(facts), self.width - 2 * EDGE, colour=FAINT)

    def add(self, index: int, panel: Panel) -> None:
        """Draw a thumbnail at its place."""
        (x, y), layout = self.layout.corner(index), self.layout
        note = self.text(x + layout.width, y - 8, panel.note, layout.width // 2, FAINT, right=True)
        room = layout.width - note - GAP
        self.text(x, y - 8, panel.title, room, size=10, weight="bold")
        axes = self.axes(x, y, layout.width, layout.height)
        axes.imshow(panel.picture, interpolation="none", aspect="auto")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color=FRAME, linewidth=0.8)
        x += layout.width + GAP
        if panel.span is not None:
            y = self.scale(x, y, panel.span)
        for line, entry in enumerate(panel.entries):
            self.entry(x, y + line * LINE, entry)

    def scale(self, x: int, y: int, span: tuple[float, float]) -> int:
        """Draw a color scale; where what stands below it begins."""
        low, high = map(number, span)
        if low == high:
            self.text(x, y + 13, f"all are {low}", LEGEND)
            return y + LINE + GAP
        tall = min(BAR[1], self.layout.height - 2 * LINE)
        colours = ListedColormap(value_shades(255) / 255)
        bar = self.figure.colorbar(ScalarMappable(cmap=colours), cax=self.axes(x, y, BAR[0], tall))
        bar.set_ticks([])
        bar.outline.set(edgecolor=FRAME, linewidth=0.8)
        beside = x + BAR[0] + 8
        self.text(beside, y + 10, high, LEGEND - BAR[0] - 8)
        self.text(beside, y + tall, low, LEGEND - BAR[0] - 8)
        return y + tall + GAP

    def entry(self, x: int, y: int, entry: Entry) -> None:
        """Write a line of a legend: colour, name, number of cells."""
        base, used = y + 13, 0
        if entry.cells is not None:
            count = f"{entry.cells:,}"
            used = self.text(x + LEGEND, base, count, LEGEND, FAINT, right=True) + 8
        if entry.colour is None:
            self.text(x, base, entry.label, LEGEND - used, FAINT)
            return
        place = (x / self.width, 1 - (y + 15) / self.height)
        colour = tuple(part / 255 for part in entry.colour)
        self.figure.add_artist(
            Rectangle(place, 11 / self.width, 11 / self.height, facecolor=colour, linewidth=0)
        )
        self.text(x + 17, base, entry.label, LEGEND - used - 17)

    def axes(self, x: int, y: int, width: int, height: int) -> Any:
        """Axes at a place that is counted from the upper left corner."""
        box = (x / self.width, 1 - (y + height) / self.height)
        return self.figure.add_axes((*box, width / self.width, height / self.height))

    def text(
        self,
        x: int,
        y: int,
        text: str,
        room: int,
        colour: str = INK,
        *,
        size: float = 8.5,
        weight: str = "normal",
        right: bool = False,
    ) -> int:
        """Write text on the line at `y`, cut to `room`; how wide it is."""
        look: dict[str, Any] = {"color": colour, "fontsize": size, "fontweight": weight}
        look["parse_math"], look["ha"] = False, "right" if right else "left"
        artist = self.figure.text(x / self.width, 1 - y / self.height, "", **look)

        def width(tried: str) -> float:
            artist.set_text(tried)
            return float(artist.get_window_extent(self._renderer).width) if tried else 0.0

        artist.set_text(cut(self.letters.shown(text), lambda tried: width(tried) <= room))
        return round(width(artist.get_text()))

    def encoded(self, ending: str) -> bytes:
        """Bytes of a file of this format; they depend on nothing but what was drawn."""
        raw = io.BytesIO()
        self.figure.savefig(raw, format=ending, dpi=DPI, metadata=_NO_DATES[ending])
        return raw.getvalue()
