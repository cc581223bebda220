"""The cell types of a synthetic study of blood: how many, where they lie, which genes mark them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

CONDITIONS: Final[Mapping[str, str]] = {
    "healthy": "#4c8f5e",
    "mild": "#c28a1d",
    "severe": "#b5403a",
}
LINEAGES: Final[Mapping[str, str]] = {
    "B cell": "#c07a3c",
    "Myeloid": "#c0473d",
    "NK cell": "#3f8f4f",
    "Other": "#75706a",
    "T cell": "#2f67ad",
}
DONORS: Final = 12  # the same number of each condition


@dataclass(frozen=True, slots=True)
class CellType:
    """One of the cell types.

    Parameters
    ----------
    lineage
        What it is in a coarser annotation.
    share
        Of the cells of healthy donors.
    fold
        The share of mild and severe cases, divided by that.
    path
        A line through its cells in the 2D embedding; the further from it, the fewer cells.
    level
        Its height in the 3D embedding.
    color
        For the atlas to bring along, as analyses do: similar for types of a lineage. A test
        checks that no two are too similar, and that they stand out from both grounds.
    markers
        Genes that are detected in many of its cells.
    """

    name: str
    lineage: str
    share: float
    fold: tuple[float, float]
    path: tuple[tuple[float, float], ...]
    level: float
    color: str
    markers: str

    @property
    def width(self) -> float:
        """Distance from the path to its furthest cells: types are about equally dense."""
        length = float(np.linalg.norm(np.diff(self.path, axis=0), axis=1).sum())
        area = 155 * max(self.share, 0.0025)
        return (-length + float(np.sqrt(length**2 + np.pi * area))) / np.pi


TYPES: Final = (
    CellType(
        *("CD4 naive T", "T cell", 0.15, (0.9, 0.5)),
        *(((-6.0, 4.6), (-4.0, 6.6), (-1.6, 6.9)), 0.5, "#0d78ae"),
        "CD3E CD3D CD4 IL7R CCR7 LEF1",
    ),
    CellType(
        *("CD4 memory T", "T cell", 0.13, (1, 0.8)),
        *(((-5.4, 2.4), (-3.2, 3.4), (-0.9, 3.7)), 0.2, "#3361b3"),
        "CD3E CD3D CD4 IL7R S100A4 LTB",
    ),
    CellType(
        *("Treg", "T cell", 0.025, (1.1, 1.5)),
        *(((-7.3, 2.2), (-6.8, 0.9)), -0.6, "#6e5cce"),
        "CD3E CD3D CD4 FOXP3 IL2RA CTLA4",
    ),
    CellType(
        *("CD8 naive T", "T cell", 0.07, (0.9, 0.5)),
        *(((0.7, 6.7), (2.4, 6.0)), 0.8, "#3494a8"),
        "CD3E CD3D CD8A CD8B CCR7 LEF1",
    ),
    CellType(
        *("CD8 effector T", "T cell", 0.10, (1.2, 1.3)),
        *(((1.4, 3.6), (3.4, 2.9), (4.6, 1.4)), 1.0, "#307582"),
        "CD3E CD3D CD8A CD8B NKG7 CCL5 GZMK GZMB",
    ),
    CellType(
        *("MAIT", "T cell", 0.015, (0.7, 0.3)),
        *(((0.2, 1.5), (0.9, 1.1)), 0.4, "#1d91ed"),
        "CD3E CD3D SLC4A10 KLRB1 GZMK",
    ),
    CellType(
        *("Gamma-delta T", "T cell", 0.02, (0.9, 0.8)),
        *(((5.2, 4.2), (5.9, 3.7)), 1.6, "#746698"),
        "CD3E CD3D TRDC TRGC1 NKG7 GNLY",
    ),
    CellType(
        *("NK", "NK cell", 0.09, (1, 0.8)),
        *(((6.0, 0.6), (7.4, -0.6), (7.5, -1.9)), 1.8, "#23904d"),
        "NKG7 GNLY GZMB PRF1 KLRD1 FCGR3A CCL5",
    ),
    CellType(
        *("NK CD56-bright", "NK cell", 0.012, (1, 0.7)),
        *(((5.3, -1.9), (5.6, -2.4)), 1.4, "#5b7e2e"),
        "NKG7 GNLY KLRD1 NCAM1 XCL1",
    ),
    CellType(
        *("Proliferating T/NK", "T cell", 0.012, (2, 4)),
        *(((2.4, -0.4), (3.3, -1.1)), 0.8, "#b15bbd"),
        "CD3E MKI67 TOP2A STMN1 NKG7",
    ),
    CellType(
        *("Naive B", "B cell", 0.07, (1, 1)),
        *(((-8.3, -3.8), (-7.0, -5.3)), -2.0, "#d36d01"),
        "MS4A1 CD79A HLA-DRA TCL1A IGHD",
    ),
    CellType(
        *("Memory B", "B cell", 0.04, (1, 0.9)),
        *(((-5.7, -5.3), (-4.5, -6.4)), -2.2, "#b7714e"),
        "MS4A1 CD79A HLA-DRA CD27 BANK1",
    ),
    CellType(
        *("Plasmablast", "B cell", 0.006, (3, 6)),
        *(((-3.0, -8.6), (-2.4, -9.2)), -1.4, "#cf457d"),
        "CD79A MZB1 JCHAIN IGHG1 XBP1",
    ),
    CellType(
        *("CD14 monocyte", "Myeloid", 0.17, (1.1, 1.7)),
        *(((0.6, -5.0), (2.4, -7.2), (4.9, -7.4)), -0.4, "#cf3e38"),
        "LYZ CD14 S100A8 S100A9 VCAN FCN1",
    ),
    CellType(
        *("CD16 monocyte", "Myeloid", 0.035, (0.8, 0.4)),
        *(((7.4, -6.6), (8.3, -5.6)), 0.2, "#d86e65"),
        "LYZ FCGR3A MS4A7 LST1 CDKN1C",
    ),
    CellType(
        *("Conventional DC", "Myeloid", 0.016, (0.8, 0.4)),
        *(((-0.4, -7.6), (-0.7, -8.5)), -1.2, "#9c6601"),
        "LYZ FCER1A CD1C HLA-DRA CLEC10A",
    ),
    CellType(
        *("Plasmacytoid DC", "Myeloid", 0.002, (1, 1)),
        *(((-9.4, 0.0), (-9.2, -0.3)), -2.6, "#98882a"),
        "LILRA4 IL3RA IRF7 GZMB HLA-DRA",
    ),
    CellType(
        *("Platelet", "Other", 0.01, (1.2, 1.8)),
        *(((9.3, -9.0), (9.7, -8.6)), 1.0, "#7d7468"),
        "PPBP PF4 TUBB1",
    ),
    CellType(
        *("Erythroblast", "Other", 0.005, (1, 2.5)),
        *(((9.2, 6.6), (9.7, 7.2)), -1.0, "#9d4a4c"),
        "HBB HBA1 ALAS2 GYPA",
    ),
    CellType(
        *("Progenitor", "Other", 0.006, (1, 1.4)),
        *(((-1.8, -1.6), (-1.2, -2.0)), -0.8, "#6b7889"),
        "CD34 SPINK2 SOX4 STMN1",
    ),
)
# Genes that cells make when they meet a virus, by lineage: the log odds of a severe case.
INTERFERON: Final = ("ISG15", "IFI6", "IFI44L", "IFIT1", "MX1", "XAF1", "STAT1")
RESPONSE: Final[Mapping[str, float]] = {
    "T cell": 4.0,
    "NK cell": 3.0,
    "B cell": 2.2,
    "Myeloid": 4.6,
    "Other": 0.5,
}
MILD: Final = 0.45  # the response of a mild case, as a part of that
ABUNDANT: Final = ("MALAT1", "B2M", "ACTB", "TMSB4X", "RPLP0", "MT-CO1")
OUTLIER: Final = "SCGB1A1"  # is low in some cells, and very high in a single one
