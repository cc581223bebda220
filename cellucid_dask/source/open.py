"""Open a path or an AnnData as a `Source`."""

from __future__ import annotations

import os
from typing import Any

from cellucid_dask.errors import InputError
from cellucid_dask.source.inputs.anndata_file import open_anndata_file
from cellucid_dask.source.inputs.in_memory import wrap_anndata
from cellucid_dask.source.model import Source


def open_source(data: Any, modality: str | None = None) -> Source:
    """Open a path or an AnnData.

    Parameters
    ----------
    modality
        Which one of a MuData.

    Raises
    ------
    InputError
        When it is missing, or is not an AnnData; or a MuData, and no modality of it is named.
    ReadError
        When the file is damaged.
    """
    if isinstance(data, str | os.PathLike):
        return open_anndata_file(data, modality)
    kinds = {cls.__name__ for cls in type(data).__mro__}  # to import anndata takes a second
    if "MuData" in kinds:
        fix = 'give one modality, such as mdata["rna"], or the path of the file and --modality'
        raise InputError("a MuData in memory holds several AnnData", fix=fix)
    if "AnnData" not in kinds:
        raise InputError(
            f"{type(data).__name__} is neither a path nor an AnnData",
            fix="give a path, an AnnData, or use cellucid_dask.prepare with loose arrays",
        )
    if modality is not None:
        raise InputError("needs a MuData, but the data is an AnnData", where="--modality")
    return wrap_anndata(data)
