"""What a path is, and how it is served: an export, a folder of exports, or live data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cellucid_dask.errors import CellucidDaskError, InputError, Problem
from cellucid_dask.options.argument_names import option_of
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.server.datasets.collection import Folder, Nothing, One, looks_like_export
from cellucid_dask.server.datasets.exported import ExportedDataset
from cellucid_dask.server.http.cache import ContentCache

if TYPE_CHECKING:
    from cellucid_dask.server.datasets.auto_reload import WatchedData
    from cellucid_dask.server.datasets.live import LiveDataset
    from cellucid_dask.server.datasets.zarr_files import ZarrFiles

ROOM: Final = 4  # this part of the memory is for answers while they are made


@dataclass(slots=True)
class Opened:
    """What is served, and what the service paths tell of it.

    Parameters
    ----------
    datasets
        Answers the paths of the datasets.
    type
        ``exported`` or ``anndata``.
    format
        ``h5ad``, ``zarr`` or ``in-memory``; empty for exports.
    backed
        Whether live data stays on disk.
    live
        The live data; None for exports.
    zarr
        Files of the zarr store, where it is one.
    cache
        Of all answers.
    """

    datasets: One | Folder | Nothing
    type: str
    cache: ContentCache
    format: str = ""
    backed: bool = False
    live: WatchedData | LiveDataset | None = None
    zarr: ZarrFiles | None = None

    @property
    def _now(self) -> LiveDataset | None:
        if self.live is None:
            return None
        from cellucid_dask.server.datasets.auto_reload import WatchedData

        return self.live.now if isinstance(self.live, WatchedData) else self.live

    def describe(self, where: str) -> list[str]:
        """Lines that tell what was found at `where`."""
        live = self._now
        if live is None:
            lines = []
            for entry in self.datasets.list():
                facts = "".join(f", {entry[k]:,} {k[2:]}" for k in _COUNTS if k in entry)
                told = f"cannot be served: {entry['error']}" if "error" in entry else entry["path"]
                lines.append(f"  {entry['name']}{facts}: {told}")
            found = f"{where}: {len(lines)} export{'s' * (len(lines) != 1)}"
            return [found, *lines, *(f"warning: {line}" for line in self.datasets.warnings())]
        numbers = live.facts()
        counts = ", ".join(f"{numbers[key]:,} {key[2:]}" for key in _COUNTS)
        notes = [f"  {line}" for line in live.catalog.notes]
        warnings = [f"warning: {line}" for line in live.catalog.warnings]
        return [f"{where}: {self.format}, {counts}", *notes, *warnings]

    def index_progress(self) -> dict[str, Any]:
        """What there is of the gene index of live data."""
        live = self._now
        if live is None or live.genes is None:
            return {"state": "not needed"}
        return live.genes.progress()

    def start(self) -> None:
        """Begin what runs in the background."""
        if self.live is not None:
            self.live.start()

    def close(self) -> None:
        """End it, and remove what was only for this server."""
        if self.live is not None:
            self.live.close()


def emptied(opened: Opened) -> Opened:
    """What is left to tell of data that are not served any more."""
    return replace(opened, datasets=Nothing(), cache=ContentCache(0), live=None, zarr=None)


def open_data(
    data: Any, options: ExportOptions, serving: ServeOptions, problems: Sequence[Problem] = ()
) -> Opened:
    """Open what is to be served.

    Parameters
    ----------
    data
        Path of an export, of a folder of exports, of an AnnData file, or an AnnData.
    problems
        What is already known to be wrong, told with the rest.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong.
    """
    try:
        cache = ContentCache(max(serving.cache_bytes(), 16_000_000) * (ROOM - 1) // ROOM)
        if holds_exports(data):
            return _exports(Path(data), options, cache, problems)
        from cellucid_dask.server.datasets.auto_reload import (
            open_live,  # what reads it takes a second to import
        )

        return open_live(data, options, serving, cache, problems)
    except CellucidDaskError as error:
        every = dict.fromkeys([*problems, *error.problems])
        raise InputError.of(every) from error


def holds_exports(data: Any) -> bool:
    """Whether it is the path of an export, or of a folder of them, rather than live data."""
    if not isinstance(data, str | os.PathLike):
        return False
    folder, zarr = Path(data), (".zgroup", "zarr.json", ".zmetadata")
    return folder.is_dir() and not any((folder / name).exists() for name in zarr)


def _exports(
    folder: Path, options: ExportOptions, cache: ContentCache, problems: Sequence[Problem]
) -> Opened:
    usual = ExportOptions(compression=0, var_quantization=None, obs_quantization=None)
    chosen = [f.name for f in fields(options) if getattr(options, f.name) != getattr(usual, f.name)]
    told = {_QUANTIZED.get(name) or option_of(name) for name in chosen}
    what, fix = "has no meaning for an export, which is served as it is", "leave it out"
    if wrong := [*problems, *(Problem(what, option, fix) for option in sorted(told))]:
        raise InputError.of(wrong)
    if looks_like_export(folder):
        return Opened(One(ExportedDataset(folder, cache)), "exported", cache)
    return Opened(Folder(folder, cache), "exported", cache)


_QUANTIZED: Final = {"var_quantization": "--quantize", "obs_quantization": "--quantize"}

_COUNTS: Final = ("n_cells", "n_genes")
