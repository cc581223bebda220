"""Text on a sheet: names of any script and length, taken literally."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

LONGEST: Final = 200  # letters of a name that are looked at
BOX: Final = "\N{WHITE SQUARE}"  # for a letter that no font here has
DOTS: Final = "\N{HORIZONTAL ELLIPSIS}"
FIRST: Final = "DejaVu Sans"  # comes with matplotlib
# Wide fonts of Linux, macOS and Windows, taken for what the first one has not.
OTHERS: Final = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Source Han Sans"),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "IPAGothic"),
    *("Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Noto Sans", "FreeSans", "Unifont"),
)


def tidy(text: str) -> str:
    """One line of text that can be printed."""
    line = " ".join(text[:LONGEST].split())
    return "".join(letter if letter.isprintable() else BOX for letter in line)


class Letters:
    """Fonts that have the letters of `texts`, as far as this machine has such fonts."""

    def __init__(self, texts: Iterable[str]) -> None:
        wanted = {letter for text in texts for letter in tidy(text)} | {BOX, DOTS}
        self.families = [FIRST]
        left = wanted - covered(FIRST)
        for family in OTHERS if left else ():
            if left & covered(family):
                self.families.append(family)
                left -= covered(family)
        self._lost = dict.fromkeys(map(ord, left), BOX)

    def shown(self, text: str) -> str:
        """`text` with a box for what no font has: matplotlib would warn of each such letter."""
        return tidy(text).translate(self._lost)


@cache
def covered(family: str) -> frozenset[str]:
    """Letters of a family; none if it is not installed."""
    from matplotlib import font_manager

    if family not in {font.name for font in font_manager.fontManager.ttflist}:
        return frozenset()
    path = font_manager.findfont(family, fallback_to_default=False)
    return frozenset(map(chr, font_manager.get_font(path).get_charmap()))


def cut(text: str, fits: Callable[[str], bool]) -> str:
    """Longest beginning of `text`, with dots, that fits; all of it if that does."""
    if fits(text):
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(text[:middle].rstrip() + DOTS):
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + DOTS


def number(value: float) -> str:
    """Four digits of a number, in the way that is easiest to read."""
    rounded = float(f"{value:.4g}")
    if rounded and not 1e-3 <= abs(rounded) < 1e7:
        digits, _, power = f"{rounded:.3e}".partition("e")
        text = f"{digits}e{int(power)}"
    else:
        text = f"{rounded:,.10f}".rstrip("0").rstrip(".")
    return text.replace("-", "\N{MINUS SIGN}")
