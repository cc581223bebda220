"""The ids of cells in an export: blocks, each a JSON list of texts that can be read alone."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from itertools import pairwise

from cellucid_dask.verify.export_folder.arrays import HEADER
from cellucid_dask.verify.export_folder.contents import Contents
from cellucid_dask.verify.export_folder.files import DamagedError, ExportFiles


def read_id_blocks(files: ExportFiles, contents: Contents) -> Iterator[list[str]]:
    """Read the ids of each block.

    Raises
    ------
    DamagedError
        When the file is damaged, or its blocks are not those that the manifest promises.
    """
    path = contents.ids.path
    size, offsets = contents.id_blocks or (0, [])
    raw = memoryview(files.read(path))
    n_blocks = -(-contents.n_cells // size) if size else 0
    rises = all(a < b for a, b in pairwise(offsets))
    if len(offsets) != n_blocks + 1 or offsets[0] or offsets[-1] != len(raw) or not rises:
        raise DamagedError(f"{path}: its bytes are not {n_blocks} blocks at the stated offsets")
    for number, (start, stop) in enumerate(pairwise(offsets)):
        n_ids = min(size, contents.n_cells - number * size)
        where = f"{path}, block {number}"
        text = bytes(raw[start:stop])
        ids = _parse(_inflate(text, contents, where) if contents.gz else text, where)
        if len(ids) != n_ids:
            raise DamagedError(f"{where}: has {len(ids)} ids, not {n_ids}")
        yield ids


def _inflate(raw: bytes, contents: Contents, where: str) -> bytes:
    if contents.is_native and not raw.startswith(HEADER):
        raise DamagedError(f"{where}: is not a gzip member without a name and with mtime 0")
    inflater = zlib.decompressobj(wbits=31)
    try:
        data = inflater.decompress(raw)
    except zlib.error as error:
        raise DamagedError(f"{where}: cannot be inflated ({error})") from error
    if not inflater.eof or inflater.unused_data:
        raise DamagedError(f"{where}: is not one gzip member")
    return data


def _parse(text: bytes, where: str) -> list[str]:
    try:
        ids = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{where}: is no JSON ({error})") from error
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        raise DamagedError(f"{where}: is no list of texts")
    return ids
