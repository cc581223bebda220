"""Memory that a thread keeps for its next call: fresh pages are zeroed by the system, slowly."""

from __future__ import annotations

import threading
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_KEPT_BYTES: Final = 2**26  # a server has many threads
_scratch = threading.local()


def reuse(name: str, n_bytes: int) -> NDArray[np.uint8]:
    """At least `n_bytes` of this thread, in which its last call of this name left anything.

    Larger memory than `MAX_KEPT_BYTES` is given back.
    """
    kept: NDArray[np.uint8] | None = getattr(_scratch, name, None)
    if kept is None or kept.size < n_bytes:
        kept = np.empty(n_bytes + n_bytes // 8, np.uint8)
        if n_bytes <= MAX_KEPT_BYTES:
            setattr(_scratch, name, kept)
    return kept
