"""The files of a zarr store as they are, so that any zarr client can open them over HTTP."""

from __future__ import annotations

import json
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from cellucid_dask.errors import ReadError, refuse_fault
from cellucid_dask.server.http.content import (
    BINARY,
    JSON,
    LOOK_AGAIN,
    Content,
    read_file_content,
)
from cellucid_dask.server.http.open_file import NO_LINK
from cellucid_dask.source.storage.fingerprint import METADATA
from cellucid_dask.source.storage.store import Store

# Below an array: ``0.1``, ``0/1`` of format 2; ``c/0/1``, ``c.0.1``, ``c`` of a scalar of format 3.
_CHUNK: Final = re.compile(r"c(/\d+)*|c(\.\d+)+|\d+([./]\d+)*")
MAX_FOLDERS: Final = 10_000  # that are known at a time
_DAMAGE: Final = (OSError, RuntimeError, ValueError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder of a store, as it was last looked at.

    Parameters
    ----------
    looked_at
        When that was.
    path
        Where it is, below the root of the store; None outside it, and in an archive.
    below_array
        Its path below the innermost array above it, with a slash at the end; None without array.
    is_hidden
        Whether the store shows nothing of it.
    """

    looked_at: float
    path: Path | None = None
    below_array: str | None = None
    is_hidden: bool = False


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
        self._is_archive = store.kind == "zip"
        self._read = self._member if self._is_archive else self._file
        self._folders: dict[str, _Folder] = {}

    def find(self, key: str) -> Content | None:
        """Content of a key of the store; None when it is none, or is not there.

        Raises
        ------
        MachineError
            When the machine cannot read it: a reader would take a chunk that is absent for zeros.
        ReadError
            When a chunk is empty or damaged, or a link that leads to no file in the store.
        """
        folder, _, name = key.rpartition("/")
        try:
            known = self._folder(folder)
            if known.is_hidden:
                return None
            if name in METADATA:
                return self._read(self._base + key, self._document_type)
            if known.below_array is None or not _CHUNK.fullmatch(known.below_array + name):
                return None
            found = None
            if known.path is not None:  # a chunk that is no link: nothing else to check
                found = read_file_content(f"{known.path}/{name}", flags=NO_LINK)
            return self._whole(key, self._find_chunk(key, known) if found is None else found)
        except _DAMAGE as error:
            refuse_fault(error, key)
            return None

    def _find_chunk(self, key: str, folder: _Folder) -> Content | None:
        """A chunk that is absent, a link, or in an archive."""
        try:
            found, is_bad = self._read(self._base + key, BINARY), False
        except (RuntimeError, zipfile.BadZipFile):  # links in a circle, or damage
            found, is_bad = None, True
        if found is None and not self._is_archive:
            place = self._root / self._base / key
            is_bad = place.is_symlink() or (folder.path is None and os.path.lexists(place))
        if is_bad:
            what = "is damaged, or a link that leads to no file in the store"
            raise ReadError(what, where=f"{self._root}, {key}", fix="put the chunk itself there")
        return found

    def _whole(self, key: str, chunk: Content | None) -> Content | None:
        """Return a chunk that is not empty; of one that is cut off the reader's codec tells."""
        if chunk is not None and not chunk.size:
            what, where = "is empty: its copy ended early", f"{self._root}, {key}"
            raise ReadError(what, where=where, fix="copy it again")
        return chunk

    def _folder(self, folder: str) -> _Folder:
        """What is known of a folder; looked at once a second, for many chunks."""
        known = self._folders.get(folder)
        if known is None or monotonic() - known.looked_at > LOOK_AGAIN:
            if len(self._folders) >= MAX_FOLDERS:
                self._folders.clear()
            known = self._folders[folder] = self._look_at(folder)
        return known

    def _look_at(self, folder: str) -> _Folder:
        now, parts = monotonic(), folder.split("/") if folder else []
        if any(part in ("", "..") or part[0] == "." or "\\" in part for part in parts):
            return _Folder(now, is_hidden=True)
        path = None if self._is_archive else (self._root / self._base / folder).resolve()
        if path is not None and not path.is_relative_to(self._root):
            path = None
        for depth in range(len(parts), -1, -1):
            above, below = parts[:depth], parts[depth:]
            if self._is_array("".join(f"{part}/" for part in above)):
                return _Folder(now, path, "".join(f"{part}/" for part in below))
        return _Folder(now, path)

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
