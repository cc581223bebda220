"""What a round of the fuzzer draws from, and calls functions of the library with."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

ERRORS = {-1, -2, -3, -4}
HOSTILE = [0, 1, -1, 2**8, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, -(2**62)]


class Case:
    """One round: its random numbers, and memory that ends exactly where an array ends."""

    def __init__(self, library: ctypes.CDLL, random: np.random.Generator) -> None:
        self.library, self.random = library, random
        self._pointers: list[int] = []
        self._c = ctypes.CDLL(None)  # with the malloc of ASan
        self._c.malloc.restype = ctypes.c_void_p
        self._c.free.argtypes = [ctypes.c_void_p]

    def __enter__(self) -> Case:
        return self

    def __exit__(self, *_: object) -> None:
        for pointer in self._pointers:
            self._c.free(pointer)

    def place(self, array: np.ndarray) -> np.ndarray:
        """Copy an array into memory of its own, beyond which ASan sees reads and writes."""
        pointer = self._c.malloc(ctypes.c_size_t(array.nbytes))
        self._pointers.append(pointer)
        kept = (ctypes.c_uint8 * array.nbytes).from_address(pointer)
        placed = np.ndarray(array.shape, array.dtype, kept)
        placed[:] = array
        return placed

    def room(self, n_bytes: int) -> np.ndarray:
        """Memory to write to."""
        return self.place(np.zeros(n_bytes, np.uint8))

    def call(self, name: str, *arguments: int | np.ndarray | None) -> int:
        """Call a function of the library."""
        function = self.library[name]
        function.restype = ctypes.c_int64
        converted = [
            ctypes.c_void_p(a.ctypes.data if a is not None else None)
            if not isinstance(a, int | np.integer)
            else ctypes.c_int64(int(a))
            for a in arguments
        ]
        result = int(function(*converted))
        assert result >= 0 or result in ERRORS, result
        return result

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return bool(self.random.random() < probability)

    def size(self, limit: int) -> int:
        """A size up to `limit`; small ones are as likely as large ones."""
        return int((limit + 1) ** self.random.random()) - int(self.chance(0.5))

    def choose(self, *values: Any) -> Any:
        """One of the values."""
        return values[self.random.integers(len(values))]

    def spoil(self, array: np.ndarray) -> None:
        """Put what no caller would mean into some places."""
        for _ in range(int(self.random.integers(1, 4)) if array.size else 0):
            place = self.random.integers(array.size)
            value = self.choose(*HOSTILE, int(self.random.integers(2**62)))
            if self.chance(0.5) and array.dtype != np.uint64:
                value = int(array[place]) + self.choose(-1, 1)
            array[place] = np.array([value], np.int64).astype(array.dtype)[0]

    def codes(self, n: int, bits: int) -> np.ndarray:
        """`n` codes of few or many values, as uint64."""
        palette = self.random.integers(0, 2**bits, self.choose(1, 2, 5, 25, 300), np.uint64)
        weights = self.random.random(palette.size) ** self.choose(0, 1, 20)
        if palette.size == 25:  # whose codes are of all lengths
            weights = 0.5 ** np.arange(25)
        return self.random.choice(palette, n, p=weights / weights.sum())


Target = Callable[[Case], None]
