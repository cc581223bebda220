"""What all tasks of a stage need and is too large to go with each: written once, read by workers.

Ten thousand tasks that each carry half a megabyte are gigabytes in the scheduler.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from cellucid_dask.files import write_atomically

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shared(Generic[T]):
    """A value in a file of the spill folder, of which tasks carry the path."""

    path: str

    def load(self) -> T:
        """Read the value, once in each process."""
        found: T = _load(self.path)
        return found


def share(folder: str, name: str, value: T) -> Shared[T]:
    """Write a value into `folder`, where all workers see it."""
    path = Path(folder, f"{name}.pickle")
    write_atomically(path, [pickle.dumps(value, protocol=5)])
    return Shared(str(path))


@lru_cache(maxsize=4)
def _load(path: str) -> Any:
    return pickle.loads(Path(path).read_bytes())  # noqa: S301  this run wrote it
