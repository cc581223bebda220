"""The colors of categories, as ``uns`` has them and as an export writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_HEX: Final = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{4}|[0-9a-f]{6}|[0-9a-f]{8})")
_NAMED_COLORS: Final = """
aqua 00ffff black 000000 blue 0000ff brown a52a2a cyan 00ffff darkgray a9a9a9 darkgrey a9a9a9
fuchsia ff00ff gold ffd700 gray 808080 green 008000 grey 808080 lightgray d3d3d3 lightgrey d3d3d3
lime 00ff00 magenta ff00ff maroon 800000 navy 000080 olive 808000 orange ffa500 pink ffc0cb
purple 800080 red ff0000 salmon fa8072 silver c0c0c0 teal 008080 turquoise 40e0d0 violet ee82ee
white ffffff yellow ffff00
b 0000ff c 00bfbf g 008000 k 000000 m bf00bf r ff0000 w ffffff y bfbf00
tab:blue 1f77b4 tab:orange ff7f0e tab:green 2ca02c tab:red d62728 tab:purple 9467bd
tab:brown 8c564b tab:pink e377c2 tab:gray 7f7f7f tab:grey 7f7f7f tab:olive bcbd22 tab:cyan 17becf
"""
NAMED_COLORS: Final[Mapping[str, str]] = {
    name: f"#{digits}" for name, digits in re.findall(r"(\S+) ([0-9a-f]{6})", _NAMED_COLORS)
}


def color_code(text: object) -> str:
    """``#rrggbb`` of a color of ``uns``, without its opacity; empty for what is none.

    Parameters
    ----------
    text
        ``#rgb``, ``#rgba``, ``#rrggbb``, ``#rrggbbaa``, or one of `NAMED_COLORS`; in any case.
    """
    given = text.strip().lower() if isinstance(text, str) else ""
    if not _HEX.fullmatch(given):
        return NAMED_COLORS.get(given, "")
    if len(given) <= len("#rgba"):
        return "#" + "".join(2 * digit for digit in given[1:4])
    return given[: len("#rrggbb")]
