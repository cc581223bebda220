"""What differs between the versions of the libraries that the package supports.

A workaround for one version belongs here, so that it can go when that version does.
"""

from __future__ import annotations

from functools import cache
from typing import Any


def layer_names(adata: Any) -> list[str]:
    """List the layers of an AnnData by name; anndata 0.13 holds X there as well, as None.

    In a backed AnnData that entry names an element that no file has.
    """
    return [name for name in adata.layers if name is not None]


@cache
def refuse_cut_blosc() -> None:
    """Make numcodecs refuse a chunk of Blosc that has fewer bytes than its header says.

    numcodecs lets Blosc read on beyond the end of a chunk that was copied in part, and values come
    from what happens to be in memory there. Other codecs tell by themselves.
    """
    from numcodecs.blosc import Blosc
    from numcodecs.compat import ensure_contiguous_ndarray

    decode = Blosc.decode

    def checked(self: Any, buf: Any, out: Any = None) -> Any:
        raw = ensure_contiguous_ndarray(buf, self.max_buffer_size).view("u1")
        stated = int.from_bytes(raw[12:16].tobytes(), "little")
        if raw.size < max(16, stated):  # 16 is the header
            raise RuntimeError(f"a chunk of Blosc is cut off after {raw.size:,} bytes")
        return decode(self, buf, out)

    Blosc.decode = checked
