"""Stored values, float32 or codes, compared with those of the source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from cellucid_dask import format as fmt
from cellucid_dask.verify.export_folder.arrays import Array, decode_values
from cellucid_dask.verify.export_folder.contents import Values
from cellucid_dask.verify.source_data.derive import Float32, find_possible_spans


class ValueComparison:
    """Comparison of values; several threads may use it.

    Attributes
    ----------
    not_in_steps
        Keys whose range is beyond the float32 arithmetic of the format: not compared.
    """

    def __init__(self) -> None:
        self._errors: list[float] = []  # a list, so that no thread overwrites another's
        self.not_in_steps: list[str] = []

    @property
    def largest_error(self) -> float:
        """Largest ``|decoded - source|`` of quantized values, in quantization steps."""
        return max(self._errors, default=0.0)

    def compare(self, field: Values, stored: Array, expected: Float32) -> Iterator[str]:
        """Compare (n_cells,) stored values with the `expected` ones."""
        path = field.resource.path
        if field.bits is None:
            yield from find_unequal(path, stored, expected)
            return
        finite = np.isfinite(expected)
        if not np.array_equal(stored != fmt.CODES[field.bits].missing, finite):
            yield f"{path}: the missing values are not those of the data"
            return
        if not finite.all():
            stored, expected = stored[finite], expected[finite]
        spans = find_possible_spans(expected)
        if field.span not in spans:
            yield f"{path}: the range is {_say_span(field.span)}, in the data {_say_span(spans[0])}"
            return
        yield from self._compare_codes(field, stored, expected)

    def _compare_codes(self, field: Values, stored: Array, expected: Float32) -> Iterator[str]:
        """Codes are truncated: a value is 0 to 1 steps above its decoded one."""
        lo, hi = field.span
        top = fmt.CODES[field.bits or 8].missing - 1
        if not expected.size:
            return
        if not 1e-30 < hi - lo < 1e38:
            self.not_in_steps.append(field.key)
            return
        above = (expected.astype(np.float64) - decode_values(field, stored)) * (top / (hi - lo))
        largest = float(np.abs(above).max())
        self._errors.append(largest)
        rounding = 4 * float(np.finfo(np.float32).eps) * top
        n_wrong = int(((above < -rounding) | (above > 1 + rounding)).sum())
        if n_wrong:
            yield f"{field.resource.path}: {n_wrong} values differ, by up to {largest:.4g} steps"


def _say_span(span: Iterable[float]) -> str:
    """Say both ends, a float32 with the digits that tell it from others."""
    with np.errstate(over="ignore"):  # a manifest that somebody edited may hold any number
        short = [(end, np.float32(end)) for end in span]
    return " to ".join(str(near if float(near) == end else end) for end, near in short)


def find_unequal(path: str, stored: Array, expected: Array) -> Iterator[str]:
    """Say how many values differ; NaN equals NaN."""
    if stored.shape != expected.shape:
        yield f"{path}: has shape {stored.shape}, not {expected.shape}"
        return
    differs = stored != expected
    if stored.dtype.kind == "f":
        differs &= ~(np.isnan(stored) & np.isnan(expected))
    if differs.any():
        yield f"{path}: {int(differs.sum())} of {differs.size} values are not those of the data"
