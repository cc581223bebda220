"""Ranges of many genes at a time, from their statistics: what `value_range` says of one vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.receipts import GeneReceipts
from cellucid_dask.format import CODES


@dataclass(frozen=True, slots=True)
class GeneRanges:
    """Ranges of genes, and how their values become codes.

    Parameters
    ----------
    bits
        8, 16, or None for values that are not quantized.
    low, high
        (n,) float64, range of quantization.
    n_nan, n_inf
        (n,) values that are NaN and infinite.
    constant, empty
        (n,) whether the finite values are all equal, and whether there is none.
    """

    bits: int | None
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n_nan: NDArray[np.int64]
    n_inf: NDArray[np.int64]
    constant: NDArray[np.bool_]
    empty: NDArray[np.bool_]

    @classmethod
    def of(cls, statistics: NDArray[Any], n_cells: int, bits: int | None) -> GeneRanges:
        """Ranges of genes that store `statistics`, of which all other cells are 0."""
        low = statistics["lowest"].astype(np.float64)
        high = statistics["highest"].astype(np.float64)
        joins_zero = statistics["n_values"] < n_cells
        low = np.where(joins_zero, np.minimum(low, 0.0), low)
        high = np.where(joins_zero, np.maximum(high, 0.0), high)
        empty, constant = low > high, low == high
        # As of one vector: beyond 2**53 a step of 1 is lost.
        above = np.maximum(low + 1.0, np.nextafter(low, np.inf))
        high = np.where(empty, 1.0, np.where(constant, above, high))
        low = np.where(empty, 0.0, low)
        n_nan, n_inf = statistics["n_nan"].copy(), statistics["n_inf"].copy()
        return cls(bits, low, high, n_nan, n_inf, constant, empty)

    def __getitem__(self, genes: slice) -> GeneRanges:
        return GeneRanges(
            self.bits,
            self.low[genes],
            self.high[genes],
            self.n_nan[genes],
            self.n_inf[genes],
            self.constant[genes],
            self.empty[genes],
        )

    @property
    def missing(self) -> int:
        """Code of what is not finite."""
        assert self.bits is not None
        return CODES[self.bits].missing

    @property
    def lowest(self) -> NDArray[np.float32]:
        """(n,) value of code 0."""
        return self.low.astype(np.float32)

    @property
    def scale(self) -> NDArray[np.float32]:
        """(n,) codes for each unit of value; infinite for a range that is very small."""
        with np.errstate(all="ignore"):
            return ((self.missing - 1) / (self.high - self.low)).astype(np.float32)

    @property
    def background(self) -> NDArray[np.uint32]:
        """(n,) code of a cell that stores nothing, in the arithmetic of `encode.quantize`."""
        if self.bits is None:
            return np.zeros(self.low.size, np.uint32)
        with np.errstate(all="ignore"):
            scaled = (np.float32(0) - self.lowest) * self.scale
        scaled[np.isnan(scaled)] = 0
        top = np.float32(self.missing - 1)
        codes: NDArray[np.uint32] = np.clip(scaled, np.float32(0), top).astype(np.uint32)
        return codes

    @property
    def width(self) -> int:
        """Bytes of a code, or of a value that is not quantized."""
        return 4 if self.bits is None else self.bits // 8

    def record(self, receipts: GeneReceipts, genes: NDArray[np.int64]) -> None:
        """Put the ranges of `genes` into their receipts."""
        receipts["lo"], receipts["hi"] = self.low[genes], self.high[genes]
        receipts["n_nan"], receipts["n_inf"] = self.n_nan[genes], self.n_inf[genes]
        receipts["constant"], receipts["empty"] = self.constant[genes], self.empty[genes]
