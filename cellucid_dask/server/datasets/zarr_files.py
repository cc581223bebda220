"""The files of a zarr store as they are, so that any zarr client can open them over HTTP."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Final

from cellucid_dask.server.http.content import BINARY, JSON, Content, read_file_content
from cellucid_dask.source.storage.fingerprint import METADATA
from cellucid_dask.source.storage.store import Store

# Below an array: ``0.1``, ``0/1`` of format 2; ``c/0/1``, ``c.0.1``, ``c`` of a scalar of format 3.
_CHUNK: Final = re.compile(r"c(/\d+)*|c(\.\d+)+|\d+([./]\d+)*")
_DAMAGE: Final = (OSError, RuntimeError, ValueError, zipfile.BadZipFile)


class ZarrFiles:
    """Metadata and chunks of a zarr store; no other file that lies among them.

    Parameters
    ----------
    store
        A folder or an archive.
    modality
        Which one of a MuData is the root of what is served.
    document_type
        Media type of the metadata.
    """

    def __init__(
        self, store: Store, modality: str | None = None, document_type: str = JSON
    ) -> None:
        self._root, self._document_type = Path(store.path).resolve(), document_type
        parts = [store.folder, "" if modality is None else f"mod/{modality}"]
        self._base = "".join(f"{part}/" for part in parts if part)
        self._read = self._member if store.kind == "zip" else self._file

    def find(self, key: str) -> Content | None:
        """Content of a key of the store; None when it is none, or is not there."""
        *parents, name = key.split("/")
        if any(part in ("", "..") or part[0] == "." or "\\" in part for part in parents):
            return None
        try:
            if name in METADATA:
                return self._read(self._base + key, self._document_type)
            return self._read(self._base + key, BINARY) if self._is_chunk(key) else None
        except _DAMAGE:
            return None

    def _is_chunk(self, key: str) -> bool:
        """Whether the innermost array above `key` has such chunks."""
        parts = key.split("/")
        for depth in range(len(parts) - 1, -1, -1):
            folder, rest = "".join(f"{part}/" for part in parts[:depth]), "/".join(parts[depth:])
            if self._is_array(folder):
                return _CHUNK.fullmatch(rest) is not None
        return False

    def _is_array(self, folder: str) -> bool:
        if self._read(f"{self._base}{folder}.zarray", JSON) is not None:
            return True
        found = self._read(f"{self._base}{folder}zarr.json", JSON)
        if found is None or not isinstance(found.body, bytes):
            return False
        node = json.loads(found.body)
        return isinstance(node, dict) and node.get("node_type") == "array"

    def _file(self, key: str, media: str) -> Content | None:
        place = (self._root / key).resolve()
        if not place.is_relative_to(self._root) or not place.is_file():
            return None
        return read_file_content(place, media=media)

    def _member(self, key: str, media: str) -> Content | None:
        with zipfile.ZipFile(self._root) as archive:
            try:
                facts = archive.getinfo(key)
            except KeyError:
                return None
            tag = f"{facts.CRC:x}-{facts.file_size:x}-{facts.header_offset:x}"
            return Content(archive.read(facts), facts.file_size, tag, media)
