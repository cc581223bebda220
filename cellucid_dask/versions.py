"""What differs between the versions of the libraries that the package supports.

A workaround for one version belongs here, so that it can go when that version does.
"""

from __future__ import annotations

from typing import Any


def layer_names(adata: Any) -> list[str]:
    """List the layers of an AnnData by name; anndata 0.13 holds X there as well, as None.

    In a backed AnnData that entry names an element that no file has.
    """
    return [name for name in adata.layers if name is not None]
