"""Units of work of a ready file: each is one task, is journaled when done, and is done once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cellucid_dask.exporter.ready_receipts import ReadyWork


@dataclass(frozen=True, slots=True)
class Unit:
    """A task of a ready file.

    Parameters
    ----------
    key
        Of the `ReadyWork` that it returns.
    work
        Function that workers call with `arguments`.
    """

    key: str
    work: Callable[..., ReadyWork]
    arguments: tuple[Any, ...]


def do_unit(unit: Unit) -> ReadyWork:
    """Run one unit in a worker."""
    return unit.work(*unit.arguments)


def open_units(units: Sequence[Unit], finished: Sequence[ReadyWork]) -> list[Unit]:
    """The units that a previous run has not finished."""
    done = {work.key for work in finished}
    return [unit for unit in units if unit.key not in done]
