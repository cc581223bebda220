"""Which values are of dask, and how a block of one is computed; dask itself is not imported.

Whoever holds a value of dask has imported it. An import here would add a third of a second to the
start of every export.
"""

from __future__ import annotations

import sys
from typing import Any

from cellucid_dask.errors import InputError


def is_dask(value: Any) -> bool:
    """Whether a value is a lazy collection of dask."""
    base = sys.modules.get("dask.base")
    test = getattr(base, "is_dask_collection", None)  # not there while another thread imports it
    return test is not None and bool(test(value))


def is_dask_array(value: Any) -> bool:
    """Whether a value is an array of dask."""
    return isinstance(value, getattr(sys.modules.get("dask.array"), "Array", ()))


def compute_block(part: Any, label: str) -> Any:
    """Compute a part of a dask array in this thread.

    Raises
    ------
    InputError
        When its blocks are not of the shape that they were declared with.
    """
    try:
        block = part.compute(scheduler="synchronous")
    except ValueError as error:
        raise InputError(
            f"has blocks that cannot be put together ({error})", where=label
        ) from error
    if block.shape != part.shape:
        what = f"has blocks of shape {block.shape} where it declares {part.shape}"
        raise InputError(what, where=label, fix="declare the chunks that map_blocks gives")
    return block
