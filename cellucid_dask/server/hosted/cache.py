"""Files of the hosted page on the disk, by the build that they belong to.

CACHE/web/www.cellucid.com-HASH/     one for each site
    2026-01-31.2-HASH/               one for each build; purged when the site has another
        index.html-HASH              one for each file: a line that describes it, then its bytes
        .unfinished-*                while it is being written

A file gets its name when its bytes are on the disk, so one that was cut off by a kill has none.
The line has the length and the sum of the bytes, for what a disk or another program did later.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import urlsplit

from cellucid_dask.format import safe

TOTAL: Final = 512_000_000  # bytes of one build
DAY: Final = 86_400
UNFINISHED: Final = ".unfinished-"
INDEX: Final = "index.html"

log = logging.getLogger("cellucid_dask.server")


def named(text: str) -> str:
    """File name for any text: its readable part, and a digest that makes it unique."""
    return f"{safe(text)[-80:].lstrip('.')}-{blake2b(text.encode(), digest_size=10).hexdigest()}"


class WebCache:
    """Cached files of one site; several servers may share them.

    Parameters
    ----------
    root
        Folder for the files of all sites.
    url
        The site.
    """

    def __init__(self, root: Path, url: str) -> None:
        self.folder = root / named(urlsplit(url).netloc + urlsplit(url).path)
        self._lock = Lock()
        self._complained = False

    def get(self, build: str, path: str) -> bytes | None:
        """Bytes of a file of a build; None if there is no intact one."""
        return _read(self.folder / named(build) / named(path), build, path)

    def put(self, build: str, path: str, body: bytes) -> None:
        """Store a file; a folder that is full or cannot be written is reported once."""
        folder = self.folder / named(build)
        try:
            # Another server may remove the folder at any moment.
            with suppress(FileExistsError):
                folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                if _size(folder) + len(body) > TOTAL:
                    self._complain(f"it has {TOTAL:,} bytes already")
                else:
                    _write(folder, named(path), _head(build, path, body) + body)
        except OSError as error:
            self._complain(error.strerror or type(error).__name__)

    def purge(self, build: str) -> None:
        """Remove all other builds, and unfinished files of killed writers."""
        with suppress(OSError):
            for folder in self.folder.iterdir():
                if folder.name != named(build):
                    shutil.rmtree(folder, ignore_errors=True)
        for path in (self.folder / named(build)).glob(f"{UNFINISHED}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > DAY:  # a newer one may still be written
                    path.unlink()

    def latest(self) -> tuple[str, bytes] | None:
        """Build whose index was cached last, and that index."""
        found = []
        for path in self.folder.glob(f"*/{named(INDEX)}"):
            with suppress(OSError):
                if path.is_file():
                    found.append((path.stat().st_mtime, path))
        for _, path in sorted(found, reverse=True):
            with suppress(OSError, ValueError, KeyError, TypeError):
                build = str(json.loads(path.read_bytes().partition(b"\n")[0])["build"])
                body = self.get(build, INDEX)
                if body is not None:
                    return build, body
        return None

    def _complain(self, why: str) -> None:
        with self._lock:
            if self._complained:
                return
            self._complained = True
        log.warning("the hosted page is not kept in %s: %s", self.folder, why)


def _head(build: str, path: str, body: bytes) -> bytes:
    """Line before the bytes of a file."""
    facts = {"build": build, "path": path, "size": len(body)}
    return json.dumps({**facts, "sum": blake2b(body).hexdigest()}).encode() + b"\n"


def _read(file: Path, build: str, path: str) -> bytes | None:
    try:
        if not file.is_file():  # reading a pipe would block
            return None
        head, _, body = file.read_bytes().partition(b"\n")
    except OSError:
        return None
    if _head(build, path, body) == head + b"\n":
        return body
    with suppress(OSError):
        file.unlink()  # damaged: fetched again
    return None


def _write(folder: Path, name: str, data: bytes) -> None:
    handle, unfinished = tempfile.mkstemp(prefix=UNFINISHED, dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(folder / name)
    except BaseException:
        with suppress(OSError):
            Path(unfinished).unlink()
        raise


def _size(folder: Path) -> int:
    total = 0
    for entry in os.scandir(folder):
        with suppress(OSError):  # another server may rename or remove it
            total += entry.stat().st_size
    return total
