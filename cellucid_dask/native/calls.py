"""Call functions of the library: all take int64 numbers and pointers, and return an int64."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.native.library import load

ERRORS: Final = {
    -1: "an index lies outside the matrix",
    -2: "cells do not rise",
    -3: "the output does not fit",
    -4: "lengths do not add up",
}


class NativeError(ValueError):
    """What a function of the library refuses: data that do not fit together."""


def call(name: str, *arguments: int | NDArray[Any] | None) -> int:
    """Call a function without the GIL; a negative result is a `NativeError`."""
    found = int(_function(name)(*[_convert(argument) for argument in arguments]))
    if found < 0:
        raise NativeError(ERRORS.get(found, f"{name} failed with {found}"))
    return found


def suffix(indices: NDArray[Any]) -> str:
    """End of the name of a function for indices of this type: int32 or int64."""
    return {"int32": "i32", "int64": "i64"}[indices.dtype.name]


def _convert(argument: int | NDArray[Any] | None) -> Any:
    if isinstance(argument, np.ndarray):
        assert argument.flags.c_contiguous
        return ctypes.c_void_p(argument.ctypes.data)
    return None if argument is None else ctypes.c_int64(argument)


@cache
def _function(name: str) -> Any:
    library = load()
    assert library is not None, "callers ask whether there is a library"
    function = library[name]
    function.restype = ctypes.c_int64
    return function
