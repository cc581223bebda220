"""Colours of categories and of values: those of the viewer page, so that both look alike."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

# As in server/page/color/colors.js; a test holds both tables against each other.
CATEGORIES: Final = (
    "3b82c4 f08a24 3fa34d d9484a 8e63c7 9a6a4f e377b9 b0a828 22b1c4 a11d5b "
    "7fb3e6 f9b96b 8fd18a f29a98 bfa3e0 c9a58f 2c6e63 6b7a1c 7fdce6 5b4fd6"
)
VIRIDIS: Final = (
    "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 "
    "3fbc73 5ec962 84d44b addc30 d8e219 fde725"
)
TURN: Final = 4.58359  # the golden angle, in twelfths of a circle
LIGHTS: Final = (0.45, 0.6, 0.7)
VIVID: Final = 0.6  # saturation
MISSING: Final = (0xCF, 0xD3, 0xD8)
PLAIN: Final = (0x3B, 0x82, 0xC4)  # where there is nothing to colour by

Shades = NDArray[np.uint8]


def _table(text: str) -> Shades:
    return np.array([list(bytes.fromhex(word)) for word in text.split()], np.uint8)


def category_shades(n: int) -> Shades:
    """(n, 3) RGB of the categories 0 to n - 1; past the table, hues a golden angle apart."""
    index = np.arange(n)
    light = np.asarray(LIGHTS)[index % len(LIGHTS)]
    found = np.empty((n, 3))
    for channel, shift in enumerate((0, 8, 4)):  # from hue, saturation and lightness
        k = (shift + index * TURN) % 12
        wave = np.maximum(-1, np.minimum(np.minimum(k - 3, 9 - k), 1))
        found[:, channel] = np.floor(
            255 * (light - VIVID * np.minimum(light, 1 - light) * wave) + 0.5
        )
    known = _table(CATEGORIES)[:n]
    found[: len(known)] = known
    return found.astype(np.uint8)


def value_shades(n: int) -> Shades:
    """(n, 3) RGB from the lowest value to the highest."""
    stops = _table(VIRIDIS)
    at = np.linspace(0, len(stops) - 1, n)
    channels = [np.interp(at, np.arange(len(stops)), channel) for channel in stops.T]
    return np.floor(np.stack(channels, axis=1) + 0.5).astype(np.uint8)
