"""Colours of categories and of values: those of the viewer page, so that both look alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

# As in server/page/color/palette.js, which says how they were chosen, and in colormaps.js; a test
# holds the tables against each other.
CATEGORIES: Final = (
    "3b82c4 fc6000 247034 fc5c6c b080c8 947054 cc1080 58a08c 786c00 905860 "
    "3c6874 3c44fc fc50b0 cc54fc 886498 306c60 b4847c d84c34 54949c 4460a0 "
    "903cd4 6c886c 28a454 c448b4 7070fc b4383c b45c7c c88440 b82854 148484 "
    "a47890 548c38 e07094 64608c 486c14 bc5000 0c98d0 cc74b4 0c68fc b410ac"
)
VIRIDIS: Final = (
    "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 "
    "3fbc73 5ec962 84d44b addc30 d8e219 fde725"
)
MISSING: Final = (0xCF, 0xD3, 0xD8)
PLAIN: Final = (0x3B, 0x82, 0xC4)  # where there is nothing to colour by

Shades = NDArray[np.uint8]


def _table(text: str) -> Shades:
    return np.array([list(bytes.fromhex(word)) for word in text.split()], np.uint8)


def category_shades(n: int, given: Sequence[str] = ()) -> Shades:
    """(n, 3) RGB of the categories 0 to n - 1.

    They are the `given` ones, ``#rrggbb``, as far as these go, else those of the table, which
    repeat past its end.
    """
    table = _table(CATEGORIES)
    found = table[np.arange(n) % len(table)]
    for code, color in enumerate(given[:n]):
        if re.fullmatch("#[0-9a-fA-F]{6}", color):  # 'verify' reports others
            found[code] = list(bytes.fromhex(color[1:]))
    return found


def value_shades(n: int) -> Shades:
    """(n, 3) RGB from the lowest value to the highest."""
    stops = _table(VIRIDIS)
    at = np.linspace(0, len(stops) - 1, n)
    channels = [np.interp(at, np.arange(len(stops)), channel) for channel in stops.T]
    return np.floor(np.stack(channels, axis=1) + 0.5).astype(np.uint8)
