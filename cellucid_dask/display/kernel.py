"""Whether this process is the kernel of a notebook."""

from __future__ import annotations

import sys


def in_kernel() -> bool:
    """Whether this process is a kernel, so that a notebook shows the outputs."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")
