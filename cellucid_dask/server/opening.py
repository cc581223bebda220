"""What a path is, and how it is served: an export, a folder of exports, or live data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from cellucid_dask.datasets import is_zarr_store
from cellucid_dask.errors import CellucidDaskError, InputError, Problem
from cellucid_dask.options.argument_names import option_of
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.server.datasets.collection import DatasetFolder, SingleDataset, looks_like_export
from cellucid_dask.server.datasets.exported import ExportedDataset
from cellucid_dask.server.datasets.memory_shares import cache_share
from cellucid_dask.server.datasets.served import ServedData
from cellucid_dask.server.http.cache import ContentCache

# Options of the command line that set these fields for a server.
_QUANTIZED: Final = {"var_quantization": "--quantize", "obs_quantization": "--quantize"}


def open_data(
    data: Any, options: ExportOptions, serving: ServeOptions, problems: Sequence[Problem] = ()
) -> ServedData:
    """Open the data of a server.

    Parameters
    ----------
    data
        Path of an export, of a folder of exports or of an AnnData file; or an AnnData.
    problems
        Problems that are already known; they are raised together with all others.

    Raises
    ------
    CellucidDaskError
        With all problems.
    """
    try:
        cache = ContentCache(cache_share(serving))
        if holds_exports(data):
            return _open_exports(Path(data), options, serving, cache, problems)
        return _open_anndata(data, options, serving, cache, problems)
    except CellucidDaskError as error:
        raise InputError.of(dict.fromkeys([*problems, *error.problems])) from error


def holds_exports(data: Any) -> bool:
    """Whether `data` is the path of an export or of a folder of exports, and not live data."""
    if not isinstance(data, str | os.PathLike):
        return False
    folder = Path(data)
    return folder.is_dir() and not is_zarr_store(folder)


def _open_anndata(
    data: Any,
    options: ExportOptions,
    serving: ServeOptions,
    cache: ContentCache,
    problems: Sequence[Problem],
) -> ServedData:
    # Here, because the libraries that read live data take a second to import.
    from cellucid_dask.server.datasets.open_live import open_live
    from cellucid_dask.server.ready.opening import open_ready
    from cellucid_dask.server.ready.served import ServedStore

    opened = open_live(data, options, serving, cache, problems)
    opened.speaks_ready = serving.speaks_ready
    opened.app_store = ServedStore(
        lambda: open_ready(data, options, serving, cache, problems), at_once=serving.speaks_ready
    )
    return opened


def _open_exports(
    folder: Path,
    options: ExportOptions,
    serving: ServeOptions,
    cache: ContentCache,
    problems: Sequence[Problem],
) -> ServedData:
    usual = ExportOptions(compression=0, var_quantization=None, obs_quantization=None)
    chosen = [f.name for f in fields(options) if getattr(options, f.name) != getattr(usual, f.name)]
    given = {_QUANTIZED.get(name) or option_of(name) for name in chosen}
    what, fix = "has no meaning for an export, which is served as it is", "leave it out"
    all_problems = [*problems, *(Problem(what, option, fix) for option in sorted(given))]
    if serving.protocol == "ready":
        what = "today's public app reads no export"
        fix = "serve the AnnData, or a ready file of it: export --format zarr"
        all_problems.append(Problem(what, "--protocol", fix))
    if all_problems:
        raise InputError.of(all_problems)
    if looks_like_export(folder):
        return ServedData(SingleDataset(ExportedDataset(folder, cache)), "exported", cache)
    return ServedData(DatasetFolder(folder, cache), "exported", cache)
