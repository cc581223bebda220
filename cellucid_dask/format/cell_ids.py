"""The ids of cells: blocks, and where they are."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from cellucid_dask.format.paths import Resource

IDS_PER_BLOCK: Final = 2048  # so that who asks for one id reads some 10 kB
_LIVE_IDS: Final = "obs/_index/{block}.json"
_LIVE_BLOCK: Final = re.compile(r"obs/_index/(0|[1-9][0-9]{0,9})\.json")


def ids_block(ids: Sequence[str]) -> str:
    """JSON text of the ids of one block; ASCII, whatever characters ids have."""
    return json.dumps(ids, separators=(",", ":"))


def stored_cell_ids(offsets: Sequence[int], *, gz: bool) -> dict[str, Any]:
    """Entry of the manifest of obs for the file of ids.

    Parameters
    ----------
    offsets
        (n_blocks + 1,) where each block begins in the file, and the size of the file.
    """
    path = Resource("ids", gz=gz).path
    return {"path": path, "blockSize": IDS_PER_BLOCK, "offsets": list(offsets)}


def live_cell_ids() -> dict[str, Any]:
    """Entry of the manifest of obs for ids of live data, of which each block is a path."""
    return {"pathPattern": _LIVE_IDS, "blockSize": IDS_PER_BLOCK}


def live_block(path: str) -> int | None:
    """Number of the block of ids at a path of live data; None for any other path."""
    found = _LIVE_BLOCK.fullmatch(path)
    return None if found is None else int(found[1])
