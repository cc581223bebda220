"""The inventory of a build: every file of the page, with its size, its sum and its media type.

A site that has one publishes it as ``cellucid-web-assets.json`` beside its index. It comes from
another machine and decides what is stored and sent, so it is refused as a whole when any part of it
is not as it should be. Keys that are not known are ignored: a change that matters has another
version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from cellucid_dask.server.hosted.paths import INDEX

INVENTORY: Final = "cellucid-web-assets.json"
VERSION: Final = 1
BYTES: Final = 4_000_000  # of the inventory
FILES: Final = 20_000
FILE_BYTES: Final = 32_000_000
TOTAL: Final = 512_000_000  # bytes of all files of a build
LONGEST: Final = 300  # characters of a path

# What a URL writes without a percent sign, and any file system takes.
_PART: Final = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9_@~+=,.-]*[A-Za-z0-9_@~+=,-]"
_PATH: Final = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)
_DEVICE: Final = re.compile(r"(?:CON|PRN|AUX|NUL|COM[1-9]|LPT[1-9])(?:\..*)?", re.IGNORECASE)
_SUM: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WORD: Final = r"[a-z0-9][a-z0-9!#$&^_.+-]*"
_MEDIA: Final = re.compile(rf"{_WORD}/{_WORD}(?:; {_WORD}={_WORD})*", re.ASCII)


class InventoryError(ValueError):
    """An inventory cannot be used; the message is the rest of a sentence that begins with it."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page.

    Parameters
    ----------
    sha256
        Its sum, in hexadecimal digits.
    size
        Its size in bytes.
    media
        Its media type.
    """

    sha256: str
    size: int
    media: str

    def matches(self, body: bytes) -> bool:
        """Whether `body` is the content of this file."""
        return len(body) == self.size and sha256(body).hexdigest() == self.sha256


@dataclass(frozen=True, slots=True)
class Inventory:
    """All files of a build.

    Parameters
    ----------
    build
        Id of the build.
    assets
        The files by their paths, which are safe to be used in a URL.
    body
        The inventory as the site sent it.
    """

    build: str
    assets: Mapping[str, Asset]
    body: bytes

    @property
    def size(self) -> int:
        """Size of all files in bytes."""
        return sum(asset.size for asset in self.assets.values())


def parse_inventory(body: bytes) -> Inventory:
    """Read an inventory.

    Raises
    ------
    InventoryError
        With the first thing that is wrong with it.
    """
    if len(body) > BYTES:
        raise InventoryError(f"has {len(body):,} bytes, more than {BYTES:,}")
    raw = _parse_json(body)
    if not isinstance(raw, dict):
        raise InventoryError("is no object")
    version = raw.get("version")
    if type(version) is not int:
        raise InventoryError("has no version")
    if version != VERSION:
        raise InventoryError(f"has version {_shown(version)}; this program reads version {VERSION}")
    build = raw.get("build_id")
    if not isinstance(build, str) or not build:
        raise InventoryError("names no build")
    return Inventory(build, _read_assets(raw.get("assets")), body)


def _parse_json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_read_object)
    except InventoryError:
        raise
    except RecursionError as error:
        raise InventoryError("is nested too deep") from error
    except ValueError as error:  # also a number of thousands of digits
        raise InventoryError("is not JSON") from error


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InventoryError("has a key twice in one object")
    return found


def _read_assets(raw: Any) -> dict[str, Asset]:
    if not isinstance(raw, list):
        raise InventoryError("lists no files")
    if len(raw) > FILES:
        raise InventoryError(f"lists {len(raw):,} files, more than {FILES:,}")
    assets: dict[str, Asset] = {}
    folded: dict[str, str] = {}
    last, total = "", 0
    for entry in raw:
        path, asset = _read_asset(entry)
        if (other := folded.setdefault(path.casefold(), path)) != path:
            raise InventoryError(f"has paths that differ in case only: {other} and {path}")
        if path in assets:
            raise InventoryError(f"has {path} twice")
        if path < last:
            raise InventoryError(f"is not sorted: {path} comes after {last}")
        assets[path], last = asset, path
        total += asset.size
    if INDEX not in assets:
        raise InventoryError(f"does not list {INDEX}")
    if total > TOTAL:
        raise InventoryError(f"lists {total:,} bytes, more than {TOTAL:,}")
    return assets


def _read_asset(entry: Any) -> tuple[str, Asset]:
    if not isinstance(entry, dict):
        raise InventoryError("has an entry that is no object")
    path = _read_path(entry.get("path"))
    digest, size, media = entry.get("sha256"), entry.get("bytes"), entry.get("content_type")
    if not isinstance(digest, str) or not _SUM.fullmatch(digest):
        raise InventoryError(f"has no sum of {path} (sha256)")
    if type(size) is not int or not 0 <= size <= FILE_BYTES:
        raise InventoryError(
            f"gives {path} {_shown(size)} bytes, which is not a size up to {FILE_BYTES:,}"
        )
    if not isinstance(media, str) or len(media) > LONGEST or not _MEDIA.fullmatch(media):
        raise InventoryError(f"gives {path} no media type (content_type)")
    return path, Asset(digest, size, media)


def _read_path(path: Any) -> str:
    if not isinstance(path, str) or len(path) > LONGEST or not _PATH.fullmatch(path):
        raise InventoryError(f"has a path that is not plain: {_shown(path)}")
    if any(_DEVICE.fullmatch(part) for part in path.split("/")):
        raise InventoryError(f"has a path that some systems cannot store: {path}")
    if path == INVENTORY or path.startswith("_cellucid/"):
        raise InventoryError(f"has a path that is no file of the page: {path}")
    return path


def _shown(value: Any) -> str:
    """A value of the inventory in a message: short, on one line, in ASCII."""
    try:
        text = ascii(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or nested deep
        return f"of type {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."
