"""An export on disk: its files as they are, and no other file of its folder."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final
from weakref import ref

from cellucid_dask import format as fmt
from cellucid_dask.errors import InputError
from cellucid_dask.server.http.cache import ContentCache
from cellucid_dask.server.http.content import (
    BINARY,
    JSON,
    LOOK_AGAIN,
    Content,
    ReplacedError,
    read_file_content,
)
from cellucid_dask.server.http.open_file import file_etag

AGAIN = "export it again"


@dataclass(frozen=True, slots=True)
class _Known:
    """When a file was last looked at, and its content for as long as the cache holds that."""

    asked: float
    content: ref[Content]


class ExportedDataset:
    """An export, seen anew when it is exported again.

    Parameters
    ----------
    folder
        The export.
    cache
        Where small files are held.

    Raises
    ------
    InputError
        When its manifests cannot be read or do not fit together.
    """

    def __init__(self, folder: Path, cache: ContentCache) -> None:
        self._path, self._cache = folder, cache
        self._tags: dict[str, _Known] = {}
        self._refused: InputError | None = None
        self._state: tuple[str, ...] = ()
        self.refresh()

    def _load(self) -> None:
        folder = self._path.resolve()
        identity = _manifest(folder, fmt.IDENTITY)
        self.id, self.name = _text(identity, "id"), _text(identity, "name")
        self._names = frozenset(_named(folder, identity))
        self.identity, self.folder = identity, folder

    def _mark(self) -> tuple[str, ...]:
        """What changes when the export is written again, whatever else stays."""
        return tuple(_tag(f"{self._path}/{name}") for name in fmt.MANIFESTS)

    def facts(self) -> dict[str, Any]:
        """Numbers for the list of datasets."""
        stats = self.identity.get("stats")
        stats = stats if isinstance(stats, dict) else {}
        return {
            key: stats[key] for key in ("n_cells", "n_genes") if isinstance(stats.get(key), int)
        }

    def refresh(self) -> None:
        """Read the manifests again if they changed.

        Raises
        ------
        InputError
            When they cannot be read now.
        """
        self._asked = monotonic()
        state = self._mark()
        if state == self._state:
            if self._refused is not None:
                raise self._refused
            return
        try:
            self._load()
            self._refused = None
        except InputError as error:
            self._refused = error
            raise
        finally:
            self._state, self._tags = state, {}

    def find(self, path: str, *, gzip: bool, summaries: str | None = None) -> Content | None:
        """Content at a path relative to the export; None unless a manifest names it.

        Parameters
        ----------
        gzip, summaries
            Of no matter here: files go out as they are.
        """
        now = monotonic()
        if path in fmt.MANIFESTS or self._refused is not None or now - self._asked > LOOK_AGAIN:
            self.refresh()
        known = self._tags.get(path)
        if known is not None and now - known.asked <= LOOK_AGAIN:
            # Which state of a file it is, is asked once a second: to ask every time would let go
            # of the interpreter in every request, and halve what a server answers.
            held = known.content()
            if held is not None:
                return held
        if path not in self._names:
            return None
        tag = _tag(f"{self.folder}/{path}")
        if not tag:
            return None
        try:
            content = self._cache.get((self.folder, path, tag), lambda: self._read(path, tag))
        except FileNotFoundError:
            return None
        if isinstance(content.body, Path):  # read only when it goes out: as it is now
            again = _tag(f"{self.folder}/{path}")
            return content if again == tag else self.find(path, gzip=gzip, summaries=summaries)
        if path not in fmt.MANIFESTS:
            self._tags[path] = _Known(now, ref(content))
        return content

    def _read(self, path: str, tag: str) -> Content:
        try:
            place = (self.folder / path).resolve()
            inside = place.is_relative_to(self.folder) and place.is_file()
        except (OSError, RuntimeError):  # a loop of links
            inside = False
        found = (
            read_file_content(place, media=JSON if path in fmt.MANIFESTS else BINARY)
            if inside
            else None
        )
        if found is None or found.etag != tag:
            raise ReplacedError(path) if found is not None else FileNotFoundError(path)
        return found


def _tag(path: str) -> str:
    """Entity tag of a file; empty where there is none."""
    try:
        return file_etag(os.stat(path))  # noqa: PTH116  of many files in turn
    except (OSError, ValueError):
        return ""


def _manifest(folder: Path, name: str) -> dict[str, Any]:
    try:
        if not stat.S_ISREG((folder / name).stat().st_mode):  # a pipe would be waited for
            raise InputError(f"{name} is not a regular file", where=folder.name)
        content = json.loads((folder / name).read_text("utf-8"))
    except FileNotFoundError as error:
        what = f"has no {name}"
        if name == fmt.IDENTITY:
            what += ": the export is not complete"
        raise InputError(what, where=folder.name, fix=AGAIN) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{name} cannot be read ({_plain(error)})", where=folder.name) from error
    if not isinstance(content, dict):
        raise InputError(f"{name} is no JSON object", where=folder.name, fix=AGAIN)
    return content


def _plain(error: Exception) -> str:
    """Say what is wrong without a path of this machine."""
    return str(getattr(error, "strerror", None) or error)


def _text(identity: Mapping[str, Any], key: str) -> str:
    value = identity.get(key)
    if not isinstance(value, str) or not value:
        raise InputError(f"the identity has no {key}", fix=AGAIN)
    return value


def _named(folder: Path, identity: Mapping[str, Any]) -> Iterator[str]:
    """Paths that the manifests name, themselves included.

    Raises
    ------
    InputError
        When a manifest is not of the format's shape.
    """
    try:
        for name in fmt.MANIFESTS:
            paths: Iterable[str]
            if name == fmt.IDENTITY:
                paths = _of_identity(identity)
            elif name == fmt.OBS_MANIFEST or (folder / name).exists():
                paths = _READERS[name](_manifest(folder, name))
            else:
                continue
            yield name
            for path in paths:
                fmt.parse(path)  # refuses what is no path of an export
                yield path
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        what = f"{name} is not of the export format ({type(error).__name__}: {error})"
        raise InputError(what, where=folder.name, fix=AGAIN) from error


def _of_identity(identity: Mapping[str, Any]) -> list[str]:
    embeddings = identity["embeddings"]
    paths = [*embeddings["files"].values(), *(e["path"] for e in embeddings.get("sources") or [])]
    for field in (identity.get("vector_fields") or {}).get("fields", {}).values():
        paths += field["files"].values()
    return paths


def _of_obs(manifest: Mapping[str, Any]) -> Iterator[str]:
    schemas = manifest["_obsSchemas"]
    if fmt.CELL_IDS in manifest:
        yield manifest[fmt.CELL_IDS]["path"]
    for field in manifest["_continuousFields"]:
        yield _filled(schemas["continuous"]["pathPattern"], field[0])
    for field in manifest["_categoricalFields"]:
        ext = {code.dtype: code.ext for code in fmt.CODES.values()}[field[2]]
        yield _filled(schemas["categorical"]["codesPathPattern"], field[0], ext)
        yield _filled(schemas["categorical"]["outlierPathPattern"], field[0])


def _of_var(manifest: Mapping[str, Any]) -> Iterator[str]:
    pattern = manifest["_varSchema"]["pathPattern"]
    return (_filled(pattern, field[0]) for field in manifest["fields"])


def _of_graph(manifest: Mapping[str, Any]) -> list[str]:
    return [manifest["sourcesPath"], manifest["destinationsPath"]]


def _filled(pattern: str, key: object, ext: str = "") -> str:
    return pattern.replace("{key}", fmt.safe(key)).replace("{ext}", ext)


_READERS: Final = {
    fmt.OBS_MANIFEST: _of_obs,
    fmt.VAR_MANIFEST: _of_var,
    fmt.CONNECTIVITY_MANIFEST: _of_graph,
}
