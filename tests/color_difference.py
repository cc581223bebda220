"""How different colors look: CIEDE2000, also to people with deuteranopia, and contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# From linear sRGB to XYZ (IEC 61966-2-1); the white is D65.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
# On linear sRGB, severity 1 (Machado, Oliveira and Fernandes 2009).
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)


def linear(rgb: Any) -> Floats:
    """(..., 3) linear sRGB, 0 to 1, of bytes."""
    share = np.asarray(rgb, np.float64) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(linear_rgb: Floats) -> Floats:
    """(..., 3) CIELAB of linear sRGB."""
    ratio = linear_rgb @ TO_XYZ.T / TO_XYZ.sum(axis=1)
    x, y, z = np.moveaxis(
        np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29), -1, 0
    )
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def with_deuteranopia(linear_rgb: Floats) -> Floats:
    """Colors that look the same to everybody as these do to people with deuteranopia."""
    return np.clip(linear_rgb @ DEUTERANOPIA.T, 0, 1)


def contrast(first: Any, second: Any) -> Floats:
    """Contrast ratio of WCAG, 1 to 21, of colors in bytes."""
    low, high = np.sort(np.broadcast_arrays(*((linear(c) @ TO_XYZ[1]) for c in (first, second))), 0)
    return (high + 0.05) / (low + 0.05)


def ciede2000(first: Any, second: Any) -> Floats:
    """Difference of colors in CIELAB, as in Sharma, Wu and Dalal 2005, whose letters these are."""
    (l1, a1, b1), (l2, a2, b2) = (np.moveaxis(np.asarray(c, float), -1, 0) for c in (first, second))
    stretch = 1.5 - _chroma_share((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) / 2
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    has_hues = c1 * c2 > 0
    turn = np.where(has_hues, (h2 - h1 + 180) % 360 - 180, 0)
    across = np.where(h1 + h2 < 360, 180, -180) * (np.abs(h1 - h2) > 180)
    h = np.where(has_hues, (h1 + h2) / 2 + across, h1 + h2)
    c, lightness = (c1 + c2) / 2, ((l1 + l2) / 2 - 50) ** 2
    t = (
        1
        - 0.17 * _cos(h - 30)
        + 0.24 * _cos(2 * h)
        + 0.32 * _cos(3 * h + 6)
        - 0.20 * _cos(4 * h - 63)
    )
    by_l = (l2 - l1) / (1 + 0.015 * lightness / np.sqrt(20 + lightness))
    by_c = (c2 - c1) / (1 + 0.045 * c)
    by_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * c * t)
    rotation = 60 * np.exp(-(((h - 275) / 25) ** 2))
    cross = -2 * _chroma_share(c) * np.sin(np.radians(rotation)) * by_c * by_h
    return np.sqrt(by_l**2 + by_c**2 + by_h**2 + cross)


def _chroma_share(c: Floats) -> Floats:
    return np.sqrt(c**7 / (c**7 + 25.0**7))


def _cos(degrees: Floats) -> Floats:
    return np.cos(np.radians(degrees))


# Table 1 of Sharma, Wu and Dalal 2005: L*, a*, b* of two colors, and their difference.
PUBLISHED = """
50.0000 2.6772 -79.7751 50.0000 0.0000 -82.7485 2.0425
50.0000 3.1571 -77.2803 50.0000 0.0000 -82.7485 2.8615
50.0000 2.8361 -74.0200 50.0000 0.0000 -82.7485 3.4412
50.0000 -1.3802 -84.2814 50.0000 0.0000 -82.7485 1.0000
50.0000 -1.1848 -84.8006 50.0000 0.0000 -82.7485 1.0000
50.0000 -0.9009 -85.5211 50.0000 0.0000 -82.7485 1.0000
50.0000 0.0000 0.0000 50.0000 -1.0000 2.0000 2.3669
50.0000 -1.0000 2.0000 50.0000 0.0000 0.0000 2.3669
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0009 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0010 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0011 7.2195
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0012 7.2195
50.0000 -0.0010 2.4900 50.0000 0.0009 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0010 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0011 -2.4900 4.7461
50.0000 2.5000 0.0000 50.0000 0.0000 -2.5000 4.3065
50.0000 2.5000 0.0000 73.0000 25.0000 -18.0000 27.1492
50.0000 2.5000 0.0000 61.0000 -5.0000 29.0000 22.8977
50.0000 2.5000 0.0000 56.0000 -27.0000 -3.0000 31.9030
50.0000 2.5000 0.0000 58.0000 24.0000 15.0000 19.4535
50.0000 2.5000 0.0000 50.0000 3.1736 0.5854 1.0000
50.0000 2.5000 0.0000 50.0000 3.2972 0.0000 1.0000
50.0000 2.5000 0.0000 50.0000 1.8634 0.5757 1.0000
50.0000 2.5000 0.0000 50.0000 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""
