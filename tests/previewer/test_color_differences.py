"""The colors of categories can be told apart, on both grounds, also with deuteranopia.

They are those of the viewer page too: `test_colours_are_those_of_the_page`.
"""

from __future__ import annotations

import numpy as np
import pytest
from color_difference import PUBLISHED, ciede2000, contrast, lab, linear, with_deuteranopia

from cellucid_dask.previewer.colors import category_shades

N_COLORS = 40
GROUNDS = {"light": (0xFF, 0xFF, 0xFF), "dark": (0x10, 0x13, 0x17)}
MISSING = ((0xCF, 0xD3, 0xD8), (0x45, 0x4C, 0x54))  # of the light and the dark theme
TABLE = linear(category_shades(N_COLORS))


def test_the_difference_is_the_published_one() -> None:
    """On all 34 pairs, to the four digits that the paper gives."""
    pairs = np.array([line.split() for line in PUBLISHED.split("\n") if line], float)
    assert len(pairs) == 34
    for first, second in ((pairs[:, :3], pairs[:, 3:6]), (pairs[:, 3:6], pairs[:, :3])):
        assert np.abs(ciede2000(first, second) - pairs[:, 6]).max() < 5e-5 + 1e-9


def smallest_difference(n: int, *, deuteranopia: bool) -> float:
    """Of the first n colors, pair by pair."""
    seen = lab(with_deuteranopia(TABLE[:n]) if deuteranopia else TABLE[:n])
    first, second = np.triu_indices(n, 1)
    return float(ciede2000(seen[first], seen[second]).min())


@pytest.mark.parametrize(
    ("n", "deuteranopia", "least"),
    [
        (10, False, 15),
        (10, True, 10),
        (20, False, 10),
        (20, True, 8),
        (40, False, 8),
        (40, True, 5),
    ],
)
def test_categories_differ(n: int, deuteranopia: bool, least: float) -> None:
    """No two are twins, which differ by less than 5."""
    assert smallest_difference(n, deuteranopia=deuteranopia) >= least


def test_categories_stand_out_from_the_ground_and_from_missing_cells() -> None:
    for ground in GROUNDS.values():
        assert contrast(category_shades(N_COLORS), ground).min() >= 3
    assert float(contrast((0, 0, 0), (255, 255, 255))) == pytest.approx(21)
    greys = lab(linear(MISSING))
    assert ciede2000(lab(TABLE)[:, None], greys).min() >= 8
